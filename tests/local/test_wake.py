"""
How an idle worker is woken: who is notified, and what becomes of the dead.
"""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from chariots_core.local.wake import Listener, Notifier, meeting_place
from chariots_core.workers.signals import poll
from tests.support import wait_until


@pytest.fixture(name="place")
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """
    A folder to meet in, with the length of path that a real one has.
    """
    monkeypatch.chdir(tmp_path)
    return Path("chariots-0") / "meet"


def heard(listener: Listener) -> bool:
    """
    Whether a listener was notified, which it forgets.
    """
    if not poll(listener.fds, 0.0):
        return False
    listener.drain()
    return True


def test_only_idle_workers_hear(place: Path) -> None:
    """
    A worker is notified while it is idle, and not while it is busy.
    """
    with Listener(place, ("default",)) as listener:
        assert 0 == Notifier(place).notify("default")
        listener.show(idle=True)
        assert 1 == Notifier(place).notify("default")
        assert heard(listener)
        listener.show(idle=False)
        assert 0 == Notifier(place).notify("default")
        assert not heard(listener)


def test_only_workers_of_the_queue_hear(place: Path) -> None:
    """
    A worker of another queue sleeps on.
    """
    with Listener(place, ("big", "small")) as both, Listener(place, ("default",)) as other:
        both.show(idle=True)
        other.show(idle=True)
        assert 1 == Notifier(place).notify("small")
        assert (True, False) == (heard(both), heard(other))


def test_many_notifiers_wake_once(place: Path) -> None:
    """
    However often it is notified, a worker that slept forgets it all at once; no notifier blocks.
    """
    with Listener(place, ("default",)) as listener:
        listener.show(idle=True)
        notifier = Notifier(place)
        for _ in range(2000):
            assert 1 == notifier.notify("default")
        assert heard(listener)
        assert not heard(listener)


def test_nobody_ever_listened(tmp_path: Path) -> None:
    """
    To notify where no worker has been is no error.
    """
    assert 0 == Notifier(tmp_path / "nobody").notify("default")
    assert 0 == Notifier(None).notify("default")


def leave_behind(place: Path, *, idle: bool) -> None:
    """
    Has a process listen and end without a farewell.
    """
    pid = os.fork()
    if pid == 0:
        Listener(place, ("default",)).show(idle=idle)
        os._exit(0)
    os.waitpid(pid, 0)
    assert 1 == len(list(place.iterdir()))


def test_killed_idle_worker_is_forgotten(place: Path) -> None:
    """
    What a worker that was killed while idle left behind is removed by the next who rings.
    """
    leave_behind(place, idle=True)

    assert 0 == Notifier(place).notify("default")
    assert [] == list(place.iterdir())


def test_killed_busy_worker_is_forgotten(place: Path) -> None:
    """
    What a worker that was killed while busy left behind is removed by the next who listens.
    """
    leave_behind(place, idle=False)

    with Listener(place, ("default",)) as first, Listener(place, ("default",)) as second:
        assert 2 == len(list(place.iterdir()))
        assert (False, True) == (heard(second), heard(first))
    assert [] == list(place.iterdir())


def test_folder_is_private(place: Path) -> None:
    """
    Nobody else can notify, or put a socket of his own there.
    """
    with Listener(place, ("default",)):
        for folder in (place, place.parent):
            assert 0o700 == stat.S_IMODE(folder.stat().st_mode)


def test_folder_of_somebody_else(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    """
    A folder that others can write to is not used: the worker says so and polls.
    """
    place.parent.mkdir()
    place.parent.chmod(0o777)
    with Listener(place, ("default",)) as listener:
        assert [] == listener.fds
        listener.show(idle=True)
        listener.drain()
    assert "is not private" in caplog.text


def test_folder_that_was_cleaned_up(place: Path) -> None:
    """
    A worker whose socket was removed under it goes on, and polls.
    """
    with Listener(place, ("default",)) as listener:
        for path in place.iterdir():
            path.unlink()
        listener.show(idle=True)
        assert 0 == Notifier(place).notify("default")


def test_place_tells_nothing_and_is_short() -> None:
    """
    The folder's name has nothing of the address, and leaves room for a socket's name.
    """
    place = meeting_place("postgresql://u:s3cret@host/db", "app")
    assert place is not None

    assert "s3cret" not in str(place)
    assert "host" not in str(place)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe, pytest.raises(OSError) as error:
        probe.connect(str(place / ("x" * 40)))
    assert "too long" not in str(error.value)


def test_places_differ_by_store_and_app() -> None:
    """
    70: another app or another store is another place.
    """
    places = {meeting_place(url, app) for url in ("sqlite:///a", "sqlite:///b") for app in "xy"}

    assert 4 == len(places)


def test_waker_may_be_another_process(place: Path) -> None:
    """
    Any process of the user can notify.
    """
    with Listener(place, ("default",)) as listener:
        listener.show(idle=True)
        pid = os.fork()
        if pid == 0:
            Notifier(place).notify("default")
            os._exit(0)
        wait_until(lambda: heard(listener), message="the notification")
        os.waitpid(pid, 0)
