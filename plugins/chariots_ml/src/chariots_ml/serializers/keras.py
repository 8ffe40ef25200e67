"""
The format of Keras itself.
"""

from __future__ import annotations

import io
import tempfile
import zipfile
from pathlib import Path
from typing import Any, ClassVar

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
            ValueError: Keras refuses the model, since it holds code.
        """
        keras = import_library("keras", extra="keras")
        if not zipfile.is_zipfile(io.BytesIO(serialized_object)):
            raise ArtifactCorrupt(
                "saved state is no Keras file: was it saved by another serializer?"
            )
        with tempfile.TemporaryDirectory(prefix="chariots-keras-") as folder:
            path = Path(folder, "model.keras")
            path.write_bytes(serialized_object)
            return keras.models.load_model(path, safe_mode=True)
