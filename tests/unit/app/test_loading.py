"""
Apps named by text.
"""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from chariots_core.app import App, apps_of_this_process, load_app
from chariots_core.errors import AppLoadError, ChariotsError

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
