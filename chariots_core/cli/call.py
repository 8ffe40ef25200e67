"""
``chariots call``: run a pipeline of a server.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import click

from chariots_core.cli.main import CommandError, OutOfReach
from chariots_core.cli.output import print_json, progress_line
from chariots_core.errors import ExecutionError, WaitTimeout

if TYPE_CHECKING:
    from chariots_core.client import PipelineResponse, PipelinesClient, Timeouts

_QUOTES: Final = "a text wants quotes of its own, as in '\"text\"'"
_NO_NUMBERS: Final = "NaN and Infinity are numbers that JSON does not have: write null, or a text"


def read_url(ctx: click.Context, param: click.Parameter, text: str) -> str:
    """
    The value of ``--url``, if it is an address that HTTP knows.
    """
    try:
        parts = urlsplit(text)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise click.BadParameter(
            f"{text!r} is not the address of a server: write it as http://host:port", ctx, param
        )
    return text


url_option = click.option(
    "--url",
    callback=read_url,
    envvar="CHARIOTS_URL",
    default="http://127.0.0.1:5000",
    show_default=True,
    show_envvar=True,
    help="Where the server is.",
)

timeout_option = click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    help="Seconds to wait for the server's answer.",
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
        raise click.BadParameter(f"{error}{_hint(text)}", ctx, param) from error


def _hint(text: str) -> str:
    """
    What to do about *text*, which is no JSON, if that can be told.
    """
    odd: list[str] = []
    try:
        # The standard library's reader takes numbers that JSON does not have.
        json.loads(text, parse_constant=odd.append)
    except (ValueError, RecursionError):
        return f"; {_QUOTES}"
    return f"; {_NO_NUMBERS}" if odd else ""


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
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    help="Seconds to wait for the answer (60 by default), and with --wait for the job (for ever).",
)
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

    with (
        _own_words(pipeline, timeout, worker=worker),
        PipelinesClient(url, timeouts=timeouts(timeout)) as client,
    ):
        response = client.call_pipeline(
            pipeline, value, worker, priority=priority, max_attempts=max_attempts
        )
        if wait and response.job_id is not None:
            response = _wait(client, response, timeout)
    _show(response, as_json=as_json)


def timeouts(answer: float | None) -> Timeouts:
    """
    How long a client waits: as long as ever, unless *answer* says otherwise.
    """
    from chariots_core.client import Timeouts

    return Timeouts() if answer is None else Timeouts(answer=answer)


@contextmanager
def _own_words(pipeline: str, timeout: float | None, *, worker: bool | None) -> Iterator[None]:
    """
    Say what a client says in its caller's words: a command has options, no arguments.
    """
    from chariots_core.client import ServerTimeout

    try:
        yield
    except ServerTimeout as error:
        if not error.sent:
            raise
        raise OutOfReach(
            f"{error.url} did not answer within {timeouts(timeout).answer:g} s: try a longer "
            f"--timeout{'' if worker else ', or --worker'}"
        ) from error
    except WaitTimeout as error:
        raise CommandError(
            f"job {error.job_id} has not finished after {timeout or 0:g} s; it goes on: wait longer "
            f"by --timeout, or see how it goes with `chariots jobs show {error.job_id}`"
        ) from error
    except ExecutionError as error:
        if error.job_id is not None or error.exception_type is None:
            raise
        where = f" in node {error.node!r}" if error.node else ""
        raise CommandError(
            f"pipeline {pipeline!r} failed{where}: {error.exception_type}: {error.message}"
        ) from error


def _wait(
    client: PipelinesClient, response: PipelineResponse, timeout: float | None
) -> PipelineResponse:
    import attrs

    click.echo(f"job {response.job_id} is {response.job_status.value}", err=True)
    with progress_line() as show:
        done = client.wait_for_job(response, timeout, on_progress=show)
    # Who decided is told once, with the job.
    return attrs.evolve(done, use_worker=response.use_worker, decided_by=response.decided_by)


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
