"""
The calls of old, on top of the new ones.
"""

from __future__ import annotations

import pytest

from chariots_core.errors import (
    OpStoreError,
    OpVersionNotFound,
)
from chariots_core.op_store.sql_store import LocalOpStoreClient
from tests.unit.op_store.kit import link, version


def test_old_calls_save_and_give_bytes(store: LocalOpStoreClient) -> None:
    """
    Bytes saved for a version of an op come back, and the version is among the op's.
    """
    unknown = store.get_all_versions_of_op("pca")
    store.save_op_bytes("pca", version("v1"), b"one")
    store.save_op_bytes("pca", version("v2"), b"two")

    assert (None, {version("v1"), version("v2")}, b"one") == (
        unknown,
        store.get_all_versions_of_op("pca"),
        store.get_op_bytes_for_version("pca", version("v1")),
    )


def test_old_calls_name_what_is_unknown(store: LocalOpStoreClient) -> None:
    """
    Bytes of a version that was never saved are an error that names it.
    """
    with pytest.raises(OpVersionNotFound, match="'pca' has no bytes"):
        store.get_op_bytes_for_version("pca", version("v1"))


def test_old_links_are_to_the_newest_downstream(store: LocalOpStoreClient) -> None:
    """
    A link that names no downstream version is to its newest one, and ends when it is retrained.
    """
    store.save_op_bytes("pca", version("p1"), b"pca")
    store.save_op_bytes("forest", version("f1"), b"forest")
    before = store.get_validated_links("forest", "pca")
    store.register_valid_link("forest", "pca", version("p1"))
    valid = store.get_validated_links("forest", "pca")
    two_sided = store.valid([link("pca", "p1", "forest", "f1")])
    store.save_op_bytes("forest", version("f2"), b"forest again")

    assert (None, {version("p1")}, frozenset([link("pca", "p1", "forest", "f1")]), None) == (
        before,
        valid,
        two_sided,
        store.get_validated_links("forest", "pca"),
    )


def test_old_links_to_the_output(store: LocalOpStoreClient) -> None:
    """
    An op that ends a pipeline can be validated without a downstream op.
    """
    store.register_valid_link(None, "forest", version("f1"))

    assert ({version("f1")}, None) == (
        store.get_validated_links(None, "forest"),
        store.get_validated_links(None, "pca"),
    )


def test_old_calls_know_pipelines(store: LocalOpStoreClient) -> None:
    """
    A pipeline that was registered exists, once, and has no active set by that alone.
    """
    before = store.pipeline_exists("predict")
    store.register_new_pipeline("predict", "forest")
    store.register_new_pipeline("predict", "forest")

    assert (False, True, None) == (
        before,
        store.pipeline_exists("predict"),
        store.active("predict"),
    )


def test_nameless_pipeline_is_refused(store: LocalOpStoreClient) -> None:
    """
    A pipeline without a name is not registered.
    """
    with pytest.raises(OpStoreError, match="give it and its last op a name"):
        store.register_new_pipeline("")
