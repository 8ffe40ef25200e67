"""
Marks the behaviours of the kit that nothing else may run beside.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """
    What an idle process uses is measured alone.
    """
    for item in items:
        if item.name.startswith("test_71_"):
            item.add_marker(pytest.mark.serial)
