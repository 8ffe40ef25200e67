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
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chariots_core.testing.conformance.suite import WorkerPoolConformance

__all__ = ["WorkerPoolConformance"]


#: Modules whose assertions pytest shall explain.
_TESTS = (
    "broker",
    "capabilities",
    "crash",
    "execution",
    "harness",
    "making",
    "options",
    "recovery",
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
