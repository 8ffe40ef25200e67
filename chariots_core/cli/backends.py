"""
``chariots backends``: what is installed, and whether it works.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from chariots_core.cli.output import print_json, print_table

if TYPE_CHECKING:
    from chariots_core.workers.survey import PluginReport


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def backends(*, as_json: bool) -> None:
    """
    List the installed worker backends and other plugins.

    Each is imported and checked by itself; one that cannot be used is listed
    with the reason. Nothing is connected to.
    """
    from chariots_core.workers.survey import survey

    reports = survey()
    if as_json:
        print_json([_as_dict(report) for report in reports])
        return
    found = [report for report in reports if report.kind == "backend"]
    print_table(
        ("backend", "distribution", "version", "contract", "status", "isolation", "what it can do"),
        [_row(report) for report in found],
    )
    others = [report for report in reports if report.kind == "plugin"]
    if others:
        click.echo()
        print_table(
            ("plugin", "distribution", "version", "status"),
            [(r.name, r.distribution, r.version, _status(r)) for r in others],
        )
    for report in reports:
        if report.error is not None:
            click.secho(f"\n{report.kind} {report.name!r}: {report.error}", fg="red", err=True)


def _row(report: PluginReport) -> tuple[str, ...]:
    from chariots_core.workers.capabilities import Capabilities

    contract = "?" if report.contract_version is None else str(report.contract_version)
    able = report.capabilities or Capabilities()
    return (
        report.name,
        report.distribution,
        report.version,
        contract,
        _status(report),
        ", ".join(sorted(able.isolation)) or "-",
        ", ".join(able.names()) or "-",
    )


def _status(report: PluginReport) -> str:
    return "ok" if report.error is None else "broken"


def _as_dict(report: PluginReport) -> dict[str, Any]:
    able = report.capabilities
    return {
        "kind": report.kind,
        "name": report.name,
        "distribution": report.distribution,
        "version": report.version,
        "contract_version": report.contract_version,
        "summary": report.summary,
        "capabilities": None if able is None else list(able.names()),
        "isolation": None if able is None else sorted(able.isolation),
        "error": report.error,
    }
