"""
The safe format for scikit-learn models.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from typing import Any, ClassVar
from zipfile import BadZipFile

from chariots_core.errors import ArtifactCorrupt, UntrustedArtifact
from chariots_ml.serializers.base import BaseSerializer, import_library

logger = logging.getLogger(__name__)

TRUST_SETTING = "CHARIOTS_SKOPS_TRUSTED"
"""Environment variable: names of types that artifacts may hold, with commas between."""


class SkopsSerializer(BaseSerializer):
    """
    scikit-learn models, without pickle: loading runs no code that the bytes bring.

    Types that skops does not know as safe are refused at load unless this
    process trusts them: by *trusted*, or by ``CHARIOTS_SKOPS_TRUSTED``. Tree
    models need it, as ``sklearn.tree._tree.Tree``: forged ones can crash a
    process.

    >>> from sklearn.linear_model import Ridge
    >>> data = SkopsSerializer().serialize_object(Ridge(alpha=2.0))
    >>> SkopsSerializer().deserialize_object(data)
    Ridge(alpha=2.0)

    Args:
        trusted: full names of types to trust, beside those of the setting.
    """

    name: ClassVar[str] = "skops"

    def __init__(self, trusted: Iterable[str] = ()) -> None:
        self._trusted = frozenset(trusted)

    @property
    def trusted(self) -> frozenset[str]:
        """
        The names of all types that are trusted now.
        """
        listed = os.environ.get(TRUST_SETTING, "").split(",")
        return self._trusted | {name.strip() for name in listed if name.strip()}

    def serialize_object(self, target: Any) -> bytes:
        """
        The model *target* in skops' format; logs types that could not be loaded here.
        """
        skops = import_library("skops.io", extra="sklearn")
        data: bytes = skops.dumps(target)
        untrusted = self._untrusted(skops, data)
        if untrusted:
            # not refused: the result of a long training is worth more than the order of steps
            logger.warning(
                "A model was saved that holds types which are not trusted here: %s. "
                "Add them to %s before it is loaded.",
                ", ".join(untrusted),
                TRUST_SETTING,
                extra={"action": "untrusted_model_saved", "types": untrusted},
            )
        return data

    def deserialize_object(self, serialized_object: bytes) -> Any:
        """
        The model that the bytes hold.

        Raises:
            UntrustedArtifact: it holds types that are not trusted here.
            ArtifactCorrupt: the bytes are not of this format.
        """
        skops = import_library("skops.io", extra="sklearn")
        try:
            untrusted = self._untrusted(skops, serialized_object)
            if not untrusted:
                return skops.loads(serialized_object, trusted=sorted(self.trusted))
        except (BadZipFile, KeyError, ValueError) as error:
            raise ArtifactCorrupt(
                f"saved state is no skops file ({error}): was it saved by another serializer?"
            ) from error
        raise UntrustedArtifact(
            f"saved model holds types that are not trusted here: {', '.join(untrusted)}; if nobody "
            f"untrusted can write to the op store, add them to {TRUST_SETTING} in the environment "
            "of servers and workers (with commas between), or to SkopsSerializer(trusted=[...])"
        )

    def _untrusted(self, skops: Any, data: bytes) -> list[str]:
        return sorted(set(skops.get_untrusted_types(data=data)) - self.trusted)
