"""
The contract of serializers.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from typing import Any, ClassVar


class BaseSerializer(ABC):
    """
    Turns an object into bytes and back.

    Attributes:
        name: the format's name, recorded with each saved version.
    """

    name: ClassVar[str]

    @abstractmethod
    def serialize_object(self, target: Any) -> bytes:
        """
        The bytes of *target*.
        """

    def check_saveable(self, fresh: Any) -> None:
        """
        Raise if a trained model that began as *fresh* could not be loaded again.

        Called before a training. By default *fresh* itself is serialized.

        Raises:
            UntrustedArtifact: this process would refuse to load it.
            TypeError: the format cannot carry it.
        """
        self.serialize_object(fresh)

    @abstractmethod
    def deserialize_object(self, serialized_object: bytes) -> Any:
        """
        The object that `serialize_object` made the bytes of.
        """


def import_library(module: str, *, extra: str) -> Any:
    """
    The module of a library that only some apps have installed.

    Raises:
        ImportError: it is missing; the message says what to install.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        raise ImportError(
            f"{module!r} is not installed: run pip install 'chariots-ml[{extra}]'", name=module
        ) from error
