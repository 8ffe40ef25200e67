"""
What every worker backend must show, as tests: subclass, give fixtures, run pytest.

.. code-block:: python

    class TestMyBackend(WorkerPoolConformance):
        @pytest.fixture(scope="class")
        @classmethod
        def settings(cls, tmp_path_factory):
            store = tmp_path_factory.mktemp("store") / "jobs.db"
            return {"backend": "mine", "store_url": f"sqlite:///{store}"}

The extra ``chariots-core[kit]`` brings what it needs: pytest, psutil. Workers and
servers that the tests start do without. Tests are named by the number of the behaviour
that they show; what a backend does not declare is skipped, and says so.

A plugin of pytest, which is asked for by name, adds options:

.. code-block:: shell

    pytest -p chariots_core.testing.conformance.plugin --conformance-report build/mine.json

``--conformance-report FILE`` writes, for each test class, what is known of the backend, and
for each of the 71 behaviours whether it has passed, failed, was not declared or was not run,
with the reasons, the tests and their durations.

``--conformance-level basic`` runs the main behaviours, one kill -9 among them, in some seconds
for each backend: for the author who has just changed a line. ``full``, the default, adds the
restarts of brokers and stores, crashes in each window of a job's life, and the soak: for CI.

``--conformance-soak`` makes that soak a long one: 1,000 jobs, four workers, a kill -9 each
second, and the broker restarted twice where it can be. It prints its ledger, and
takes longer than the usual time-out of a test (``--timeout 1500``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chariots_core.testing.conformance.suite import WorkerPoolConformance

__all__ = ["WorkerPoolConformance"]


#: Modules whose assertions pytest shall explain.
_TESTS = (
    "broker",
    "cancelling",
    "capabilities",
    "crash",
    "creation",
    "discovery",
    "execution",
    "harness",
    "options",
    "recovery",
    "refusals",
    "shutdown",
    "soak",
    "submit_lookup",
    "training",
    "web_processes",
)


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import pytest

    pytest.register_assert_rewrite(*(f"{__name__}.{module}" for module in _TESTS))
    from chariots_core.testing.conformance.suite import WorkerPoolConformance

    globals()[name] = WorkerPoolConformance
    return WorkerPoolConformance
