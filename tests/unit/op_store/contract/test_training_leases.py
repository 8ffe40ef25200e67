"""
The right to train: one holder for each op, and what becomes of a holder that was halted.
"""

from __future__ import annotations

import pytest

from chariots_core.errors import TrainingInProgress
from chariots_core.op_store import leases
from chariots_core.op_store.leases import TrainingLease, job_holder
from chariots_core.op_store.sql_store import LocalOpStoreClient
from chariots_core.op_store.values import Manifest
from tests.support import wait_until
from tests.unit.op_store.kit import saved


def test_one_holder_at_a_time(store: LocalOpStoreClient) -> None:
    """
    A lease of several ops is given as a whole or not at all, and again to its own holder.
    """
    taken = store.take_lease(["a", "b"], holder="one", seconds=60.0)
    refused = store.take_lease(["b", "c"], holder="two", seconds=60.0)
    again = store.take_lease(["a", "b"], holder="one", seconds=60.0, renew=True)
    free = store.take_lease(["c"], holder="two", seconds=60.0)

    assert [{}, {"b": "one"}, {}, {}] == [taken, refused, again, free]


def test_an_ended_lease_is_free(store: LocalOpStoreClient) -> None:
    """
    An op can be leased once its holder has ended its lease, or published what its job trained.
    """
    store.take_lease(["a"], holder="one", seconds=60.0)
    store.end_lease("one")
    second = store.take_lease(["a"], holder=job_holder("two"), seconds=60.0)
    store.publish(Manifest(pipeline="train", job_id="two", saved=(saved(store, "a", "1"),)))

    assert [{}, {}] == [second, store.take_lease(["a"], holder="three", seconds=60.0)]


def test_a_renewal_after_another_holder_fails(store: LocalOpStoreClient) -> None:
    """
    An expired lease is renewed if no other holder has had it, and not once one has, even if that
    one has ended its own lease.
    """
    store.take_lease(["a"], holder="one", seconds=0.0)
    late = store.take_lease(["a"], holder="one", seconds=0.0, renew=True)
    store.take_lease(["a"], holder="two", seconds=60.0)
    during = store.take_lease(["a"], holder="one", seconds=60.0, renew=True)
    store.end_lease("two")
    after = store.take_lease(["a"], holder="one", seconds=60.0, renew=True)

    assert [{}, {"a": "two"}, {"a": "a training that has ended"}] == [late, during, after]


def test_a_halted_training_is_refused_at_its_end(
    store: LocalOpStoreClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A training that was halted while another one began and ended does not publish over that one.
    """
    monkeypatch.setattr(leases, "SECONDS", 0.1)
    halted, other = (TrainingLease(store, ["a"], job_id=job) for job in ("one", "two"))
    halted.take()
    # as after SIGSTOP: it renews no longer
    halted.leave()
    other.take()
    other.end()

    with pytest.raises(TrainingInProgress, match="run the training again"):
        halted.check()


def test_a_training_waits_for_its_turn(
    store: LocalOpStoreClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A lease that is renewed outlives its time, and another training is refused after its timeout.
    """
    monkeypatch.setattr(leases, "SECONDS", 0.3)
    holder = TrainingLease(store, ["a"], job_id="one")
    holder.take()
    try:
        with pytest.raises(TrainingInProgress, match="'a' by 'job one' is being trained"):
            TrainingLease(store, ["a"], timeout=1.0).take()
        holder.check()
    finally:
        holder.end()
    wait_until(lambda: not store.take_lease(["a"], holder="two", seconds=1.0))
