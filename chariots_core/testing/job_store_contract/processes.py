"""
The contract of a job store's list of processes.
"""

from __future__ import annotations

import pytest

from chariots_core.jobs.processes import ProcessRecord
from chariots_core.jobs.record import WorkerRecord
from chariots_core.jobs.store import JobStore
from chariots_core.testing.job_store_contract.harness import StoreHarness, StoreTests


def process(id_: str = "p", **facts: object) -> ProcessRecord:
    """
    A web process.
    """
    given: dict[str, object] = {"kind": "web", "host": "box", "pid": 7, "pipelines": ("a", "ü")}
    return ProcessRecord(id=id_, **given | facts)  # type: ignore[arg-type]


class ProcessContract(StoreTests):
    """
    Processes report themselves, for a while, and are no workers.
    """

    @pytest.fixture(autouse=True)
    def _keeps_processes(self, store: JobStore) -> None:
        if type(store).report_process is JobStore.report_process:
            pytest.skip("not declared: this store keeps no processes")

    def test_process_comes_back_as_it_was_reported(self, store: JobStore) -> None:
        """
        Other processes read the report of a process as it was written, fingerprint included.
        """
        given = process(op_store="sqlite:///o'p.db", op_store_id="m:1:2")

        store.report_process(given, ttl=60)

        assert [given] == store.processes()
        assert [given.fingerprint] == [found.fingerprint for found in store.processes()]

    def test_the_last_report_counts(self, store: JobStore) -> None:
        """
        A process that reports itself again is one process, with its newest facts.
        """
        store.report_process(process("b"), ttl=60)
        store.report_process(process("a"), ttl=60)
        store.report_process(process("b", pipelines=()), ttl=60)

        assert [process("a"), process("b", pipelines=())] == store.processes()

    def test_a_process_is_forgotten_after_its_time(
        self, store: JobStore, harness: StoreHarness
    ) -> None:
        """
        A process that reports itself no more is not listed after its time, and a later
        report removes its rows.
        """
        store.report_process(process("a"), ttl=10)
        store.report_process(process("b"), ttl=100)
        harness.advance(11)
        left = store.processes()
        store.report_process(process("c"), ttl=10)
        harness.advance(11)

        assert [process("b")] == left
        assert [process("b")] == store.processes()

    def test_a_process_that_leaves_is_gone(self, store: JobStore) -> None:
        """
        A process that ends removes itself; an unknown id is not an error.
        """
        store.report_process(process("a"), ttl=60)

        store.remove_process("a")
        store.remove_process("a")
        store.remove_process("\x00")

        assert [] == store.processes()

    def test_processes_are_not_workers(self, store: JobStore) -> None:
        """
        A worker and a process of one id are two things.
        """
        store.report_process(process("a"), ttl=60)
        store.beat(WorkerRecord(id="w", backend="local"), ttl=60)

        assert ["w"] == [worker.id for worker in store.workers()]
        assert ["a"] == [found.id for found in store.processes()]

    def test_processes_belong_to_one_app(self, store: JobStore, harness: StoreHarness) -> None:
        """
        An app does not see, or remove, the processes of another.
        """
        store.report_process(process("a"), ttl=60)
        other = harness.open("other")
        other.remove_process("a")

        assert [] == other.processes()
        assert [process("a")] == harness.open("app").processes()
