"""
A notebook whose app is made anew, with workers that take RQ's messages.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.notebook import play
from tests.redis_servers import RedisProcess

_CONTEXT = "context = RQWorkerContext().__enter__()"


@pytest.mark.parametrize("more", [_CONTEXT, "", f"{_CONTEXT}; exec(SPAWNED)"])
def test_every_job_runs_with_the_newest_classes(
    tmp_path: Path, redis_server: RedisProcess, more: str
) -> None:
    """
    Whether the context is entered once or in each cell: of twelve jobs, submitted by three
    apps of one name, the newest classes run each.
    """
    found, _ = play(
        tmp_path,
        f"""
from chariots_rq import RQWorkerContext

notebook.update(RQWorkerContext=RQWorkerContext, SPAWNED=SPAWNED)
apps = [run_cell(1, {_CONTEXT!r}), run_cell(2, {more!r}), run_cell(3, {more!r})]
say(*results(apps[-1], [submit(app) for app in apps for _ in range(4)]))
""",
        {"backend": "rq", "url": redis_server.url, "resend_after": 1},
    )

    assert ["3"] * 12 == found


def test_the_context_serves_the_newest_of_the_apps(
    tmp_path: Path, redis_server: RedisProcess
) -> None:
    """
    A context that is entered after the app was made three times has one worker, the newest's.
    """
    found, _ = play(
        tmp_path,
        """
from chariots_rq import RQWorkerContext

apps = [run_cell(version) for version in (1, 2, 3)]
with RQWorkerContext():
    say(apps[0].pool.n_workers, *results(apps[-1], [submit(app) for app in apps]))
""",
        {"backend": "rq", "url": redis_server.url, "resend_after": 1},
    )

    assert [1, "3", "3", "3"] == found
