"""
The page about the configuration lists what there is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from chariots_core.config import ChariotsConfig, OpStoreConfig, PipelinesConfig, WorkersConfig
from chariots_core.config.keys import TABLE, Section
from chariots_core.config.names import RUNNERS, SAVERS
from tests.support import ROOT

PAGE = (ROOT / "docs/reference/configuration.md").read_text(encoding="utf-8")

SECTIONS: list[type[Section]] = [PipelinesConfig, WorkersConfig, OpStoreConfig]

TYPES = {
    str: "text",
    str | None: "text",
    int: "whole number",
    int | None: "whole number",
    bool | None: "true or false",
    TABLE: "table",
}


def rows() -> Iterator[list[str]]:
    """
    The cells of the table of keys.
    """
    table = PAGE.split("\n## Keys\n")[1].split("\n## ")[0]
    for line in table.splitlines():
        if line.startswith("| `"):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def test_the_page_lists_every_key() -> None:
    """
    The table has each key in the order of the classes, with its type and its default.
    """
    real = [
        [
            f"`{section.section}.{field.name}`",
            TYPES[field.metadata["shape"]],
            "-" if field.default is None else f"`{field.default}`",
        ]
        for section in SECTIONS
        for field in attrs.fields(section)
    ]

    assert real == [row[:3] for row in rows()]


def test_the_page_names_every_runner_and_saver() -> None:
    """
    The rows of names show each name that there is.
    """
    text = {row[0]: " ".join(row[2:]) for row in rows()}

    assert [] == [name for name in RUNNERS if f"`{name}`" not in text["`pipelines.runner`"]]
    assert [] == [name for name in SAVERS if f"`{name}`" not in text["`op_store.saver_type`"]]


@pytest.mark.parametrize("language", ["yaml", "toml"])
def test_the_pages_files_are_read(language: str, tmp_path: Path) -> None:
    """
    Each file of the page is a configuration, and the two have every key between them.
    """
    (text,) = re.findall(rf"```{language}\n(.+?)```", PAGE, re.DOTALL)
    path = tmp_path / f"config.{language}"
    path.write_text(text, encoding="utf-8")

    config = ChariotsConfig(path)

    assert "my_app" == config.pipelines.import_name
    keys = set(re.findall(r"^\s*(\w+)(?: =|:)", text, re.MULTILINE))
    every = {field.name for section in SECTIONS for field in attrs.fields(section)}
    assert every - keys <= ({"use_for_all"} if language == "yaml" else set())
