"""
What the documentation lists is what the code has.
"""

from __future__ import annotations

import ast
import re
import runpy
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain, product
from pathlib import Path
from typing import Any

import pytest

from chariots_core.cli.main import COMMANDS
from chariots_core.jobs.outcomes import (
    after_failure,
    after_queue_timeout,
    after_waiting,
    again,
)
from chariots_core.jobs.record import JobRecord
from chariots_core.jobs.status import TRANSITIONS, JobStatus, Reason
from chariots_core.op_store_http import OpStoreClient
from chariots_core.resolver import resolve
from chariots_core.server import PipelinesServer, problems
from chariots_core.server.op_store import OpStoreServer
from chariots_core.workers import hookspecs
from chariots_core.workers.checks import ALONE, HOOKS, REQUIRED
from tests.support import ROOT

SOURCES = [
    "chariots_core",
    "chariots",
    "plugins/chariots_dramatiq/src",
    "plugins/chariots_ml/src",
    "plugins/chariots_rq/src",
]


def page(name: str) -> str:
    """
    The text of a page.
    """
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def table_rows(name: str, heading: str | None = None) -> list[list[str]]:
    """
    The cells of the tables of a page, or of one section of it, without their heads.
    """
    text = page(name)
    if heading is not None:
        text = text.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows: list[list[str]] = []
    for line in text.splitlines():
        if line.startswith("|---"):
            rows.pop()
        elif line.startswith("|"):
            rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def code_in(cell: str) -> set[str]:
    """
    What a cell shows as code.
    """
    return set(re.findall(r"`([^`]+)`", cell))


def test_reference_lists_every_transition() -> None:
    """
    The table of states shows each state and all that may follow it.
    """
    rows = table_rows("reference/jobs.md", "States")
    shown = {name.strip("`"): code_in(after) for name, _, after in rows}
    real = {status.value: {after.value for after in TRANSITIONS[status]} for status in JobStatus}

    assert real == shown


def test_reference_lists_every_reason() -> None:
    """
    The table of reasons has a line for each reason that the core gives.
    """
    shown = {name.strip("`") for name, *_ in table_rows("reference/jobs.md", "Reasons")}
    real = {value for name, value in vars(Reason).items() if name.isupper()}

    assert real == shown


def job(**facts: Any) -> JobRecord:
    """
    A job in its first attempt.
    """
    return JobRecord(
        **{
            "id": "j",
            "seq": 1,
            "app": "a",
            "pipeline": "p",
            "backend": "b",
            "queue": "q",
            "status": JobStatus.running,
            "attempt": 1,
            "created_at": datetime(2026, 1, 1, tzinfo=UTC),
            **facts,
        }
    )


def met_after_failure(reason: str) -> Iterator[tuple[str, JobStatus]]:
    """
    What a job comes to, with which reason, when an attempt ended for *reason*.
    """
    for attempts, attempt, delay, retryable in product((1, 2), (1, 2), (0.0, 1.0), (True, False)):
        record = job(max_attempts=attempts, attempt=attempt, retry_delay=delay)
        status, changes = after_failure(record, reason=reason, error=None, retryable=retryable)
        yield changes["reason"], status


def met_after_hand_back(reason: str) -> Iterator[tuple[str, JobStatus]]:
    """
    The same where a worker gave the job back for *reason*, at once or for later.
    """
    for delay in (0.0, 1.0):
        status, _ = again(job(), delay)
        yield reason, status
        for after in (after_waiting, after_queue_timeout):
            status, changes = after(job(status=status, reason=reason))
            yield changes["reason"], status


def test_reference_shows_each_reason_with_its_states() -> None:
    """
    The states beside the reasons of attempts and of hand-backs are those that the core writes.
    """
    failures = [
        Reason.FRAMEWORK_ERROR,
        Reason.MODEL_UNAVAILABLE,
        Reason.PUBLICATION_FAILED,
        Reason.RESULT_NOT_SERIALIZABLE,
        Reason.RESULT_TOO_LARGE,
        Reason.STORE_UNAVAILABLE,
        Reason.TIMEOUT,
        Reason.TRAINING_IN_PROGRESS,
        Reason.USER_ERROR,
        Reason.VERSION_CONFLICT,
        Reason.WORKER_LOST,
    ]
    met: dict[str, set[str]] = {}
    for reason, status in [
        *chain.from_iterable(map(met_after_failure, failures)),
        *met_after_hand_back(Reason.WORKER_STOPPED),
        *met_after_hand_back(Reason.UNKNOWN_PIPELINE),
        *met_after_hand_back(Reason.VERSION_CONFLICT),
    ]:
        met.setdefault(reason, set()).add(status.value)
    shown = {
        name.strip("`"): set(states.split(", "))
        for name, states, _ in table_rows("reference/jobs.md", "Reasons")
    }

    assert met == {reason: shown[reason] for reason in met}


def test_every_reason_has_its_name() -> None:
    """
    The code gives a reason by its name in `Reason`, so that the table can be held against it.

    Reasons of one word are left out: others mean something else by ``timeout``.
    """
    known = {value for name, value in vars(Reason).items() if name.isupper() and "_" in value}
    written = {
        f"{path.relative_to(ROOT)}:{node.lineno} {node.value!r}"
        for path in (ROOT / "chariots_core").rglob("*.py")
        if path.name != "status.py" and "testing" not in path.parts
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in known
    }

    assert set() == written


def test_reference_lists_every_route() -> None:
    """
    The tables of HTTP have a line for each route of the servers, and no other.
    """
    shown = {
        (row[0].split()[0], path)
        for row in table_rows("reference/http.md")
        if row[0].startswith(("DELETE ", "GET ", "PATCH ", "POST ", "PUT "))
        for path in code_in(row[0])
    }
    real = {
        (method, rule.rule)
        for server in (
            PipelinesServer([], import_name="reference"),
            OpStoreServer(OpStoreClient("http://docs")),
        )
        for rule in server.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.endpoint != "static"
    }

    assert real == shown


def test_reference_lists_every_problem() -> None:
    """
    The table of problems has a line for each name that the server's errors have.
    """
    source = Path(problems.__file__).read_text(encoding="utf-8")
    real = {slug for _, slug, _, _ in problems._TABLE} | set(re.findall(r'slug="([^"]+)"', source))
    shown = {row[0].strip("`") for row in table_rows("reference/problems.md", "Of requests")}

    assert real | {"payload-too-large"} == shown


@pytest.mark.parametrize(
    "path",
    [
        "README.md",
        "CONTRIBUTING.md",
        "docs/tutorials/first-model.md",
        "docs/how-to/run-on-workers.md",
    ],
)
def test_the_command_is_found(path: str) -> None:
    """
    Where a reader first needs what ``make`` has installed, it says how it is found.
    """
    venv = re.search(r"^VENV := (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert venv is not None

    assert f"`source {venv[1]}/bin/activate`" in (ROOT / path).read_text(encoding="utf-8")


def test_reference_lists_every_command() -> None:
    """
    The table of commands has a line for each command.
    """
    shown = {
        text.split()[1]
        for row in table_rows("reference/commands.md")
        for text in code_in(row[0])
        if text.startswith("chariots ")
    }

    assert set(COMMANDS) == shown


def test_reference_lists_every_setting_of_the_environment() -> None:
    """
    Each variable that the code names is explained, and no other.
    """
    files = [path for folder in SOURCES for path in (ROOT / folder).rglob("*.py")]
    real = {
        name
        for path in files
        if "conformance" not in path.parts
        for name in re.findall(r"CHARIOTS_[A-Z_]*[A-Z]", path.read_text(encoding="utf-8"))
    }
    shown = {row[0].strip("`") for row in table_rows("reference/commands.md", "Environment")}

    assert real == shown


def test_guide_tells_who_decides() -> None:
    """
    The guide's table of switches says what the resolver does.
    """
    switches = {"yes": True, "no": False, "-": None}
    rows = table_rows("how-to/run-in-workers.md", "Ask for workers in three ways")

    assert 12 == len(rows)
    for *cells, place, level in rows:
        decision = resolve(*(switches[cell] for cell in cells))
        assert ("on a worker" == place, level) == (decision.use_worker, decision.decided_by), cells


def test_reference_lists_every_hook() -> None:
    """
    Each hook has a section with its signature and its text, which come from the code.
    """
    sections = re.findall(r"^## (chariots_\w+)\n", page("reference/hooks.md"), re.MULTILINE)
    shown = re.findall(
        r"^\.\. autofunction:: chariots_core\.workers\.hookspecs\.(\w+)$",
        page("reference/hooks.md"),
        re.MULTILINE,
    )

    assert list(HOOKS) == sections == shown
    assert [] == [name for name in HOOKS if not getattr(hookspecs, name).__doc__]


def test_reference_tells_how_hooks_are_called() -> None:
    """
    The table of hooks says which a backend must have, and which can be wrapped.
    """
    shown = {
        name.strip("`"): (user, wrapped)
        for name, user, _, wrapped in table_rows("reference/hooks.md")
    }
    real = {
        name: (
            "backends, which must have it" if name in REQUIRED else "every plugin",
            "no" if name in ALONE else "yes",
        )
        for name in HOOKS
    }

    assert real == shown
    assert f"It is {hookspecs.CONTRACT_VERSION}." in page("reference/hooks.md")


def test_pictures_are_what_their_script_draws() -> None:
    """
    The pictures of the page on versions are those of ``docs/pictures/versions.py``.
    """
    script = runpy.run_path(str(ROOT / "docs/pictures/versions.py"))
    drawn = {f"{each.name}.svg": script["drawn"](each) for each in script["pictures"]()}
    folder = ROOT / "docs/explanation"
    kept = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.svg")}

    assert drawn == kept
