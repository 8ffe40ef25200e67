"""
The examples in the docstrings run.
"""

from __future__ import annotations

import doctest
import importlib

import pytest

MODULES = ["declarations", "ops", "sklearn", "serializers.skops", "serializers.text"]


@pytest.mark.parametrize("module", MODULES)
def test_examples(module: str) -> None:
    """
    Every example of the module gives what it shows.
    """
    found = importlib.import_module(f"chariots_ml.{module}")

    failed, tried = doctest.testmod(found, optionflags=doctest.ELLIPSIS)

    assert (0, True) == (failed, tried > 0)
