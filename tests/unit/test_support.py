"""
The helpers of the tests are tested too.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests import support


def test_wait_until_returns_the_value() -> None:
    """
    What the predicate gave at last is what the wait returns.
    """
    answers = iter([0, "", "there"])

    assert "there" == support.wait_until(lambda: next(answers))


def test_wait_until_says_what_was_missing() -> None:
    """
    A wait in vain fails, with the message made at that moment.
    """
    with pytest.raises(AssertionError, match=r"waited 0.05 s in vain: 3 jobs left"):
        support.wait_until(lambda: False, timeout=0.05, message=lambda: "3 jobs left")


def test_process_alive_sees_through_zombies() -> None:
    """
    This process runs; a child that ended but was not reaped does not.
    """
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    support.wait_until(lambda: not support.process_alive(child.pid))

    assert (True, 0) == (support.process_alive(os.getpid()), child.wait())


def test_hidden_services_offer_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The switch hides services even where they run, and then a skip is no failure.
    """
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("CHARIOTS_TEST_NO_SERVICES", "1")

    assert (None, False) == (support.postgres_url(), support.skip_is_failure())


def test_ci_promises_services(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    In CI with services in sight, a test without its service is a failure.
    """
    monkeypatch.setenv("CI", "true")
    monkeypatch.delenv("CHARIOTS_TEST_NO_SERVICES", raising=False)

    assert support.skip_is_failure()
