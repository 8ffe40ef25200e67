"""
How commands print: nicely on a terminal, plainly for programs and files.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol

import click

if TYPE_CHECKING:
    from chariots_core.jobs.record import Progress


#: What ``--log-level`` takes.
LEVELS: Final = ("debug", "info", "warning", "error")


class OnProgress(Protocol):
    """
    What is told how far a job is.
    """

    def __call__(self, progress: Progress) -> None: ...


def on_terminal(*, stderr: bool = False) -> bool:
    """
    Whether a person reads what is printed there.
    """
    return (sys.stderr if stderr else sys.stdout).isatty()


def print_json(value: Any) -> None:
    """
    Print a value as JSON: indented for people, one line for programs.
    """
    indent = 2 if on_terminal() else None
    click.echo(json.dumps(value, indent=indent, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """
    Print a table: with rules and colours on a terminal, else columns of text.
    """
    rows = [list(row) for row in rows]
    if on_terminal():
        _print_rich(columns, rows)
        return
    widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
    for row in ([name.upper() for name in columns], *rows):
        padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(padded).rstrip())


def print_facts(facts: Iterable[tuple[str, Any]]) -> None:
    """
    Print names and values under each other; what is not known is left out.
    """
    known = [(name, value) for name, value in facts if value is not None]
    width = max((len(name) for name, _ in known), default=0)
    for name, value in known:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        click.echo(f"{click.style(name.ljust(width), bold=True)}  {text}")


@contextmanager
def progress_line() -> Iterator[OnProgress]:
    """
    Show how far a job is, on the error stream: a bar on a terminal, else a line
    for each step.
    """
    if not on_terminal(stderr=True):
        yield _print_progress
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("waiting for a worker", total=None)

        def show(progress: Progress) -> None:
            text = " ".join(filter(None, (progress.node, progress.message))) or "running"
            bar.update(task, description=text, completed=int(progress.done), total=progress.total)

        yield show


def _print_progress(progress: Progress) -> None:
    total = "" if progress.total is None else f"/{progress.total:g}"
    parts = (f"{progress.done:g}{total}", progress.node, progress.message)
    click.echo(" ".join(filter(None, parts)), err=True)


def _print_rich(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns, header_style="bold")
    for row in rows:
        # As text, so that a bracket in a message is not taken for markup.
        table.add_row(*(_text(cell) for cell in row))
    Console().print(table)


def _text(cell: str) -> Any:
    from rich.text import Text

    return Text(cell)
