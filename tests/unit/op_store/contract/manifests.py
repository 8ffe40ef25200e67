"""
What the tests of the contract publish, and how they look at what came of it.
"""

from __future__ import annotations

import attrs

from chariots_core.op_store.client import BaseOpStoreClient
from chariots_core.op_store.values import Manifest, OpVersion, SavedOp
from tests.unit.op_store.kit import link, saved, version


def job(store: BaseOpStoreClient, text: str, *, job_id: str = "job", op: str = "pca") -> Manifest:
    """
    What a job trained.
    """
    return Manifest(
        pipeline="train",
        job_id=job_id,
        attempt=1,
        saved=(saved(store, op, text),),
        links=(link("reader", "r", op, text),),
    )


def run(store: BaseOpStoreClient, text: str, *, op: str = "pca") -> Manifest:
    """
    What a run in a web process trained.
    """
    return attrs.evolve(job(store, text, op=op), job_id=None, attempt=0)


def newest(store: BaseOpStoreClient, op: str = "pca", **kwargs: str) -> OpVersion | None:
    return store.newest([op], **kwargs).get(op)  # type: ignore[arg-type]


def texts(store: BaseOpStoreClient, op: str = "pca") -> list[str]:
    """
    What was saved of an op, newest first, by its bytes.
    """
    return [store.get_blob(found.digest or "").decode() for found in store.savings(op)]


def first(store: BaseOpStoreClient, pipeline: str, text: str) -> Manifest:
    ops = (
        SavedOp(op="reader", version=version("r")),
        attrs.evolve(saved(store, "pca", text), trained=False),
    )
    return Manifest(pipeline=pipeline, saved=ops, links=(link("reader", "r", "pca", text),))
