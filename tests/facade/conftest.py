"""
Servers that tests make are closed.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.apps import close_all


@pytest.fixture(autouse=True)
def _no_open_stores() -> Iterator[None]:
    """
    What a test has made is closed at its end.
    """
    yield
    close_all()
