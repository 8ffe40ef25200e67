"""
Reading records and changing them under a guard.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from chariots_core.errors import InvalidTransition, JobNotFound
from chariots_core.jobs.lifecycle import complete, mark_published
from chariots_core.jobs.record import JobError, Progress
from chariots_core.jobs.status import JobStatus
from chariots_core.jobs.store import (
    FromNow,
    Guard,
    JobStore,
    NewEvent,
    Plus,
)
from chariots_core.testing.job_store_contract.harness import (
    StoreTests,
    as_it_is,
    near,
    queued,
    started,
    told,
)

BAD_IDS = ["", "a:b", "../x", "é", "x" * 65, "x" * 10_000, "a b", "a\n", "a\x00", "%", "'; --"]
JSON_TEXTS = [
    "null",
    "{}",
    '{"a":[1,{"b":null}],"c":"\\u0000 é 日本 \\ud83d\\ude00"}',
    "123456789012345678901234567890",
    '"' + "x" * 200_000 + '"',
    "0.1",
]


class RecordContract(StoreTests):
    """
    What is written is what is read.
    """

    @pytest.mark.parametrize("job_id", ["nope", *BAD_IDS], ids=lambda text: text[:8])
    def test_unknown_and_malformed_ids(self, store: JobStore, job_id: str) -> None:
        """
        (11) An id without a job is a job that is not found, whatever its form.
        """
        queued(store)

        with pytest.raises(JobNotFound):
            store.get(job_id)
        with pytest.raises(JobNotFound):
            store.append_event(job_id, NewEvent(kind="note"))
        assert store.compare_and_set(Guard(job_id=job_id, status=JobStatus.queued)) is None
        assert [] == list(store.due(job_id=job_id))

    @pytest.mark.parametrize("text", JSON_TEXTS, ids=lambda text: text[:12])
    def test_json_comes_back_exactly(self, store: JobStore, text: str) -> None:
        """
        (14) Inputs and results come back as they were; null is a result.
        """
        running = started(store, input_json=text)
        committed = complete(store, running, value_json=text, manifest_json=text)
        mark_published(store, committed)

        read = store.get(committed.id)
        assert (text, text, text) == (read.input_json, read.value_json, read.manifest_json)
        assert json.loads(text) == read.value

    def test_no_result_is_not_null(self, store: JobStore) -> None:
        """
        (14) A job without a result has none, rather than null.
        """
        assert store.get(queued(store, input_json=None).id).value_json is None

    def test_change_of_every_field(self, store: JobStore) -> None:
        """
        Every field that may change is written, and the answer is what is read.
        """
        record = queued(store)
        at = record.created_at + timedelta(seconds=7)
        changes: dict[str, Any] = {
            "reason": "r",
            "value_json": "1",
            "value_ref": "ref",
            "versions": {"node": "v"},
            "error": JobError(type="T", message="é\x00", node="n", traceback="tb"),
            "attempt": 3,
            "progress": Progress(done=1, total=2.5, node="n", message="m"),
            "worker": "w",
            "token": 4,
            "generation": 5,
            "cancel_requested": True,
            "manifest_json": "{}",
            **dict.fromkeys(
                (
                    "lease_until",
                    "resend_at",
                    "due_at",
                    "queue_expires_at",
                    "queued_at",
                    "started_at",
                    "finished_at",
                    "expires_at",
                    "published_at",
                ),
                at,
            ),
        }
        written = store.compare_and_set(as_it_is(record), None, changes)

        assert written is not None
        assert changes == {name: getattr(written, name) for name in changes}
        assert written == store.get(record.id)
        emptied = store.compare_and_set(
            as_it_is(written),
            None,
            {"reason": None, "error": None, "progress": None, "due_at": None},
        )
        assert emptied is not None
        assert (None, None, None, None) == (
            emptied.reason,
            emptied.error,
            emptied.progress,
            emptied.due_at,
        )

    def test_counters_and_times_of_the_store(self, store: JobStore) -> None:
        """
        The store adds to counters and sets times by its own clock.
        """
        record = queued(store)
        written = store.compare_and_set(
            as_it_is(record), None, {"attempt": Plus(2), "token": Plus(-1), "due_at": FromNow(60.0)}
        )

        assert written is not None
        assert (2, -1) == (written.attempt, written.token)
        assert written.due_at is not None
        assert near(60.0, (written.due_at - store.now()).total_seconds())

    @pytest.mark.parametrize(
        "guard",
        [
            {"status": JobStatus.queued},
            {"attempt": 2},
            {"token": 2},
            {"generation": 2},
            {"cancel_requested": True},
            {"job_id": "other"},
        ],
        ids=lambda guard: next(iter(guard)),
    )
    def test_guard_that_does_not_hold(self, store: JobStore, guard: dict[str, Any]) -> None:
        """
        A change whose guard does not hold changes nothing and tells nobody.
        """
        record = started(store)
        facts: dict[str, Any] = {
            "job_id": record.id,
            "status": JobStatus.running,
            "attempt": 1,
            "token": 1,
            "generation": 1,
            "cancel_requested": False,
        }
        events = store.events(record.id)
        refused = Guard(**{**facts, **guard})
        status = JobStatus.failed

        assert store.compare_and_set(refused, status, {"reason": "r"}) is None
        assert record == store.get(record.id)
        assert list(events) == list(store.events(record.id))
        assert store.compare_and_set(Guard(**facts), status, {"reason": "r"}) is not None

    def test_forbidden_move(self, store: JobStore) -> None:
        """
        A move that the table does not have is refused before the store is asked.
        """
        record = queued(store)

        with pytest.raises(InvalidTransition, match="from queued to done"):
            store.compare_and_set(as_it_is(record), JobStatus.done)
        assert record == store.get(record.id)

    def test_forbidden_field(self, store: JobStore) -> None:
        """
        A field that says what was asked cannot be changed.
        """
        record = queued(store)

        with pytest.raises(ValueError, match="pipeline"):
            store.compare_and_set(as_it_is(record), None, {"pipeline": "q"})
        assert record == store.get(record.id)

    def test_change_with_events(self, store: JobStore) -> None:
        """
        A change of status is an event by itself; output comes before it.
        """
        record = queued(store)
        store.compare_and_set(as_it_is(record), None, {"reason": "r"})
        store.compare_and_set(
            as_it_is(record), None, {}, event=NewEvent(kind="note", data={"a": [1]})
        )
        store.compare_and_set(
            as_it_is(record), JobStatus.failed, {"reason": "s"}, output="printed\n"
        )

        assert [
            ("state", JobStatus.queued, None, 0),
            ("note", JobStatus.queued, "r", 0),
            ("output", JobStatus.failed, "s", 0),
            ("state", JobStatus.failed, "s", 0),
        ] == told(store, record.id)
        assert [{}, {"a": [1]}, {"text": "printed\n"}, {}] == [
            event.data for event in store.events(record.id)
        ]
