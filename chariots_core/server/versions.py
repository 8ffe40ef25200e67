"""
The versions of an answer as JSON text, made once for each loading.
"""

from __future__ import annotations

from collections.abc import Mapping

from chariots_core.strict_json import encode


class VersionsText:
    """
    Encodes the versions of a pipeline, and remembers the text for as long as
    they are the same object: what serves changes rarely, and is asked for often.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[Mapping[str, str], bytes]] = {}

    def of(self, pipeline: str, versions: Mapping[str, str]) -> bytes:
        """
        *versions* as a JSON object.
        """
        known = self._known.get(pipeline)
        if known is not None and known[0] is versions:
            return known[1]
        text = encode(dict(versions))
        self._known[pipeline] = (versions, text)
        return text
