"""
Any Python object, by pickle: for those who know what that means.
"""

from __future__ import annotations

import os
from typing import Any, ClassVar

from chariots_core.errors import UntrustedArtifact
from chariots_ml.serializers.base import BaseSerializer, import_library

TRUST_SETTING = "CHARIOTS_DILL_TRUSTED"
"""Environment variable: ``1`` lets this process load pickled artifacts."""


class DillSerializer(BaseSerializer):
    """
    Any Python object. Loading runs whatever code the bytes ask for.

    So it works only where the process says that nobody untrusted can write to
    the op store: by *trusted*, or by ``CHARIOTS_DILL_TRUSTED=1``.

    Args:
        trusted: whether this process may load such bytes; ``None``: as the
            setting says.
    """

    name: ClassVar[str] = "dill"

    def __init__(self, trusted: bool | None = None) -> None:
        self._trusted = trusted

    @property
    def trusted(self) -> bool:
        """
        Whether this process may load such bytes now.
        """
        if self._trusted is not None:
            return self._trusted
        return os.environ.get(TRUST_SETTING, "").strip().lower() in {"1", "true", "yes"}

    def serialize_object(self, target: Any) -> bytes:
        """
        *target* pickled.

        Raises:
            UntrustedArtifact: this process could not load it again.
        """
        self._check_trust()
        data: bytes = import_library("dill", extra="dill").dumps(target)
        return data

    def deserialize_object(self, serialized_object: bytes) -> Any:
        """
        The object that was pickled.

        Raises:
            UntrustedArtifact: this process does not trust pickled artifacts.
        """
        self._check_trust()
        return import_library("dill", extra="dill").loads(serialized_object)

    def _check_trust(self) -> None:
        if not self.trusted:
            raise UntrustedArtifact(
                "artifacts of format 'dill' are not trusted here, since loading one can run any "
                f"code: if nobody untrusted can write to the op store, set {TRUST_SETTING}=1 for "
                "servers and workers, or use a safe serializer (SkopsSerializer, JSONSerializer)"
            )
