"""
What every benchmark shares: interleaved rounds, medians, ratios, a table and JSON.

A figure of this machine says little; a ratio to the floor, measured in the same
run and turn by turn with it, says much. So each suite gives *cases*, and a round
runs every case once, before the next round begins.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import attrs

RESULTS = Path(__file__).parent / "results"


@attrs.frozen(kw_only=True)
class Case:
    """
    One thing to measure.

    Attributes:
        name: as it stands in the table.
        measure: runs once and gives its figures by name.
    """

    name: str
    measure: Callable[[], Mapping[str, float]]


@attrs.frozen(kw_only=True)
class Target:
    """
    What is asked of one figure: ``ours / floor`` at least, or at most, *bound*.

    Attributes:
        figure: the figure's name.
        ours: the case that is ours.
        floor: the case to compare with; ``None``: *bound* is absolute.
        bound: the bound of the ratio, or of the figure.
        at_least: whether more is better.
    """

    figure: str
    ours: str
    floor: str | None
    bound: float
    at_least: bool

    def judge(self, medians: Mapping[str, Mapping[str, float]]) -> tuple[float, bool]:
        """
        The ratio (or the figure), and whether the target is met.
        """
        value = medians[self.ours][self.figure]
        if self.floor is not None:
            value /= medians[self.floor][self.figure]
        return value, value >= self.bound if self.at_least else value <= self.bound


def run_suite(
    name: str, cases: Sequence[Case], targets: Sequence[Target], *, rounds: int
) -> dict[str, object]:
    """
    Run *rounds* interleaved rounds, print the table, write ``results/NAME.json``.
    """
    samples: dict[str, dict[str, list[float]]] = {case.name: {} for case in cases}
    for number in range(rounds):
        # every other round backwards, so that no case always follows the same one
        for case in cases if number % 2 == 0 else reversed(cases):
            began = time.perf_counter()
            for figure, value in case.measure().items():
                samples[case.name].setdefault(figure, []).append(value)
            took = time.perf_counter() - began
            print(f"  round {number + 1}/{rounds}  {case.name:<44} {took:6.1f} s", file=sys.stderr)
    medians = {
        case: {figure: statistics.median(values) for figure, values in figures.items()}
        for case, figures in samples.items()
    }
    report: dict[str, object] = {
        "suite": name,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "rounds": rounds,
        "samples": samples,
        "medians": medians,
        "targets": [
            {**attrs.asdict(target), "value": value, "met": met}
            for target in targets
            for value, met in [target.judge(medians)]
        ],
    }
    _print_tables(name, medians, targets)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(report, indent=2) + "\n")
    return report


def _print_tables(
    name: str, medians: Mapping[str, Mapping[str, float]], targets: Sequence[Target]
) -> None:
    print(f"\n{name}: medians")
    figures = list(dict.fromkeys(figure for case in medians.values() for figure in case))
    width = max(len(case) for case in medians)
    print("  " + " " * width + "".join(f"  {figure:>18}" for figure in figures))
    for case, values in medians.items():
        cells = (f"{values[figure]:18.2f}" if figure in values else " " * 18 for figure in figures)
        print(f"  {case:<{width}}" + "".join(f"  {cell}" for cell in cells))
    for target in targets:
        value, met = target.judge(medians)
        sign = "at least" if target.at_least else "at most"
        against = f" / {target.floor}" if target.floor else ""
        mark = "met   " if met else "MISSED"
        print(
            f"  {mark} {target.figure}: {target.ours}{against} = {value:.2f} "
            f"({sign} {target.bound:g})"
        )
    print()
