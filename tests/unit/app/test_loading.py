"""
Apps named by text.
"""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from chariots_core.app import App, apps_of_this_process, load_app
from chariots_core.errors import AppLoadError, BackendNotInstalled, ChariotsError

SOURCE = """
from chariots_core.app import App
from chariots_core.server import PipelinesServer

app = App("bare", [])
server = PipelinesServer([], import_name="served")
number = 3

class holder:
    inner = app
"""


@pytest.fixture(name="module", autouse=True)
def _module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """
    A module of a fresh name in the folder one stands in.
    """
    name = f"loaded_{abs(hash(request.node.nodeid))}"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    (tmp_path / f"{name}_broken.py").write_text("raise KeyError('no such setting')")
    (tmp_path / f"{name}_exits.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")
    return name


@pytest.mark.parametrize(
    ("attribute", "name"),
    [("", "bare"), (":app", "bare"), (":server", "served"), (":holder.inner", "bare")],
)
def test_an_app_is_found(module: str, attribute: str, name: str) -> None:
    """
    An App, or the server made with one, is found by module and attribute; ``app`` by default.
    """
    app = load_app(module + attribute)

    assert (name, module + (attribute or ":app")) == (app.name, app.import_spec)


@pytest.mark.parametrize(
    ("suffix", "words"),
    [
        (":nope", "no attribute 'nope'"),
        (":number", "is of type int, and no app"),
        ("_missing:app", "cannot be imported"),
        ("_broken:app", "no such setting"),
        ("_exits:app", "SystemExit"),
        (":", "module:attribute"),
    ],
)
def test_what_is_no_app_is_an_error(module: str, suffix: str, words: str) -> None:
    """
    A spec that leads nowhere is an AppLoadError that quotes it and says what is wrong.
    """
    with pytest.raises(AppLoadError, match=words) as caught:
        load_app(module + suffix)

    assert module in str(caught.value)
    assert isinstance(caught.value, ChariotsError)


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("def read():\n    return {}['x']\nread()", "line 2, in read"),
        ("app = (", "line 1"),
        ("import a_library_that_is_not_there", "line 1, in <module>"),
        ("import json\njson.loads('{')", "line 2, in <module>"),
        ("raise SystemExit(3)", "line 1, in <module>"),
    ],
)
def test_a_module_that_fails_is_told_where(
    source: str, place: str, tmp_path: Path, module: str
) -> None:
    """
    A fault in the author's module is shown in his own lines, and is no matter of how it is named.
    """
    path = tmp_path / f"{module}_faulty.py"
    path.write_text(source)
    with pytest.raises(AppLoadError, match="cannot be imported") as caught:
        load_app(f"{path.stem}:app")

    (note,) = caught.value.__notes__
    assert f'File "{path}", {place}' in note
    assert "chariots_core" not in note
    assert "importlib" not in note
    assert "module:attribute" not in str(caught.value)


@pytest.mark.parametrize("spec", ["{}_none", "{}_none.deeper", "{}.deeper"])
def test_a_module_that_is_not_there(spec: str, module: str) -> None:
    """
    Where the module itself, or a package above it, is missing, the form and the folder are told.
    """
    with pytest.raises(AppLoadError, match=r"module:attribute.* the folder that has it") as caught:
        load_app(spec.format(module))

    assert not hasattr(caught.value, "__notes__")


def test_an_error_of_chariots_passes(tmp_path: Path, module: str) -> None:
    """
    What Chariots itself finds wrong with an app is raised as it is, with the author's line.
    """
    path = tmp_path / f"{module}_twice.py"
    path.write_text(
        "from chariots_core.app import App\napp = App('x', [], worker_pool='nobodys')\n"
    )
    with pytest.raises(BackendNotInstalled, match="nobodys") as caught:
        load_app(f"{path.stem}:app")

    (note,) = caught.value.__notes__
    assert [f'File "{path}", line 2, in <module>'] == [
        line.strip() for line in note.splitlines() if "File" in line
    ]


def test_an_empty_spec_is_an_error() -> None:
    """
    No text at all is an AppLoadError, too.
    """
    with pytest.raises(AppLoadError, match="does not name an app"):
        load_app("")


def test_apps_of_this_process() -> None:
    """
    An app is known to its process as long as somebody uses it.
    """
    app = App("registered", [])
    assert app in apps_of_this_process()
    del app
    gc.collect()

    assert "registered" not in {known.name for known in apps_of_this_process()}
