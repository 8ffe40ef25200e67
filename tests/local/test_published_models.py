"""
What serves after a training that is done, on the backend ``local``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.published_models import ROUNDS, make_app, stale_rounds


@pytest.mark.slow
@pytest.mark.timeout(60 + ROUNDS)
def test_done_means_published(tmp_path: Path) -> None:
    """
    (68) A load right after a training reads done serves the model of that training.
    """
    pool = {"backend": "local", "url": f"sqlite:///{tmp_path}/jobs.db"}
    with make_app(tmp_path, pool) as app:
        assert [] == stale_rounds(app)
