"""
Makes every Python example of the documentation a test, and counts the tests.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sybil import Example, Sybil
from sybil.parsers.myst import (
    CodeBlockParser,
    DocTestDirectiveParser,
    PythonCodeBlockParser,
    SkipParser,
)
from sybil.parsers.rest import DocTestParser
from sybil.parsers.rest import SkipParser as RestSkipParser

#: What the kit of worker backends adds to pytest.
pytest_plugins = ["chariots_core.testing.conformance.plugin"]

OPTIONS = ELLIPSIS | NORMALIZE_WHITESPACE

#: The most characters of a parameter that names a test.
LONG = 80

_home = Path.cwd()


def _enter(namespace: dict[str, Any]) -> None:
    """
    Examples write where they like, in a folder of their own.
    """
    namespace["_folder"] = tempfile.TemporaryDirectory(prefix="chariots-docs-")
    namespace["tmp_path"] = Path(namespace["_folder"].name)
    namespace["_at_the_end"] = []
    namespace["no_redis"] = _no_redis
    namespace["use_own_redis"] = partial(_use_own_redis, namespace["_at_the_end"])
    os.chdir(namespace["tmp_path"])


def _no_redis() -> bool:
    from tests.redis_servers import redis_program
    from tests.support import skip_is_failure

    if redis_program() is None and skip_is_failure():
        raise AssertionError("needs a redis-server, and CI has to offer it")
    return redis_program() is None


def _use_own_redis(at_the_end: list[Callable[[], None]], folder: Path) -> None:
    """
    Until the document's end, Redis is a server of its own wherever no port is named.
    """
    import redis

    from tests.redis_servers import RedisProcess

    server = RedisProcess(folder)
    server.start()
    made = redis.Redis.__init__

    def init(client: Any, *args: Any, **options: Any) -> None:
        made(client, *args, **({"port": server.port} | options))

    redis.Redis.__init__ = init  # type: ignore[method-assign, assignment]
    at_the_end += [server.kill, lambda: setattr(redis.Redis, "__init__", made)]


def _write_file(example: Example) -> None:
    """
    A block that begins with a remark of its file's name is that file, for later examples.
    """
    text: str = example.parsed
    if name := re.match(r"# (\S+\.\w+)\n", text):
        Path(name[1]).write_text(text, encoding="utf-8")


def _leave(namespace: dict[str, Any]) -> None:
    for undo in namespace["_at_the_end"]:
        undo()
    os.chdir(_home)
    namespace["_folder"].cleanup()


markdown = Sybil(
    parsers=[
        DocTestDirectiveParser(optionflags=OPTIONS),
        PythonCodeBlockParser(doctest_optionflags=OPTIONS),
        CodeBlockParser("toml", _write_file),
        CodeBlockParser("yaml", _write_file),
        SkipParser(),
    ],
    patterns=["README.md", "docs/*.md", "docs/*/*.md", "docs/*/*/*.md"],
    setup=_enter,
    teardown=_leave,
)

docstrings = Sybil(
    parsers=[DocTestParser(optionflags=OPTIONS), RestSkipParser()],
    # each depth by itself: before Python 3.13 `**` stands for one folder only
    patterns=[
        *(f"chariots_core/{'*/' * depth}*.py" for depth in range(4)),
        *(f"plugins/*/src/{'*/' * depth}*.py" for depth in range(1, 4)),
    ],
    setup=_enter,
    teardown=_leave,
)

pytest_collect_file = (markdown + docstrings).pytest()


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """
    A long text is no name of a test: it may have a time or an id in it, and then each
    process would know the test under another name.
    """
    return argname if isinstance(val, str | bytes) and len(val) > LONG else None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """
    Spreads single tests over processes, but keeps together what builds on each other.
    """
    from xdist.scheduler import LoadScopeScheduling

    scheduler = LoadScopeScheduling(config, log)
    scheduler._split_scope = scope_of  # noqa: SLF001 - the one place that a scheduler offers
    return scheduler


def scope_of(nodeid: str) -> str:
    """
    What runs in one process, in order: a document's examples, the acceptance tier, a test.
    """
    file, _, rest = nodeid.partition("::")
    if rest.startswith("line:"):
        return file
    return "acceptance" if file.startswith("tests/acceptance/") else nodeid


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """
    Adds the counts of this run to the file that a run of several steps sums up.
    """
    target = os.environ.get("CHARIOTS_TEST_TALLY")
    if not target or hasattr(config, "workerinput"):
        return
    stats = terminalreporter.stats
    counts = {
        "passed": len(stats.get("passed", [])),
        "failed": len(stats.get("failed", [])) + len(stats.get("error", [])),
        "skipped": len(stats.get("skipped", [])),
    }
    with Path(target).open("a", encoding="utf-8") as file:
        file.write(json.dumps(counts) + "\n")
