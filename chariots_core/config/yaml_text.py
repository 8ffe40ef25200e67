"""
YAML by PyYAML, an extra: imported only when a file is YAML.
"""

from __future__ import annotations

from typing import Any

import yaml


class YAMLTextError(Exception):
    """
    A text that is no YAML, or has a key twice; says where, and nothing of the text.
    """


def read_yaml(text: str) -> Any:
    """
    The plain values of a YAML text: no object of a class is ever made.

    Raises:
        YAMLTextError: it is none.
        ValueError: a value is none of its kind, e.g. a date without such a day.
    """
    try:
        return yaml.load(text, _Loader)  # noqa: S506 - a safe loader, which is stricter
    except yaml.YAMLError as error:
        # What the parser says would quote the line, which may hold a password.
        place = _place(getattr(error, "problem_mark", None), getattr(error, "position", 0))
    raise YAMLTextError(f"is not YAML: see {place}")


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    def compose_mapping_node(self, anchor: Any) -> Any:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                # YAML forbids it, PyYAML takes the last one: half a setting would be lost.
                raise YAMLTextError(f"has a key twice in one section: see {_place(key.start_mark)}")
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else id(key))
        return node


def _place(mark: Any, position: int = 0) -> str:
    if mark is None:
        return f"character {position + 1}"
    return f"line {mark.line + 1}, column {mark.column + 1}"
