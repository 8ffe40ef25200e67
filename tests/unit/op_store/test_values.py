"""
The values of the op store.
"""

from __future__ import annotations

import pytest

from chariots_core.errors import OpStoreError
from chariots_core.op_store.values import Manifest, SavedOp, names_code, short_version
from tests.unit.op_store.kit import link, version

MANIFEST = Manifest(
    pipeline="train",
    job_id="job-1",
    attempt=2,
    saved=(
        SavedOp(
            op="pca",
            version=version("a"),
            code="c0de",
            digest="d" * 64,
            serializer="skops",
            size=7,
            trained=True,
        ),
        SavedOp(op="reader", version=version("b")),
    ),
    links=(link("reader", "b", "pca", "a"),),
)


def test_manifest_survives_text() -> None:
    """
    A manifest comes back from its JSON text as it was, creation times included.
    """
    again = Manifest.from_json(MANIFEST.to_json())

    assert (MANIFEST, MANIFEST.saved[0].version.creation_time) == (
        again,
        again.saved[0].version.creation_time,
    )


def test_manifest_text_is_canonical() -> None:
    """
    The same manifest gives the same text.
    """
    assert MANIFEST.to_json() == Manifest.from_json(MANIFEST.to_json()).to_json()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"pipeline": "x"}', MANIFEST.to_json()[:-9]]
)
def test_what_is_no_manifest_is_refused(text: str) -> None:
    """
    Text that is cut, or is something else, is an error of its own that shows it.
    """
    with pytest.raises(OpStoreError, match="is no manifest"):
        Manifest.from_json(text)


def test_manifest_names_what_was_trained() -> None:
    """
    Only what a run made counts as trained.
    """
    assert {"pca": MANIFEST.saved[0]} == MANIFEST.trained


@pytest.mark.parametrize(("text", "expected"), [("c0de", True), ("1.2.3", False), ("", False)])
def test_code_in_a_question(text: str, expected: bool) -> None:
    """
    What has no dots names a code; a version has them, and an op may have none at all.
    """
    assert expected == names_code(text)


def test_short_version() -> None:
    """
    Messages show seven digits of each part.
    """
    shown = short_version(version("a"))

    assert [part[:7] for part in version("a").identity.split(".")] == shown.split(".")
