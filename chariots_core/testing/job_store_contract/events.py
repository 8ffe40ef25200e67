"""
Events: what a job's story keeps, and what makes room.
"""

from __future__ import annotations

from typing import Any

import pytest

from chariots_core.jobs.changes import PROGRESS_EVENTS, NewEvent
from chariots_core.jobs.lifecycle import complete, fail, renew
from chariots_core.jobs.record import Progress
from chariots_core.jobs.status import JobStatus
from chariots_core.jobs.store import JobStore
from chariots_core.testing.job_store_contract.harness import (
    StoreTests,
    as_it_is,
    queued,
    started,
)


class EventContract(StoreTests):
    """
    Events come in order, and a job never has more of them than its story needs.
    """

    def test_events_after_one(self, store: JobStore) -> None:
        """
        Events come in order, from any one on, and no more than asked for.
        """
        record = started(store)
        renew(store, record, lease=5.0, progress=Progress(done=1, total=2))
        store.append_event(record.id, NewEvent(kind="note", data={"x": "y"}))
        events = store.events(record.id)

        assert ["state", "state", "progress", "note"] == [event.kind for event in events]
        assert events[2:] == store.events(record.id, after=events[1].seq)
        assert events[:2] == store.events(record.id, limit=2)
        assert sorted(event.at for event in events) == [event.at for event in events]

    def test_appended_event(self, store: JobStore) -> None:
        """
        An appended event carries the state of its job, and is returned as read.
        """
        record = started(store)
        event = store.append_event(record.id, NewEvent(kind="note", data={"é": None}))

        assert ("note", JobStatus.running, 1, {"é": None}) == (
            event.kind,
            event.status,
            event.attempt,
            event.data,
        )
        assert event == store.events(record.id)[-1]

    @pytest.mark.parametrize("way", ["with a change", "appended"])
    def test_room_for_an_event(self, store: JobStore, way: str) -> None:
        """
        The oldest events of a kind make room for a new one that says how many stay.
        """
        record, bystander = queued(store), queued(store)

        def write(job_id: str, **event: Any) -> None:
            if way == "appended":
                store.append_event(job_id, NewEvent(**event))
            else:
                guard = as_it_is(store.get(job_id))
                assert store.compare_and_set(guard, None, {}, event=NewEvent(**event))

        for n in range(4):
            write(bystander.id, kind="a", data={"n": n})
            write(record.id, kind="b", data={"n": n})
            write(record.id, kind="a", data={"n": n})
        before = store.events(record.id)[-1].seq
        write(record.id, kind="a", data={"n": 4}, keep=2)

        events = store.events(record.id)
        assert [3, 4] == [event.data["n"] for event in events if event.kind == "a"]
        assert [0, 1, 2, 3] == [event.data["n"] for event in events if event.kind == "b"]
        assert [4] == [event.data["n"] for event in store.events(record.id, after=before)]
        assert 5 == len(store.events(bystander.id))
        write(record.id, kind="a", data={"n": 5}, keep=1)
        assert [5] == [e.data["n"] for e in store.events(record.id) if e.kind == "a"]

    def test_progress_is_bounded(self, store: JobStore) -> None:
        """
        (58) However often an op reports, a job has the newest progress and the rest
        of its story.
        """
        record = started(store, max_attempts=2)
        for n in range(PROGRESS_EVENTS + 20):
            renew(store, record, lease=30.0, progress=Progress(done=n, node=f"n{n}"))
        fail(store, record, reason="r", retryable=True, output="printed")

        kinds = [event.kind for event in store.events(record.id)]
        assert ["state", "state", *["progress"] * PROGRESS_EVENTS, "output", "state"] == kinds
        told = [e.data["done"] for e in store.events(record.id) if e.kind == "progress"]
        assert list(range(20, PROGRESS_EVENTS + 20)) == told

    def test_any_text_in_an_event(self, store: JobStore) -> None:
        """
        What a job printed, and what an event says, may hold any character.
        """
        text = "a\x00b \ud800 é 😀"
        record = started(store)
        renew(store, record, lease=9.0, progress=Progress(done=1, node=text, message=text))
        complete(store, record, value_json="1", versions={text: text}, output=text)

        read = store.get(record.id)
        assert read.progress is not None
        assert [text] * 3 == [read.progress.node, read.progress.message, read.versions[text]]
        assert [text, {"text": text}] == [
            store.events(record.id)[2].data["node"],
            store.events(record.id)[3].data,
        ]

    @pytest.mark.parametrize("kind", ["a\x00", "\ud800"], ids=["NUL", "surrogate"])
    def test_kind_that_no_store_can_keep(self, kind: str) -> None:
        """
        An event of a kind that no store could keep is refused before it is written.
        """
        with pytest.raises(ValueError, match="kind"):
            NewEvent(kind=kind)
