"""
What every worker backend must show, as tests: subclass, give fixtures, run pytest.

.. code-block:: python

    class TestMyBackend(WorkerPoolConformance):
        @pytest.fixture(scope="class")
        @classmethod
        def settings(cls, tmp_path_factory):
            store = tmp_path_factory.mktemp("store") / "jobs.db"
            return {"backend": "mine", "store_url": f"sqlite:///{store}"}

Only `WorkerPoolConformance` needs pytest and psutil; processes that the tests
start import other modules of this package without them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chariots_core.testing.conformance.suite import WorkerPoolConformance

__all__ = ["WorkerPoolConformance"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from chariots_core.testing.conformance import suite

        return getattr(suite, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
