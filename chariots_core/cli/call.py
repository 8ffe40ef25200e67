"""
``chariots call``: run a pipeline of a server.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chariots_core.cli.output import print_json, progress_line

if TYPE_CHECKING:
    from chariots_core.client import PipelineResponse, PipelinesClient

url_option = click.option(
    "--url",
    envvar="CHARIOTS_URL",
    default="http://127.0.0.1:5000",
    show_default=True,
    show_envvar=True,
    help="Where the server is.",
)


def read_input(ctx: click.Context, param: click.Parameter, text: str | None) -> Any:
    """
    The value of ``--input``: JSON text, ``@file``, or ``@-`` for the standard input.
    """
    from chariots_core.errors import NotJSONError
    from chariots_core.strict_json import decode

    if text is None:
        return None
    try:
        if text == "@-":
            text = sys.stdin.read()
        elif text.startswith("@"):
            text = Path(text[1:]).read_text(encoding="utf-8")
        return decode(text)
    except OSError as error:
        raise click.BadParameter(
            f"file {text[1:]!r} cannot be read: {error.strerror}", ctx, param
        ) from error
    except (NotJSONError, UnicodeDecodeError) as error:
        raise click.BadParameter(
            f"{error}; a text wants quotes of its own, as in '\"text\"'", ctx, param
        ) from error


@click.command()
@click.argument("pipeline")
@click.option(
    "--input",
    "-i",
    "value",
    callback=read_input,
    help="The input: JSON, @file, or @- for the standard input.",
)
@url_option
@click.option("--worker/--no-worker", default=None, help="Ask for a worker, or for none.")
@click.option("--wait", is_flag=True, help="Wait for the job, and show how far it is.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), help="Seconds to wait.")
@click.option("--priority", type=int, help="On a worker: higher first.")
@click.option("--max-attempts", type=click.IntRange(min=1), help="On a worker: starts in all.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole answer, not the value.")
def call(
    *,
    pipeline: str,
    value: Any,
    url: str,
    worker: bool | None,
    wait: bool,
    timeout: float | None,
    priority: int | None,
    max_attempts: int | None,
    as_json: bool,
) -> None:
    """
    Run PIPELINE on a server and print its value as JSON.

    A call that a worker takes prints the id of its job, unless it waits.
    """
    from chariots_core.client import PipelinesClient

    with PipelinesClient(url) as client:
        response = client.call_pipeline(
            pipeline, value, worker, priority=priority, max_attempts=max_attempts
        )
        if wait and response.job_id is not None:
            response = _wait(client, response, timeout)
    _show(response, as_json=as_json)


def _wait(
    client: PipelinesClient, response: PipelineResponse, timeout: float | None
) -> PipelineResponse:
    click.echo(f"job {response.job_id} is {response.job_status.value}", err=True)
    with progress_line() as show:
        return client.wait_for_job(response, timeout, on_progress=show)


def _show(response: PipelineResponse, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "value": response.value,
                "versions": {name: str(version) for name, version in response.versions.items()},
                "job_id": response.job_id,
                "job_status": response.job_status.value,
                "use_worker": response.use_worker,
                "decided_by": response.decided_by,
            }
        )
    elif response.job_id is not None and not response.job_status.is_final:
        click.echo(response.job_id)
        click.echo(
            f"{response.job_status.value}; see how it goes with "
            f"`chariots jobs show {response.job_id}`",
            err=True,
        )
    else:
        print_json(response.value)
