"""
The format of Keras itself.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, ClassVar
from zipfile import BadZipFile

from chariots_core.errors import ArtifactCorrupt
from chariots_ml.serializers.base import BaseSerializer, import_library


class KerasSerializer(BaseSerializer):
    """
    Keras models as ``.keras`` files, loaded in Keras' safe mode: no lambdas, no code.
    """

    name: ClassVar[str] = "keras"

    def serialize_object(self, target: Any) -> bytes:
        """
        The model *target*, with its weights and the state of its optimizer.
        """
        with tempfile.TemporaryDirectory(prefix="chariots-keras-") as folder:
            # Keras writes to named files only
            path = Path(folder, "model.keras")
            target.save(path)
            return path.read_bytes()

    def deserialize_object(self, serialized_object: bytes) -> Any:
        """
        The model that the bytes hold, compiled if it was.

        Raises:
            ArtifactCorrupt: the bytes are no Keras file.
        """
        keras = import_library("keras", extra="keras")
        with tempfile.TemporaryDirectory(prefix="chariots-keras-") as folder:
            path = Path(folder, "model.keras")
            path.write_bytes(serialized_object)
            try:
                return keras.models.load_model(path, safe_mode=True)
            except (BadZipFile, KeyError) as error:
                raise ArtifactCorrupt(
                    f"saved state is no Keras file ({error}): was it saved by another serializer?"
                ) from error
