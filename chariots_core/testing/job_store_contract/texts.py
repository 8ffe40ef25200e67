"""
Texts that come from outside: what no store can keep is refused or matches nothing.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from chariots_core.jobs.lifecycle import claim, complete
from chariots_core.jobs.record import NewJob, WorkerRecord
from chariots_core.jobs.status import JobStatus
from chariots_core.jobs.store import IdempotencyKey, JobQuery, JobStore
from chariots_core.testing.job_store_contract.harness import (
    StoreTests,
    as_it_is,
    new_job,
    queued,
    started,
)

#: Two texts that one database keeps and another refuses.
UNSTORABLE = {"NUL": "a\x00b", "surrogate": "a\ud800b"}
#: Texts that look like trouble and are none.
STORABLE = ["'; DROP TABLE chariots_jobs; --", "%(id)s", ":id", "é", "😀", "\ufeff", "\x01", "\n"]

unstorable = pytest.mark.parametrize("text", UNSTORABLE.values(), ids=UNSTORABLE)
storable = pytest.mark.parametrize("text", STORABLE, ids=ascii)


class TextContract(StoreTests):
    """
    The answer is the same on every store, and never an error of its driver.
    """

    @unstorable
    def test_lists_of_what_cannot_be(self, store: JobStore, text: str) -> None:
        """
        (60) A filter that no job can match gives an empty list.
        """
        queued(store)

        assert [] == list(store.list_jobs(JobQuery(pipeline=text)))
        assert [] == list(store.list_jobs(JobQuery(backend=text)))
        assert [] == list(store.list_jobs(JobQuery(status=JobStatus.queued, pipeline=text)))
        assert [] == list(store.events(text))
        assert [] == list(store.due(job_id=text))

    @unstorable
    @pytest.mark.parametrize("name", ["pipeline", "backend", "queue", "input_json", "input_ref"])
    def test_job_that_cannot_be_kept(self, name: str, text: str) -> None:
        """
        A job with a text that no store could keep is refused before it is written.
        """
        fields: dict[str, Any] = {"pipeline": "p", "backend": "b", name: text}
        with pytest.raises(ValueError, match=name):
            NewJob(**fields)

    @unstorable
    def test_key_that_cannot_be_kept(self, text: str) -> None:
        """
        The same goes for an idempotency key.
        """
        with pytest.raises(ValueError, match="key"):
            IdempotencyKey(key=text, digest="d")
        with pytest.raises(ValueError, match="digest"):
            IdempotencyKey(key="k", digest=text)

    @unstorable
    @pytest.mark.parametrize("name", ["id", "backend", "host", "state", "job_id"])
    def test_worker_that_cannot_be_kept(self, name: str, text: str) -> None:
        """
        The same goes for what a worker says of itself.
        """
        fields: dict[str, Any] = {"id": "w", "backend": "b", name: text}
        with pytest.raises(ValueError, match=name):
            WorkerRecord(**fields)

    @unstorable
    def test_worker_that_cannot_be(self, store: JobStore, text: str) -> None:
        """
        A worker whose id cannot be kept is unknown, and claims nothing.
        """
        record = queued(store)
        store.remove_worker(text)

        with pytest.raises(ValueError, match="worker"):
            claim(store, record.id, worker=text, lease=9.0)
        assert record == store.get(record.id)

    @unstorable
    @pytest.mark.parametrize("name", ["reason", "value_json", "value_ref", "manifest_json"])
    def test_change_that_cannot_be_kept(self, store: JobStore, name: str, text: str) -> None:
        """
        A change to a text that no store could keep is refused, and nothing is written.
        """
        record = queued(store)

        with pytest.raises(ValueError, match=name):
            store.compare_and_set(as_it_is(record), JobStatus.failed, {name: text})
        assert record == store.get(record.id)

    @pytest.mark.parametrize("escape", ["\\u0000", "\\ud800", "\\udc00\\ud800"])
    def test_escapes_in_json(self, store: JobStore, escape: str) -> None:
        """
        (14) JSON may name every character by its escape, and comes back as it was.
        """
        text = f'{{"{escape}":["{escape}"]}}'
        done = complete(store, started(store, input_json=text), value_json=text)

        read = store.get(done.id)
        assert (text, text) == (read.input_json, read.value_json)
        assert json.loads(text) == read.input == read.value

    @storable
    def test_harmless_texts(self, store: JobStore, text: str) -> None:
        """
        Any other text is kept and found as it is.
        """
        options: dict[str, Any] = dict.fromkeys(("pipeline", "backend", "queue", "input_ref"), text)
        key = IdempotencyKey(key=text, digest=text)
        record = store.create(new_job(**options), idempotency=key).record
        running = claim(store, record.id, worker=text, lease=9.0)
        store.beat(WorkerRecord(id=text, backend=text, host=text, queues=(text,)), ttl=9.0)

        assert running == store.get(record.id)
        assert options == {name: getattr(record, name) for name in options}
        assert running == store.create(new_job(), idempotency=key).record
        assert [record.id] == [job.id for job in store.list_jobs(JobQuery(pipeline=text))]
        assert [(text, (text,))] == [(worker.id, worker.queues) for worker in store.workers()]
        store.remove_worker(text)
        assert [] == list(store.workers())
