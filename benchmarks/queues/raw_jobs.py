"""
The trivial job, as the raw engines want it.
"""

from __future__ import annotations

import os

import celery

celery_app = celery.Celery(
    "raw",
    broker=os.environ.get("BENCH_REDIS_URL", "redis://127.0.0.1:6379") + "/0",
    backend=os.environ.get("BENCH_REDIS_URL", "redis://127.0.0.1:6379") + "/1",
)
celery_app.conf.update(
    task_serializer="json",
    result_serializer="json",
    accept_content=["json"],
    worker_hijack_root_logger=False,
)


def is_odd(number: int) -> bool:
    """
    Whether *number* is odd.
    """
    return number % 2 == 1


celery_is_odd = celery_app.task(name="is_odd")(is_odd)
