"""
What holds for every file of the repository.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import ROOT

#: What only makes sense on one machine, and addresses that an installation
#: decides by itself. Written in halves, so that this file passes its own test.
MACHINE_WORDS = [
    "/wo" + "rk/",
    "/tmp/" + "bash_jobs",
    "/tmp/" + "brief",
    "index" + "-url",
    "py" + "pi.org",
    "files.python" + "hosted",
    "registry.np" + "mjs",
]

#: Folders of modules that others import.
PACKAGES = [
    "chariots_core",
    "chariots",
    "plugins/chariots_dramatiq/src",
    "plugins/chariots_ml/src",
    "plugins/chariots_rq/src",
    "examples/worker_plugin/src",
]

#: Folders of tests.
TESTS = [
    "tests",
    "plugins/chariots_dramatiq/tests",
    "plugins/chariots_ml/tests",
    "plugins/chariots_rq/tests",
    "examples/worker_plugin/tests",
]


def repository_files() -> list[Path]:
    """
    The files that git knows, and the new ones that it does not ignore.
    """
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / name for name in listing.stdout.splitlines() if (ROOT / name).is_file()]


def python_files(*folders: str) -> list[Path]:
    """
    The Python files of some folders of the repository.
    """
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def machine_words(text: str) -> list[str]:
    """
    The words in *text* that belong to one machine.
    """
    return [word for word in MACHINE_WORDS if word in text]


def silent_modules(paths: list[Path]) -> list[str]:
    """
    The modules that do not say what they are for.
    """
    return [
        str(path.relative_to(ROOT))
        for path in paths
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]


def cases_of(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """
    The test functions and test methods of a module.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith(
            "test_"
        ):
            yield node


def silent_tests(paths: list[Path], root: Path = ROOT) -> list[str]:
    """
    The tests that do not say which behaviour they show.
    """
    return [
        f"{path.relative_to(root)}:{test.lineno} {test.name}"
        for path in paths
        for test in cases_of(ast.parse(path.read_text(encoding="utf-8")))
        if not ast.get_docstring(test)
    ]


def by_hand(source: str) -> list[str]:
    """
    What the calls of ``pytest.skip`` in *source* say that they need.
    """
    return [
        argument.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.skip"
        for argument in node.args
        if isinstance(argument, ast.Constant)
        and isinstance(argument.value, str)
        and argument.value.startswith("needs ")
    ]


def test_no_file_knows_a_machine() -> None:
    """
    No path of a machine and no address of a package registry is in any file.
    """
    found = {
        str(path.relative_to(ROOT)): words
        for path in repository_files()
        if (words := machine_words(path.read_bytes().decode("utf-8", "replace")))
    }

    assert {} == found


def test_modules_say_what_they_are_for() -> None:
    """
    Every module that others import begins with a docstring.
    """
    assert [] == silent_modules(python_files(*PACKAGES))


def test_tests_say_what_they_show() -> None:
    """
    Every test has a docstring that names the behaviour.
    """
    assert [] == silent_tests(python_files(*TESTS))


def test_a_missing_service_is_not_skipped_by_hand() -> None:
    """
    Who lacks a service asks `missing_service`, which fails where CI promises it.
    """
    skips = {
        str(path.relative_to(ROOT)): calls
        for path in python_files(*TESTS)
        if path != ROOT / "tests" / "conftest.py"
        and (calls := by_hand(path.read_text(encoding="utf-8")))
    }

    assert {} == skips


def test_checker_sees_a_skip_by_hand() -> None:
    """
    A skip that names what it needs is found; another reason is none of its business.
    """
    assert ["needs Redis"] == by_hand("pytest.skip('needs Redis')\npytest.skip('too old')\n")


def test_constraints_are_names_and_versions() -> None:
    """
    The constraints pin names to versions, and say nothing of where they come from.
    """
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    odd = [
        line
        for line in lines
        if line and not line.startswith("#") and not re.fullmatch(r"[\w.-]+==[\w.!+-]+", line)
    ]

    assert [] == odd


@pytest.mark.parametrize("word", MACHINE_WORDS)
def test_checker_sees_machine_words(word: str) -> None:
    """
    Each of the words is found inside a line.
    """
    assert [word] == machine_words(f"see {word}here")


def test_checker_sees_silent_tests(tmp_path: Path) -> None:
    """
    A method of a test class without a docstring is named with its line.
    """
    path = tmp_path / "test_x.py"
    path.write_text("class TestX:\n    def test_y(self):\n        pass\n")

    assert ["test_x.py:2 test_y"] == silent_tests([path], tmp_path)
