"""
``chariots ops``: the ops of an app in its op store.
"""

from __future__ import annotations

import click

from chariots_core.cli.output import print_facts


@click.group()
def ops() -> None:
    """
    Look after saved ops.
    """


@ops.command()
@click.argument("names", nargs=-1, metavar="[OP]...")
@click.option(
    "--app",
    required=True,
    metavar="APP",
    help="The app that has the ops now, as package.module:attribute.",
)
def adopt(*, names: tuple[str, ...], app: str) -> None:
    """
    Take over the models of classes that moved: of each OP, or of all that have moved.

    The newest trained model of an op, saved under the name of another class or module,
    becomes a version of the class that APP has. It prints the versions. Load the
    pipelines afterwards.
    """
    from chariots_core.app.loading import load_app
    from chariots_core.op_store.values import short_version

    with load_app(app) as found:
        adopted = found.loaded.adopt(names)
    print_facts((name, short_version(version)) for name, version in adopted.items())
    if adopted:
        click.echo("load the pipelines that have these ops: chariots load PIPELINE", err=True)
    else:
        click.echo("no model of another class was found: nothing has changed", err=True)
