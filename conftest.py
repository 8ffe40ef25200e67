"""
Makes every Python example of the documentation a test.
"""

from __future__ import annotations

from doctest import ELLIPSIS, NORMALIZE_WHITESPACE

from sybil import Sybil
from sybil.parsers.myst import DocTestDirectiveParser, PythonCodeBlockParser, SkipParser
from sybil.parsers.rest import DocTestParser
from sybil.parsers.rest import SkipParser as RestSkipParser

OPTIONS = ELLIPSIS | NORMALIZE_WHITESPACE

markdown = Sybil(
    parsers=[
        DocTestDirectiveParser(optionflags=OPTIONS),
        PythonCodeBlockParser(doctest_optionflags=OPTIONS),
        SkipParser(),
    ],
    patterns=["README.md", "docs/**/*.md"],
)

docstrings = Sybil(
    parsers=[DocTestParser(optionflags=OPTIONS), RestSkipParser()],
    patterns=["chariots_core/**/*.py"],
)

pytest_collect_file = (markdown + docstrings).pytest()
