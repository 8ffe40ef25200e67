"""
``chariots call`` and ``chariots jobs``: a server from the command line.
"""

from __future__ import annotations

import json
import os
import pty
import subprocess
from collections.abc import Iterator

import pytest

from chariots_core.app import App
from tests.cli.conftest import Project, make_project, read, serving
from tests.support import free_port, wait_until


@pytest.fixture(name="project", scope="module")
def _project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """
    One folder for all of these tests.
    """
    return make_project(tmp_path_factory.mktemp("project"))


@pytest.fixture(name="url", scope="module")
def _url(project: Project) -> Iterator[str]:
    """
    The address of one server for all of these tests, without workers.
    """
    with serving(project) as url:
        yield url


@pytest.mark.parametrize(
    ("text", "stdin"),
    [
        ('{"a": [1, "é", null]}', ""),
        ("@input.json", ""),
        ("@-", '{"a": [1, "é", null]}'),
    ],
)
def test_value_is_printed_as_json(project: Project, url: str, text: str, stdin: str) -> None:
    """
    The value of a run in the request is printed as one line of JSON, whatever way its input came.
    """
    (project.folder / "input.json").write_text('{"a": [1, "é", null]}')
    done = project.run("call", "echo", "--input", text, "--url", url, stdin=stdin)

    assert '{"a": [1, "é", null]}\n' == done.stdout
    assert "" == done.stderr


def test_address_of_the_environment(project: Project, url: str) -> None:
    """
    CHARIOTS_URL says where the server is.
    """
    assert "5\n" == project.run("call", "echo", "-i", "5", CHARIOTS_URL=url).stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["echo", "-i", "{broken"], 2, ["--input", "quotes"]),
        (["echo", "-i", "word"], 2, ["--input", "quotes"]),
        (["echo", "-i", "[NaN]"], 2, ["--input", "NaN and Infinity", "null"]),
        (["echo", "-i", "@nowhere.json"], 2, ["'nowhere.json'", "No such file"]),
        (["echoo", "-i", "1"], 2, ["echoo"]),
        (["fail", "-i", "1"], 1, ["pipeline 'fail'", "node 'fail'", "ValueError: I do not like 1"]),
        (["echo", "--max-attempts", "0"], 2, ["--max-attempts"]),
        ([], 2, ["PIPELINE"]),
    ],
)
def test_what_goes_wrong(
    project: Project, url: str, arguments: list[str], code: int, words: list[str]
) -> None:
    """
    Wrong input gives exit code 2, a run that failed 1; both say why, and print no value.
    """
    done = project.run("call", *arguments, "--url", url, code=code)

    assert "" == done.stdout
    assert [] == [word for word in words if word not in done.stderr]


def test_a_number_that_is_none_needs_no_quotes(project: Project) -> None:
    """
    The hint that a text wants quotes is for what could be a text.
    """
    assert "quotes" not in project.run("call", "echo", "-i", "NaN", code=2).stderr


@pytest.mark.parametrize("command", [["call", "echo"], ["load", "echo"], ["jobs", "show", "a1"]])
@pytest.mark.parametrize(
    "url", ["notaurl", "127.0.0.1:5000", "http://", "http://host:port", "ftp://x"]
)
def test_what_is_no_address(project: Project, command: list[str], url: str) -> None:
    """
    What cannot be the address of a server is wrong input, from the option and the environment.
    """
    for told in (
        project.run(*command, "--url", url, code=2).stderr,
        project.run(*command, code=2, CHARIOTS_URL=url).stderr,
    ):
        assert repr(url) in told
        assert "--url" in told
        assert "http://host:port" in told


def test_timeout_bounds_the_answer(project: Project, url: str) -> None:
    """
    A run in the request is waited for as long as --timeout says, and the options are named.
    """
    gate = project.folder / "gate"
    try:
        told = project.run("call", "hold", "--timeout", "0.5", "--url", url, code=3).stderr
    finally:
        # The server takes one request at a time.
        gate.touch()
        project.run("call", "echo", "--url", url)
        gate.unlink()

    assert "did not answer within 0.5 s" in told
    assert "--timeout, or --worker" in told
    assert "use_worker" not in told


@pytest.mark.parametrize("command", [["call", "echo"], ["load", "echo"], ["jobs", "show", "a1"]])
def test_server_out_of_reach(project: Project, command: list[str]) -> None:
    """
    A server that nobody reaches gives exit code 3, and its address.
    """
    port = free_port()
    told = project.run(*command, "--url", f"http://127.0.0.1:{port}", code=3).stderr

    assert str(port) in told


def test_job_is_followed_by_its_id(project: Project, url: str, app: App) -> None:
    """
    A call on a worker prints the job's id alone, which shows the job before and after it ran.
    """
    called = project.run("call", "echo", "-i", "[1]", "--worker", "--url", url)
    job_id = called.stdout.strip()
    assert f"chariots jobs show {job_id}" in called.stderr

    before = facts(project.run("jobs", "show", job_id, "--url", url).stdout)
    assert ("queued", "echo") == (before["status"], before["pipeline"])
    worker = project.start("worker", "project:app")
    try:
        wait_until(lambda: app.job_store.get(job_id).status.is_final, message=lambda: project.log)
    finally:
        worker.terminate()
        worker.wait()
    after = facts(project.run("jobs", "show", job_id, "--url", url).stdout)
    assert ("done", "1", "[1]") == (after["status"], after["attempt"], after["output"])
    whole = json.loads(project.run("jobs", "show", job_id, "--json", "--url", url).stdout)
    assert ("done", job_id) == (whole["status"], whole["id"])


def test_waiting_shows_progress(project: Project, url: str) -> None:
    """
    58: a call that waits tells how far the job is, on the error stream, then prints the value;
    with --json also who decided that it was a job.
    """
    worker = project.start("worker", "project:app")
    try:
        done = project.run(
            "call", "steps", "-i", '"x"', "--worker", "--wait", "--timeout", "40", "--url", url
        )
        whole = project.run("call", "echo", "--worker", "--wait", "--json", "--url", url)
    finally:
        worker.terminate()
        worker.wait()

    assert '"x"\n' == done.stdout
    first, *steps = done.stderr.splitlines()
    assert first.startswith("job ")
    assert {"counting"} <= set(" ".join(steps).split())
    answer = json.loads(whole.stdout)
    assert ("done", True, "request") == (
        answer["job_status"],
        answer["use_worker"],
        answer["decided_by"],
    )


def test_failed_job(project: Project, url: str) -> None:
    """
    21: a job that failed gives exit code 1 from the call that waited, and from its look-up.
    """
    worker = project.start("worker", "project:app")
    try:
        called = project.run("call", "fail", "-i", "1", "--worker", "--wait", "--url", url, code=1)
    finally:
        worker.terminate()
        worker.wait()
    job_id = called.stderr.split()[1]

    assert "I do not like 1" in called.stderr
    shown = facts(project.run("jobs", "show", job_id, "--url", url, code=1).stdout)
    assert ("failed", "user_error") == (shown["status"], shown["reason"])
    assert "ValueError: I do not like 1" == shown["error"]
    assert "fail" == shown["node"]


def test_waiting_ends_in_time(project: Project, url: str) -> None:
    """
    A wait for a job that no worker takes ends, with exit code 1; the job goes on.
    """
    done = project.run("call", "echo", "--worker", "--wait", "--timeout", "2", "--url", url, code=1)
    job_id = done.stderr.split()[1]

    assert "has not finished after 2 s; it goes on" in done.stderr
    assert f"--timeout, or see how it goes with `chariots jobs show {job_id}`" in done.stderr


def test_whole_answer(project: Project, url: str) -> None:
    """
    With --json the answer tells versions, and who decided where it ran.
    """
    answer = json.loads(project.run("call", "echo", "-i", "1", "--json", "--url", url).stdout)

    assert (1, "done", False, "default") == (
        answer["value"],
        answer["job_status"],
        answer["use_worker"],
        answer["decided_by"],
    )
    assert ["echo"] == list(answer["versions"])


@pytest.mark.parametrize("job_id", ["nobody", "../x", "é", ""])
def test_unknown_job(project: Project, url: str, job_id: str) -> None:
    """
    11: a job that is not there gives exit code 2.
    """
    assert "no job" in project.run("jobs", "show", job_id, "--url", url, code=2).stderr


def facts(text: str) -> dict[str, str]:
    """
    Names and values that stand under each other.
    """
    return {
        name: value.strip()
        for name, _, value in (line.partition(" ") for line in text.splitlines())
    }


def test_progress_on_a_terminal(project: Project, url: str) -> None:
    """
    58: on a terminal the progress is a line that changes, and is gone at the end.
    """
    worker = project.start("worker", "project:app")
    master, slave = pty.openpty()
    command = ["call", "steps", "-i", "7", "--worker", "--wait", "--url", url]
    with subprocess.Popen(
        project.command(*command), stdout=subprocess.PIPE, stderr=slave, text=True
    ) as process:
        os.close(slave)
        shown = b"".join(iter(lambda: read(master), b"")).decode()
        os.close(master)
        assert process.stdout is not None
        assert "7\n" == process.stdout.read()
    worker.terminate()
    worker.wait()

    assert 0 == process.returncode
    assert "counting" in shown
    assert "\x1b[2K" in shown


@pytest.mark.parametrize("command", ["load", "save"])
def test_versions_are_printed(project: Project, url: str, command: str) -> None:
    """
    What serves after a load or a save is printed by node, or with --json as the server says it.
    """
    shown = facts(project.run(command, "echo", "--url", url).stdout)
    whole = json.loads(project.run(command, "echo", "--json", "--url", url).stdout)

    assert ["echo"] == list(shown)
    assert (shown, True) == (whole["versions"], whole["loaded"])


@pytest.mark.parametrize("command", ["load", "save"])
def test_versions_of_nobody(project: Project, url: str, command: str) -> None:
    """
    A pipeline that the server does not serve gives exit code 2, and its name.
    """
    assert "'nobody'" in project.run(command, "nobody", "--url", url, code=2).stderr
