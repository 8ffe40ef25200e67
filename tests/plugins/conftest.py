"""
Folders in which throw-away distributions are installed.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plugins import zoo
from tests.plugins.distributions import install


@pytest.fixture(name="site", scope="session")
def _site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    A folder with all backends of the zoo installed in it.
    """
    work = tmp_path_factory.mktemp("wheels")
    return install(zoo.distributions(), tmp_path_factory.mktemp("zoo") / "site", work)
