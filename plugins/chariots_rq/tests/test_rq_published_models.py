"""
What serves after a training that is done, on the backend ``rq``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.published_models import ROUNDS, make_app, stale_rounds
from tests.redis_servers import RedisProcess


@pytest.mark.slow
@pytest.mark.timeout(60 + ROUNDS)
def test_done_means_published(tmp_path: Path, redis_server: RedisProcess) -> None:
    """
    (68) A load right after a training reads done serves the model of that training.
    """
    with make_app(tmp_path, {"backend": "rq", "url": redis_server.url}) as app:
        assert [] == stale_rounds(app)
