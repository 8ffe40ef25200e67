"""
Backends by name: a good one works, and each way of being bad has an error of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.plugins import zoo
from tests.plugins.distributions import run_python
from tests.support import ROOT

CHOOSE = """
    import json, sys, traceback
    from chariots_core.errors import BackendError
    from chariots_core.workers.plugins import PluginManager

    spec = json.loads({spec!r})
    found = {{}}
    try:
        pool = PluginManager().create_worker_pool(spec)
        found["pool"], found["repr"] = type(pool).__name__, repr(pool)
    except BackendError as error:
        found["error"] = type(error).__name__
        found["message"] = str(error)
        found["backend"] = error.backend
        found["problems"] = list(getattr(error, "problems", ()))
        found["cause"] = type(error.__cause__).__name__
        found["traceback"] = "".join(traceback.format_exception(error))
    found["zoo"] = sorted(name for name in sys.modules if name.startswith("zoo_"))
    found["local"] = "chariots_core.local" in sys.modules
    print(json.dumps(found))
"""


def choose(spec: str, site: Path, cwd: Path, env: dict[str, str] | None = None) -> dict[str, Any]:
    """
    What comes of asking for a worker pool, *spec* being JSON.
    """
    return run_python(CHOOSE.format(spec=spec), site=site, cwd=cwd, env=env)


def test_good_backend_runs_jobs(site: Path, tmp_path: Path) -> None:
    """
    1: an installed backend is found by its name, and its workers run jobs.
    """
    (tmp_path / "queue").mkdir()
    program = f"""
        import json, sys
        sys.path.insert(0, {str(ROOT)!r})
        from tests.local.app import PlainApp
        from tests.support import wait_until

        app = PlainApp(worker_pool={{"backend": "good", "folder": "queue"}})
        job_id = app.pool.execute_pipeline_async("echo", '{{"a": [1, "é"]}}')
        before = app.pool.fetch_job(job_id).status.value
        with app.pool.spawn_worker(start_method="fork").wait_ready():
            record = wait_until(lambda: (r := app.pool.fetch_job(job_id)).status.is_final and r)
        found = [before, record.status.value, record.value, record.backend]
        print(json.dumps({{"found": found}}))
    """

    done = run_python(program, site=site, cwd=tmp_path)

    assert ["queued", "done", {"a": [1, "é"]}, "good"] == done["found"]


def test_only_the_chosen_is_imported(site: Path, tmp_path: Path) -> None:
    """
    1, 2: of many installed backends, broken ones among them, only the chosen is imported.
    """
    found = choose('{"backend": "good", "folder": "."}', site, tmp_path)

    assert ("FilePool", ["zoo_good"], False) == (found["pool"], found["zoo"], found["local"])


def test_names_are_read_without_import(site: Path, tmp_path: Path) -> None:
    """
    1: the names of backends and their distributions are known before any is imported.
    """
    program = """
        import json, sys
        from chariots_core.workers.discovery import BACKENDS_GROUP, find_entries

        entries = {e.name: [e.distribution, e.version] for e in find_entries(BACKENDS_GROUP)}
        zoo = [name for name in sys.modules if name.startswith("zoo_")]
        print(json.dumps({"entries": entries, "zoo": zoo}))
    """

    found = run_python(program, site=site, cwd=tmp_path)

    assert ["zoo-good", "1.0"] == found["entries"]["good"]
    assert {name for name, *_ in zoo.BAD} < set(found["entries"])
    assert [] == found["zoo"]


def test_unknown_name(site: Path, tmp_path: Path) -> None:
    """
    2: an unknown name gets the list of installed names and the closest of them.
    """
    found = choose('"goood"', site, tmp_path)

    assert "BackendNotInstalled" == found["error"]
    assert "'good'" in found["message"]
    assert "'local'" in found["message"]
    assert "did you mean 'good'?" in found["message"]


def test_known_name_that_is_not_installed(site: Path, tmp_path: Path) -> None:
    """
    2: who asks for a backend of this project is told which distribution has it.
    """
    program = """
        import json
        from chariots_core.workers.discovery import _missing

        print(json.dumps({"message": _missing("rq", [])}))
    """

    assert "pip install chariots-rq" in run_python(program, site=site, cwd=tmp_path)["message"]


def test_two_distributions_of_one_name(site: Path, tmp_path: Path) -> None:
    """
    A name that two distributions offer is refused, with both of them.
    """
    found = choose('"twin"', site, tmp_path)

    assert ("BackendAmbiguous", "twin") == (found["error"], found["backend"])
    assert "'zoo-twin-1' 1.0 and 'zoo-twin-2' 2.0" in found["message"]
    assert "uninstall" in found["message"]
    assert [] == found["zoo"]


@pytest.mark.parametrize(("name", "error", "words"), [(n, e, w) for n, _, e, w in zoo.BAD])
def test_bad_backend(name: str, error: str, words: list[str], site: Path, tmp_path: Path) -> None:
    """
    5: each fault of a chosen backend is an error that names plugin, fault and remedy.
    """
    found = choose(f'"{name}"', site, tmp_path)

    assert (error, name) == (found["error"], found["backend"])
    assert [] == [word for word in words if word not in found["message"]]
    assert name in found["message"]


@pytest.mark.parametrize(
    ("name", "cause"), [("no_such_import", "ModuleNotFoundError"), ("raises", "KeyError")]
)
def test_cause_is_chained(name: str, cause: str, site: Path, tmp_path: Path) -> None:
    """
    What a plugin raised itself is the cause of the error that tells of it.
    """
    assert cause == choose(f'"{name}"', site, tmp_path)["cause"]


@pytest.mark.parametrize("name", ["lost", "attribute"])
def test_entry_point_to_nowhere(name: str, site: Path, tmp_path: Path) -> None:
    """
    An entry point whose module or attribute does not exist is a broken plugin.
    """
    found = choose(f'"{name}"', site, tmp_path)

    assert "BackendBroken" == found["error"]
    assert "zoo-lost" in found["message"]


def test_bad_options(site: Path, tmp_path: Path) -> None:
    """
    4: every bad option is named at once, and no value is shown anywhere.
    """
    secret = "hunter2-hunter2-hunter2"
    spec = f'{{"backend": "good", "pasword": "{secret}", "password": "{secret}"}}'

    found = choose(spec, site, tmp_path)

    assert "BackendMisconfigured" == found["error"]
    assert [
        "option 'folder' is missing",
        "option 'password' must be a text of 20 characters at most",
        "option 'pasword' is unknown, did you mean 'password'?",
    ] == found["problems"]
    assert secret not in found["traceback"]


def test_secrets_stay_out_of_repr(site: Path, tmp_path: Path) -> None:
    """
    4: a pool shows no options.
    """
    found = choose('{"backend": "good", "folder": ".", "password": "hunter2"}', site, tmp_path)

    assert "<FilePool 'good'>" == found["repr"]


@pytest.mark.parametrize("value", ["good", '{"backend": "good", "folder": "."}'])
def test_environment_names_the_pool(value: str, site: Path, tmp_path: Path) -> None:
    """
    CHARIOTS_WORKER_POOL, a name or a JSON object, holds where the code says nothing.
    """
    found = choose("null", site, tmp_path, {"CHARIOTS_WORKER_POOL": value})

    assert "zoo_good" in found["zoo"]
    assert ("pool" in found) == value.startswith("{")


def test_code_wins_over_environment(site: Path, tmp_path: Path) -> None:
    """
    What the code says of its workers holds against the environment.
    """
    spec = '{"backend": "good", "folder": "."}'

    found = choose(spec, site, tmp_path, {"CHARIOTS_WORKER_POOL": "no_such_import"})

    assert ("FilePool", ["zoo_good"]) == (found["pool"], found["zoo"])


@pytest.mark.parametrize(
    "value", ['{"backend": "good", "password": "hunter2"', "redis://u:hunter2@h"]
)
def test_environment_shows_no_secret(value: str, site: Path, tmp_path: Path) -> None:
    """
    A setting that cannot be understood is refused without being shown.
    """
    found = choose("null", site, tmp_path, {"CHARIOTS_WORKER_POOL": value})

    assert "BackendMisconfigured" == found["error"]
    assert "hunter2" not in found["traceback"]


def test_command_lists_all(site: Path, tmp_path: Path) -> None:
    """
    `chariots backends` lists good and bad ones, each bad one with its reason.
    """
    done = subprocess.run(
        [sys.executable, "-m", "chariots_core.cli", "backends"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )
    rows = {line.split()[0]: line.split()[1:5] for line in done.stdout.splitlines()}

    assert ["zoo-good", "1.0", "1", "ok"] == rows["good"]
    assert ["chariots-core", "1", "ok"] == [rows["local"][0], *rows["local"][2:]]
    assert (["2", "broken"], ["0", "broken"]) == (rows["newer"][2:], rows["older"][2:])
    assert "fresh, thread, warm" in next(
        line for line in done.stdout.splitlines() if line.startswith("local ")
    )
    assert {"broken"} == {rows[name][3] for name, _, _, _ in zoo.BAD if name not in zoo.BAD_AT_WORK}
    assert {"ok"} == {rows[name][3] for name in zoo.BAD_AT_WORK}
    assert "a_library_that_is_not_there" in done.stderr
    assert "RuntimeError: do not look at me" in done.stderr
    assert "Traceback" not in done.stderr
