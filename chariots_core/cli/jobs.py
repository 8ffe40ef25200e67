"""
``chariots jobs``: what became of jobs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import click

from chariots_core.cli.call import timeout_option, timeouts, url_option
from chariots_core.cli.output import print_facts, print_json

#: What is shown of a job, in this order, where it is known.
_SHOWN: Final = (
    "id",
    "pipeline",
    "status",
    "reason",
    "cancel_requested",
    "attempt",
    "max_attempts",
    "backend",
    "queue",
    "worker",
    "created_at",
    "started_at",
    "finished_at",
    "expires_at",
)


@click.group()
def jobs() -> None:
    """
    Look at jobs.
    """


@jobs.command()
@click.argument("job_id", metavar="ID")
@url_option
@timeout_option
@click.option("--json", "as_json", is_flag=True, help="Print the whole record.")
@click.pass_context
def show(ctx: click.Context, *, job_id: str, url: str, timeout: float, as_json: bool) -> None:
    """
    Show one job. The exit code is 1 if it has failed.
    """
    from chariots_core.client import PipelinesClient, calls
    from chariots_core.client.answers import read_object
    from chariots_core.jobs.record import check_job_id

    with PipelinesClient(url, timeouts=timeouts(timeout)) as client:
        job = read_object(client.send(calls.job(check_job_id(job_id))))
    if as_json:
        print_json(job)
    else:
        print_facts(_facts(job))
    ctx.exit(1 if job.get("status") == "failed" else 0)


def _facts(job: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name in _SHOWN:
        if job.get(name) not in (None, False):
            yield name, job[name]
    if "output" in job:
        yield "output", json.dumps(job["output"], ensure_ascii=False)
    if progress := job.get("progress"):
        total = "" if progress.get("total") is None else f"/{progress['total']:g}"
        yield "progress", f"{progress.get('done', 0):g}{total} {progress.get('node') or ''}".strip()
    if error := job.get("error"):
        known = filter(None, (error.get("exception_type"), error.get("detail")))
        yield "error", ": ".join(known) or str(error)
        yield "node", error.get("node")
