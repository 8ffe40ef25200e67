"""
How an op says how far it is.
"""

from __future__ import annotations

import contextvars
import math
import threading

import pytest

from chariots_core.jobs.record import Progress
from chariots_core.pipelines import Node, Pipeline
from chariots_core.progress import report, reporting
from tests.unit.pipelines.ops_for_tests import call


def test_without_a_run_nothing_happens() -> None:
    """
    An op that reports can be executed anywhere.
    """
    report(1, total=2, message="nobody listens")


def test_reports_of_a_run() -> None:
    """
    Each node is reported as it begins, and its own reports name it.
    """
    heard: list[Progress] = []
    inner = Pipeline([call(lambda: report(1, 4, "epoch"), "fit")], "inner")
    outer = Pipeline([call(lambda: report(0.5), "load"), Node(inner)], "outer")

    with reporting(heard.append) as node_started:
        outer.run(on_node=node_started)

    assert [
        Progress(done=0, total=2, node="load"),
        Progress(done=0.5, node="load"),
        Progress(done=1, total=2, node="inner/fit"),
        Progress(done=1, total=4, node="inner/fit", message="epoch"),
    ] == heard


def test_reports_end_with_the_block() -> None:
    """
    After the block, also after an exception, nobody is told; an outer listener is back.
    """
    outer: list[Progress] = []
    inner: list[Progress] = []

    with reporting(outer.append):
        with pytest.raises(ValueError, match="finite"), reporting(inner.append):  # noqa: PT012
            report(1)
            report(math.nan)
        report(2)
    report(3)

    assert ([2.0], [1.0]) == ([each.done for each in outer], [each.done for each in inner])


def test_threads_report_to_their_own_run() -> None:
    """
    A run in another thread hears nothing of this one, unless it takes the context along.
    """
    heard: list[Progress] = []

    with reporting(heard.append):
        context = contextvars.copy_context()
        for target in (lambda: report(1), lambda: context.run(report, 2)):
            thread = threading.Thread(target=target)
            thread.start()
            thread.join(10)

    assert [2.0] == [each.done for each in heard]


@pytest.mark.parametrize(("done", "total"), [(math.nan, None), (1, math.inf)])
def test_numbers_have_to_be_finite(done: float, total: float | None) -> None:
    """
    What cannot be written down as a number is refused.
    """
    heard: list[Progress] = []

    with reporting(heard.append), pytest.raises(ValueError, match="give a finite number"):
        report(done, total)

    assert [] == heard
