"""
The format of Keras itself.
"""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from chariots_core.errors import ArtifactCorrupt, UntrustedArtifact
from chariots_ml.serializers.base import BaseSerializer, import_library


class KerasSerializer(BaseSerializer):
    """
    Keras models as ``.keras`` files, loaded in Keras' safe mode: no lambdas, no code.
    """

    name: ClassVar[str] = "keras"

    def serialize_object(self, target: Any) -> bytes:
        """
        Return the model *target*, with its weights and the state of its optimizer.

        Raises:
            UntrustedArtifact: Keras would refuse to load it, since it holds code.
        """
        with tempfile.TemporaryDirectory(prefix="chariots-keras-") as folder:
            # Keras writes to named files only
            path = Path(folder, "model.keras")
            target.save(path)
            data = path.read_bytes()
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            _check(json.loads(file.read("config.json")))
        return data

    def check_saveable(self, fresh: Any) -> None:
        """
        Raise if Keras would refuse to load such a model; its weights do not matter.

        Raises:
            UntrustedArtifact: it holds code.
        """
        _check(import_library("keras", extra="keras").saving.serialize_keras_object(fresh))

    def deserialize_object(self, serialized_object: bytes) -> Any:
        """
        The model that the bytes hold, compiled if it was.

        Raises:
            ArtifactCorrupt: the bytes are no Keras file.
            UntrustedArtifact: Keras refuses the model, since it holds code.
        """
        keras = import_library("keras", extra="keras")
        if not zipfile.is_zipfile(io.BytesIO(serialized_object)):
            raise ArtifactCorrupt(
                "saved state is no Keras file: was it saved by another serializer?"
            )
        with tempfile.TemporaryDirectory(prefix="chariots-keras-") as folder:
            path = Path(folder, "model.keras")
            path.write_bytes(serialized_object)
            with _refusals():
                return keras.models.load_model(path, safe_mode=True)


def _check(config: Any) -> None:
    """
    Build the layers once more, without weights: Keras then refuses what a load would refuse.
    """
    with _refusals():
        import_library("keras", extra="keras").saving.deserialize_keras_object(
            config, safe_mode=True
        )


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except (TypeError, ValueError) as error:
        raise UntrustedArtifact(
            f"Keras refuses to load the model ({error}): use layers of Keras, or classes that are "
            "registered by keras.saving.register_keras_serializable, instead of lambdas"
        ) from error
