"""
Behaviours 9 to 20: a job is recorded when it is accepted, and looked up from anywhere.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import attrs
import pytest

from chariots_core.errors import JobNotFound
from chariots_core.jobs import JobRecord, JobStatus, new_job_id
from chariots_core.testing.conformance.behaviours import basic
from chariots_core.testing.conformance.fixtures import KitFixtures
from chariots_core.testing.conformance.harness import Deployment, times
from chariots_core.testing.conformance.processes import Workers
from chariots_core.testing.conformance.remote import as_plain

#: Ids that no job can have, or that no job has.
NO_IDS: Final = ("0" * 32, "", "x" * 10_000, "a:b", "../x", "é", "a b", "a\n", "%2e%2e", "\x00")

#: Values that JSON carries, each to come back as it went.
VALUES: Final[tuple[Any, ...]] = (
    {"nested": [{"deep": [1, [2, [3, {}]]]}, []]},
    'ünïcödé \u2028 \U0001f600 \u0000 "quoted"',
    [2**53 + 1, 2**64, -(2**70), 0.1, -0.0, 1e300],
    {},
    [],
    "",
    0,
    False,
    None,
)

#: How often behaviours that a race could break are repeated.
REPEATS: Final = 500


_ORDER: Final = {
    JobStatus.deferred: 0,
    JobStatus.queued: 1,
    JobStatus.running: 2,
    JobStatus.done: 3,
    JobStatus.failed: 3,
}


@attrs.frozen
class Sighting:
    """
    What a poller saw of one quick job.
    """

    seen: Sequence[JobRecord]


class SubmitLookup(KitFixtures):
    """
    Submission and look-up.
    """

    @basic
    def test_09_an_accepted_job_is_visible_before_any_worker_exists(
        self, deployment: Deployment
    ) -> None:
        """
        9: an accepted job reads as queued, or deferred, at once, and from elsewhere too.
        """
        queued = deployment.submit("echo", 1)
        deferred = deployment.submit("echo", 2, delay=600.0)
        elsewhere = deployment.remote()

        assert JobStatus.queued is queued.status
        assert JobStatus.queued is deployment.fetch(queued.id).status
        assert "queued" == elsewhere.call("fetch", job_id=queued.id)["status"]
        assert JobStatus.deferred is deferred.status
        assert "deferred" == elsewhere.call("fetch", job_id=deferred.id)["status"]

    @basic
    def test_10_a_job_waits_for_the_first_worker(
        self, deployment: Deployment, worker: Callable[..., Workers]
    ) -> None:
        """
        10: without a worker a job stays queued through ticks; it runs when one starts.
        """
        record = deployment.submit("echo", "patience")
        deployment.app.tick()
        assert (JobStatus.queued, 0) == _status_and_attempt(deployment.fetch(record.id))

        worker()

        assert "patience" == deployment.done(record.id)
        assert 1 == deployment.fetch(record.id).attempt

    @basic
    @pytest.mark.parametrize("job_id", NO_IDS, ids=range(len(NO_IDS)))
    def test_11_an_unknown_id_is_not_found(self, serving: Deployment, job_id: str) -> None:
        """
        11: unknown, malformed, empty, huge and hostile ids are not found, nothing else.
        """
        serving.serves()

        with pytest.raises(JobNotFound):
            serving.fetch(job_id)

    @basic
    def test_11_no_part_of_a_real_id_finds_its_job(self, serving: Deployment) -> None:
        """
        11: an id is matched whole: neither its parts nor what surrounds it count.
        """
        job_id = serving.serves().id

        for near in (job_id[:-1], f"{job_id}:1", f"{job_id}x", f"rq:job:{job_id}", f" {job_id}"):
            with pytest.raises(JobNotFound):
                serving.fetch(near)

    @basic
    def test_12_another_process_reads_the_identical_record(self, serving: Deployment) -> None:
        """
        12: a process that never submitted anything reads the same record.
        """
        record = serving.submit("echo", {"a": [1, "ü"]}, max_attempts=2, priority=0)
        serving.done(record.id)

        elsewhere = serving.remote()
        try:
            assert as_plain(serving.fetch(record.id)) == elsewhere.call("fetch", job_id=record.id)
        finally:
            elsewhere.close()

    def test_12_two_processes_tell_the_same_of_all_jobs(self, serving: Deployment) -> None:
        """
        12: of 50 jobs that two processes submit in turn, each tells what the other tells.
        """
        both = [serving.remote(), serving.remote()]
        try:
            jobs = [both[n % 2].call("submit", pipeline="echo", value=n)["id"] for n in range(50)]
            assert list(range(50)) == [serving.done(job_id) for job_id in jobs]
            for job_id in jobs:
                first, second = [elsewhere.call("fetch", job_id=job_id) for elsewhere in both]
                assert first == second
        finally:
            for elsewhere in both:
                elsewhere.close()

    @basic
    def test_13_looking_up_changes_nothing(self, serving: Deployment) -> None:
        """
        13: look-up of a finished job may be repeated, and leaves no trace.
        """
        record = serving.serves()
        events = serving.events(record.id)

        assert [record] * 20 == [serving.fetch(record.id) for _ in range(20)]
        assert events == serving.events(record.id)

    @basic
    @pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
    def test_14_a_result_round_trips_exactly(self, serving: Deployment, value: Any) -> None:
        """
        14: what JSON can carry comes back equal and of the same type.
        """
        record = serving.submit("echo", value)

        result = serving.done(record.id)

        assert json.dumps(value) == json.dumps(result)

    @basic
    def test_14_null_is_a_result(self, serving: Deployment) -> None:
        """
        14: a run that returns None is done with null; one that is not done has no result.
        """
        gated, null = serving.write("null"), serving.submit("echo", None)

        serving.done(null.id)

        assert "null" == serving.fetch(null.id).value_json
        assert serving.fetch(gated.id).value_json is None
        serving.gate("null").open()
        serving.done(gated.id)

    @basic
    def test_15_an_input_is_not_changed(self, serving: Deployment) -> None:
        """
        15: an op that changes its input in place changes neither the record nor another job.
        """
        value = ["original"]
        first, second = serving.submit("mutate", value), serving.submit("mutate", value)

        expected = ["original", "changed"]

        assert [expected, expected] == [serving.done(first.id), serving.done(second.id)]
        assert ["original"] == serving.fetch(first.id).input
        assert ["original"] == value

    @basic
    def test_16_one_id_submitted_twice_at_once_runs_once(self, serving: Deployment) -> None:
        """
        16: two processes that submit the same id at the same time make one job, run once.
        """
        serving.gate("twice").open()
        both = [serving.remote(), serving.remote()]
        try:
            for elsewhere in both:
                elsewhere.call("ping")
            for number in range(10):
                job_id, task = new_job_id(), serving.task("twice", note=number)
                for elsewhere in both:
                    elsewhere.send("submit", pipeline="write", value=task, job_id=job_id)
                assert [job_id, job_id] == [elsewhere.receive()["id"] for elsewhere in both]
                serving.done(job_id)
        finally:
            for elsewhere in both:
                elsewhere.close()

        serving.serves()
        notes = [entry.note for entry in serving.ledger("twice").starts()]
        assert list(range(10)) == sorted(notes)

    @basic
    def test_18_times_and_statuses_move_one_way(self, serving: Deployment) -> None:
        """
        18: a poller of 5 ms sees legal moves only, and times in their order.
        """
        name = f"poll-{new_job_id()}"
        record = serving.write(name)
        with ThreadPoolExecutor(1) as pool:
            polled = pool.submit(_watch, serving, record.id)
            serving.started(name)
            serving.gate(name).open()
            seen = polled.result(serving.bounds.deadline)

        assert _is_legal([record.status, *(r.status for r in seen)]), seen
        end = seen[-1]
        assert sorted(times(end)) == times(end)
        assert end.worker
        assert (JobStatus.done, 1) == _status_and_attempt(end)
        assert [JobStatus.queued, JobStatus.running, JobStatus.done] == serving.states(record.id)

    @pytest.fixture(scope="class")
    @classmethod
    def sightings(cls, _shared: Deployment) -> Sequence[Sighting]:
        """
        What a poller saw of many quick jobs, and of each one again at the end.
        """
        sightings = []
        for number in range(REPEATS):
            record = _shared.submit("echo", number)
            sightings.append(Sighting([record, *_watch(_shared, record.id, pause=0.0)]))
        return [Sighting([*s.seen, _shared.fetch(s.seen[0].id)]) for s in sightings]

    @basic
    def test_19_a_quick_job_never_reads_as_queued_after_done(
        self, sightings: Sequence[Sighting]
    ) -> None:
        """
        19: no late write puts a quick job back: statuses of 500 jobs only move forward.
        """
        illegal = [s for s in sightings if not _is_legal([r.status for r in s.seen])]

        assert [] == illegal
        assert {JobStatus.done} == {s.seen[-1].status for s in sightings}

    @basic
    def test_20_done_comes_with_its_result(self, sightings: Sequence[Sighting]) -> None:
        """
        20: whoever reads done reads the result in the same record, 500 times.
        """
        finals = [r for s in sightings for r in s.seen if r.status is JobStatus.done]

        assert REPEATS == len({r.id for r in finals})
        assert [] == [r for r in finals if r.value_json != r.input_json]


def _watch(deployment: Deployment, job_id: str, pause: float = 0.005) -> list[JobRecord]:
    """
    Read a job until its end; everything that was seen.
    """
    seen = [deployment.peek(job_id)]

    def look() -> bool:
        seen.append(deployment.peek(job_id))
        return seen[-1].status.is_final

    deployment.until(look, f"{job_id} ends", interval=pause)
    return seen


def _is_legal(statuses: Sequence[JobStatus]) -> bool:
    """
    Whether a job of one attempt may be seen in these statuses, in this order.
    """
    ranks = [_ORDER[status] for status in statuses]
    return ranks == sorted(ranks)


def _status_and_attempt(record: JobRecord) -> tuple[JobStatus, int]:
    return record.status, record.attempt
