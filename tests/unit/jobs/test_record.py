"""
The values that tell a job's story.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import attrs
import pytest

from chariots_core.errors import JobNotFound
from chariots_core.jobs.record import JobRecord, NewJob, check_job_id, is_job_id, new_job_id
from chariots_core.jobs.status import JobStatus, Reason


def record(**facts: Any) -> JobRecord:
    """
    A job of which only some facts matter.
    """
    return JobRecord(
        **{
            "id": "j",
            "seq": 1,
            "app": "a",
            "pipeline": "p",
            "backend": "b",
            "queue": "q",
            "status": JobStatus.done,
            "created_at": datetime(2026, 1, 1, tzinfo=UTC),
            **facts,
        }
    )


@pytest.mark.parametrize("job_id", ["a", "x" * 64, "A-_9", pytest.param(new_job_id(), id="fresh")])
def test_good_ids(job_id: str) -> None:
    """
    Up to 64 letters, digits, dashes and underscores are an id.
    """
    assert (True, job_id) == (is_job_id(job_id), check_job_id(job_id))


@pytest.mark.parametrize(
    "job_id", ["", "x" * 65, "a:b", "../x", "é", "a\n", "a b", "a\x00", "x" * 10_000, 7, None, b"a"]
)
def test_bad_ids(job_id: object) -> None:
    """
    (11) Anything else is an id without a job, and the message stays short.
    """
    assert not is_job_id(job_id)
    with pytest.raises(JobNotFound) as caught:
        check_job_id(job_id)
    assert len(str(caught.value)) < 200


def test_new_ids() -> None:
    """
    New ids are ids, and all different.
    """
    ids = {new_job_id() for _ in range(1000)}

    assert (1000, True) == (len(ids), all(map(is_job_id, ids)))


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"id": "a:b"}, JobNotFound),
        ({"max_attempts": 0}, ValueError),
        ({"retry_delay": -1.0}, ValueError),
        ({"delay": -1.0}, ValueError),
        ({"delay": float("nan")}, ValueError),
        ({"result_ttl": float("inf")}, ValueError),
        ({"timeout": -0.1}, ValueError),
        ({"priority": 10**30}, ValueError),
        ({"priority": 1.5}, ValueError),
        ({"queue": "a\x00b"}, ValueError),
        ({"input_json": '"\ud800"'}, ValueError),
    ],
)
def test_jobs_that_cannot_be(options: dict[str, Any], error: type[Exception]) -> None:
    """
    A job that could never run is refused before any store is asked.
    """
    with pytest.raises(error):
        NewJob(**{"pipeline": "p", "backend": "b", **options})


def test_values_are_frozen() -> None:
    """
    A record is a value: it changes only by making another one.
    """
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        record().status = JobStatus.queued  # type: ignore[misc]


def test_decoding() -> None:
    """
    (14) Input and result are decoded on demand; null and nothing both read as None,
    and the text tells them apart.
    """
    job = record(input_json='{"a":[1]}', value_json="null")

    assert ({"a": [1]}, None, "null") == (job.input, job.value, job.value_json)
    assert (None, None) == (record().input, record().value)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"manifest_json": "{}"}, True),
        ({}, False),
        ({"manifest_json": "{}", "published_at": datetime(2026, 1, 1, tzinfo=UTC)}, False),
        ({"manifest_json": "{}", "status": JobStatus.running}, False),
        ({"status": JobStatus.running, "reason": Reason.PUBLISHING}, True),
        ({"status": JobStatus.failed, "reason": Reason.PUBLICATION_FAILED}, False),
        ({"status": JobStatus.failed, "manifest_json": "{}"}, False),
    ],
)
def test_unpublished(facts: dict[str, Any], expected: bool) -> None:
    """
    (68) A job whose outcome waits for its publication is unpublished, and so is one that
    an older release left done and not published.
    """
    assert expected is record(**facts).is_unpublished


def test_outcome_is_hidden_until_it_is_published() -> None:
    """
    (68) A job that is publishing shows neither value nor versions; any other is shown
    as it is.
    """
    outcome: dict[str, Any] = {
        "value_json": "1",
        "value_ref": "s3://bucket/key",
        "versions": {"n": "1.2.3"},
        "manifest_json": "{}",
    }
    publishing = record(status=JobStatus.running, reason=Reason.PUBLISHING, **outcome)
    done = record(**outcome)

    assert publishing.value is None
    assert record(status=JobStatus.running, reason=Reason.PUBLISHING) == publishing.shown
    assert publishing.shown.is_publishing
    assert (1, done) == (done.value, done.shown)


def test_secrets_are_not_printed() -> None:
    """
    (64) Inputs and results do not appear where a record is printed.
    """
    shown = repr(record(input_json='"s3cret"', value_json='"s3cret"', manifest_json="s3cret"))

    assert "s3cret" not in shown
