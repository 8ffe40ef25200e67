"""
Behaviours 1 to 5: a backend is found by its name, describes itself, and reads its settings.
"""

from __future__ import annotations

import traceback
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from chariots_core.errors import (
    BackendBroken,
    BackendError,
    BackendIncompatible,
    BackendMisconfigured,
    BackendNotInstalled,
)
from chariots_core.testing.conformance.behaviours import basic
from chariots_core.testing.conformance.broker import BrokerServer
from chariots_core.testing.conformance.fixtures import KitFixtures, not_declared
from chariots_core.testing.conformance.harness import Deployment
from chariots_core.workers.discovery import (
    BACKENDS_GROUP,
    PluginEntry,
    find_backend,
    find_entries,
)
from chariots_core.workers.hookspecs import CONTRACT_VERSION
from chariots_core.workers.plugins import PluginManager

#: A plugin that nobody can import, and that notes that somebody tried.
BROKEN: Final = """
import pathlib
pathlib.Path({marker!r}).touch()
raise RuntimeError("a plugin that nobody asked for")
"""

#: A plugin of another contract.
FOREIGN: Final = """
from chariots_core.workers import BackendInfo, Capabilities, hookimpl

@hookimpl
def chariots_backend_info():
    return BackendInfo(contract_version={version}, capabilities=Capabilities())

@hookimpl
def {hook}(name, options):
    raise AssertionError("it was to be refused")
"""


class Discovery(KitFixtures):
    """
    Discovery and configuration, of a backend that has an entry point.
    """

    @basic
    def test_01_a_backend_is_loaded_by_its_name_alone(self, deployment: Deployment) -> None:
        """
        1: a process that asks for the backend imports it, and no other installed one.
        """
        entry = entry_of(deployment)
        others = [e for e in find_entries(BACKENDS_GROUP) if e.distribution != entry.distribution]
        modules = [_module(found) for found in (entry, *others)]

        loaded = deployment.remote().call("loaded", names=modules)

        assert [_module(entry)] == loaded
        assert deployment.pool.name == entry.name

    @basic
    def test_02_an_unknown_name_gets_the_names_that_there_are(self, deployment: Deployment) -> None:
        """
        2: a name that nobody has is refused, with the installed names.
        """
        entry = entry_of(deployment)

        with pytest.raises(BackendNotInstalled) as caught:
            PluginManager().create_worker_pool(f"{entry.name}-of-nobody")

        assert repr(entry.name) in str(caught.value)

    @basic
    def test_02_a_broken_sibling_does_not_matter(
        self, deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        2: an installed backend that cannot be imported is left alone.
        """
        marker = tmp_path / "imported"
        name = install(tmp_path / "site", BROKEN.format(marker=str(marker)), monkeypatch)
        elsewhere = deployment.remote()

        record = elsewhere.call("submit", pipeline="echo", value=1)

        assert "queued" == record["status"]
        assert not marker.exists()
        with pytest.raises(BackendBroken, match="nobody asked for"):
            PluginManager().use_backend(name)

    @basic
    def test_03_facts_need_no_broker(
        self, deployment: Deployment, broker: BrokerServer | None
    ) -> None:
        """
        3: what a backend says of itself is known with the queue down, and nothing is opened.
        """
        info = PluginManager().use_backend(entry_of(deployment).name)
        with _stopped(broker):
            elsewhere = deployment.remote()
            facts = elsewhere.call("facts")
            opened = elsewhere.call("making")["events"]

        assert CONTRACT_VERSION == info.contract_version == facts["contract_version"]
        assert info.capabilities == deployment.pool.capabilities
        declared = facts["capabilities"]
        assert list(info.capabilities.names()) == [
            n for n, told in declared.items() if told is True
        ]
        assert sorted(info.capabilities.isolation) == declared["isolation"]
        assert [] == opened

    @basic
    def test_04_bad_settings_are_named_and_not_shown(
        self, deployment: Deployment, settings: Mapping[str, Any]
    ) -> None:
        """
        4: every unknown option is named at once, and no value of it is shown.
        """
        entry_of(deployment)
        secret = f"hunter2-{uuid.uuid4().hex}"
        bad = {"an_option_of_nobody": secret, "another_of_nobody": secret}

        with pytest.raises(BackendMisconfigured) as caught:
            PluginManager().create_worker_pool({**settings, **bad})

        told = str(caught.value)
        assert [] == [key for key in bad if key not in told]
        assert secret not in "".join(traceback.format_exception(caught.value))
        assert secret not in repr(caught.value)

    @basic
    def test_04_a_pool_does_not_show_its_settings(
        self, deployment: Deployment, settings: Mapping[str, Any]
    ) -> None:
        """
        4: the text of a pool, which gets into logs, holds none of its settings.
        """
        shown = f"{deployment.pool!r} {deployment.pool} {deployment.app!r}"

        given = [text for text in texts_in(settings) if text != settings.get("backend")]
        assert [] == [text for text in given if len(text) > 3 and text in shown]

    @basic
    def test_05_another_contract_is_refused(
        self, deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        5: a plugin of another contract beside this one is refused, and says which it has.
        """
        entry_of(deployment)
        source = FOREIGN.format(version=CONTRACT_VERSION + 1, hook="chariots_create_worker_pool")
        name = install(tmp_path / "site", source, monkeypatch)

        with pytest.raises(BackendIncompatible, match=str(CONTRACT_VERSION + 1)):
            PluginManager().create_worker_pool(name)

    @basic
    def test_05_a_misspelt_hook_is_refused(
        self, deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        5: a hook that does not exist is an error that names it, not a silence.
        """
        entry_of(deployment)
        source = FOREIGN.format(version=CONTRACT_VERSION, hook="chariots_create_worker_poll")
        name = install(tmp_path / "site", source, monkeypatch)

        with pytest.raises(BackendBroken, match="chariots_create_worker_poll"):
            PluginManager().create_worker_pool(name)


def entry_of(deployment: Deployment) -> PluginEntry:
    """
    The entry point by which the backend is found; without one the test is not declared.
    """
    try:
        return find_backend(str(deployment.config.worker_pool.get("backend")))
    except BackendError:
        not_declared("an entry point by which the backend is found")


def install(folder: Path, source: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """
    Install a backend of this *source* for the test and the processes it starts; its name.
    """
    name = f"kit_{uuid.uuid4().hex[:12]}"
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / f"{name}.py").write_text(source)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{BACKENDS_GROUP}]\n{name} = {name}\n")
    monkeypatch.syspath_prepend(str(folder))
    return name


def texts_in(value: object) -> Iterator[str]:
    """
    The texts in settings, however deep.
    """
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from texts_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from texts_in(inner)


@contextmanager
def _stopped(broker: BrokerServer | None) -> Iterator[None]:
    """
    Have the queue down within the block, where a test may stop it.
    """
    if broker is None or not hasattr(broker, "stop"):
        yield
        return
    broker.stop()
    try:
        yield
    finally:
        broker.start()


def _module(entry: PluginEntry) -> str:
    return entry.target.partition(":")[0]
