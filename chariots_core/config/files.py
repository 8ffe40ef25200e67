"""
Reading a configuration file into plain tables. No line of it gets into a message.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from chariots_core.errors import ConfigInvalid

#: What may stand in a text and not be a sentence of its language: a date
#: without such a day, a number of too many digits, a table in a table in a ….
_NOT_UNDERSTOOD: Final = (ValueError, RecursionError)


def read_file(path: str | os.PathLike[str]) -> Mapping[str, Any]:
    """
    The tables of a configuration file, YAML or TOML by the end of its name.

    Raises:
        ConfigInvalid: it cannot be read, or holds no tables.
    """
    file = Path(path)
    read = _READERS.get(file.suffix.lower())
    if read is None:
        raise ConfigInvalid(
            f"configuration file {str(file)!r} has a name of neither YAML nor TOML: "
            f"let it end with one of {', '.join(_READERS)}"
        )
    found = read(_text_of(file), str(file))
    if found is None or found == {}:
        raise ConfigInvalid(f"configuration file {str(file)!r} is empty")
    if not isinstance(found, Mapping):
        raise ConfigInvalid(
            f"configuration file {str(file)!r} holds a {type(found).__name__} where sections with "
            "keys are due"
        )
    return found


def _text_of(file: Path) -> str:
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        raise ConfigInvalid(
            f"there is no configuration file {str(file)!r} (looked for {str(file.absolute())!r})"
        ) from None
    except OSError as error:
        raise ConfigInvalid(
            f"configuration file {str(file)!r} cannot be read: {error.strerror}"
        ) from error
    # An editor may have written a mark of its own at the beginning.
    with suppress(UnicodeDecodeError):
        return data.decode("utf-8-sig")
    # Raised here, as below: the decoder's and the parser's errors hold the text.
    raise ConfigInvalid(f"configuration file {str(file)!r} is not text in UTF-8")


def _read_toml(text: str, name: str) -> Any:
    try:
        return tomllib.loads(text)
    except _NOT_UNDERSTOOD as error:
        where = _place_in_toml(str(error))
    raise ConfigInvalid(f"configuration file {name!r} is not TOML: see {where}")


def _place_in_toml(message: str) -> str:
    # The parser ends what it says with the place, in all versions of Python.
    _, found, place = message.rpartition("(at ")
    return place.rstrip(")") if found else "its values"


def _read_yaml(text: str, name: str) -> Any:
    try:
        from chariots_core.config.yaml_text import YAMLTextError, read_yaml
    except ModuleNotFoundError as error:
        if error.name != "yaml":
            raise
        raise ConfigInvalid(
            f"configuration file {name!r} needs PyYAML: pip install 'chariots-core[yaml]', "
            "or write it in TOML"
        ) from None
    try:
        return read_yaml(text)
    except YAMLTextError as error:
        what = str(error)
    except _NOT_UNDERSTOOD:
        what = "is not YAML: see its values"
    raise ConfigInvalid(f"configuration file {name!r} {what}")


_READERS: Final[Mapping[str, Callable[[str, str], Any]]] = MappingProxyType(
    {".yaml": _read_yaml, ".yml": _read_yaml, ".toml": _read_toml}
)
