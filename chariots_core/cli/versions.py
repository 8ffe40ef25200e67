"""
``chariots load`` and ``chariots save``: which versions of a pipeline's ops serve, and are kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from chariots_core.cli.call import timeout_option, timeouts, url_option
from chariots_core.cli.output import print_facts, print_json

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print the pipeline's description, not the versions."
)


@click.command()
@click.argument("pipeline")
@url_option
@timeout_option
@json_option
def load(*, pipeline: str, url: str, timeout: float, as_json: bool) -> None:
    """
    Let the newest saved versions of PIPELINE's ops serve, and print them.

    Every process of the server follows. What a job trained is saved already.
    """
    _ask("load", pipeline, url=url, timeout=timeout, as_json=as_json)


@click.command()
@click.argument("pipeline")
@url_option
@timeout_option
@json_option
def save(*, pipeline: str, url: str, timeout: float, as_json: bool) -> None:
    """
    Keep what PIPELINE trained in the server, and print the versions.
    """
    _ask("save", pipeline, url=url, timeout=timeout, as_json=as_json)


def _ask(what: str, pipeline: str, *, url: str, timeout: float, as_json: bool) -> None:
    from chariots_core.client import PipelinesClient, calls
    from chariots_core.client.answers import read_object

    request = {"load": calls.load, "save": calls.save}[what](pipeline)
    with PipelinesClient(url, timeouts=timeouts(timeout)) as client:
        described = read_object(client.send(request))
    if as_json:
        print_json(described)
        return
    print_facts(described["versions"].items())
    for note in _notes(described):
        click.echo(note, err=True)


def _notes(described: Mapping[str, Any]) -> Iterator[str]:
    """
    Yield the warnings and notes of a loaded or saved pipeline.
    """
    for warning in described.get("warnings", ()):
        yield f"warning: {warning}"
    for process in described.get("processes", ()):
        if process["follows"] is False and process["generation"] == 0:
            where = f"{process['kind']} {process['host']}:{process['pid']}"
            yield f"note: {where} cannot serve this pipeline: its code has no model"
