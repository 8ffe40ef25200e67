"""
Formats that people can read.
"""

from __future__ import annotations

import io
from typing import Any, ClassVar

from chariots_core import strict_json
from chariots_core.errors import ArtifactCorrupt, NotJSONError
from chariots_ml.serializers.base import BaseSerializer, import_library


class JSONSerializer(BaseSerializer):
    """
    Plain data as JSON. What JSON cannot carry is refused.

    >>> JSONSerializer().serialize_object({"mean": 1.5})
    b'{"mean":1.5}'
    """

    name: ClassVar[str] = "json"

    def serialize_object(self, target: Any) -> bytes:
        """
        *target* as JSON.

        Raises:
            NotJSONError: a part of *target* has no JSON form.
        """
        return strict_json.encode(target)

    def deserialize_object(self, serialized_object: bytes) -> Any:
        """
        What the JSON text stands for.

        Raises:
            ArtifactCorrupt: it is no JSON text.
        """
        try:
            return strict_json.decode(serialized_object)
        except NotJSONError as error:
            raise ArtifactCorrupt(f"saved state is no JSON: {error.reason}") from error


class CSVSerializer(BaseSerializer):
    r"""
    A pandas DataFrame as CSV, with its column names and without its index.

    CSV keeps no types: a frame that would not come back the same is refused.

    >>> import pandas
    >>> CSVSerializer().serialize_object(pandas.DataFrame({"x": [1, 2], "y": [0.5, 0.25]}))
    b'x,y\n1,0.5\n2,0.25\n'
    """

    name: ClassVar[str] = "csv"

    def serialize_object(self, target: Any) -> bytes:
        """
        The frame *target* as CSV in UTF-8.

        Raises:
            TypeError: *target* is no frame.
            ValueError: it would come back as another one.
        """
        pandas = import_library("pandas", extra="csv")
        if not isinstance(target, pandas.DataFrame):
            raise TypeError(
                f"a {type(target).__name__!r} object cannot be saved as CSV: give a DataFrame"
            )
        data: bytes = target.to_csv(index=False, lineterminator="\n").encode()
        if not target.equals(self.deserialize_object(data)):
            raise ValueError(
                f"frame of columns {list(target.columns)!r} would not come back from CSV as it is: "
                "use plain numbers and text without missing values, and reset_index()"
            )
        return data

    def check_saveable(self, fresh: Any) -> None:
        """
        Check nothing: before a training there may be no frame yet.
        """

    def deserialize_object(self, serialized_object: bytes) -> Any:
        """
        The frame that the CSV text stands for.
        """
        pandas = import_library("pandas", extra="csv")
        # before version 3, the default parser of floats is off by a last digit now and then
        old = int(pandas.__version__.partition(".")[0]) < 3
        options = {"float_precision": "round_trip"} if old else {}
        return pandas.read_csv(io.BytesIO(serialized_object), na_filter=False, **options)
