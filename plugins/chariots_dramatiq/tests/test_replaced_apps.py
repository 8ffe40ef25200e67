"""
A notebook whose app is made anew, with workers that take Dramatiq's messages.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.notebook import play


def test_every_job_runs_with_the_newest_classes(
    tmp_path: Path, broker_options: dict[str, Any]
) -> None:
    """
    Of twelve jobs, submitted by three apps of one name, the newest classes run each.
    """
    found, _ = play(
        tmp_path,
        """
from chariots_dramatiq.testing import DramatiqWorkerContext

notebook["Context"] = DramatiqWorkerContext
apps = [run_cell(version, "context = Context().__enter__()") for version in (1, 2, 3)]
say(*results(apps[-1], [submit(app) for app in apps for _ in range(4)]))
""",
        broker_options | {"resend_after": 1},
    )

    assert ["3"] * 12 == found
