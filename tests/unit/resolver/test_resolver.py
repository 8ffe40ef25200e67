"""
Who decides where a call runs: all 27 combinations, in one table.
"""

from __future__ import annotations

from itertools import product

import pytest

from chariots_core.resolver import Decision, resolve

# fmt: off
#: the app's switch, the pipeline's, the request's; on a worker?, decided by
TABLE: list[tuple[bool | None, bool | None, bool | None, bool, str]] = [
    ( True,  True,  True,  True, "request"),
    ( True,  True, False, False, "request"),
    ( True,  True,  None,  True, "pipeline"),
    ( True, False,  True, False, "pipeline"),
    ( True, False, False, False, "request"),
    ( True, False,  None, False, "pipeline"),
    ( True,  None,  True,  True, "request"),
    ( True,  None, False, False, "request"),
    ( True,  None,  None,  True, "app"),
    (False,  True,  True, False, "app"),
    (False,  True, False, False, "request"),
    (False,  True,  None, False, "app"),
    (False, False,  True, False, "pipeline"),
    (False, False, False, False, "request"),
    (False, False,  None, False, "pipeline"),
    (False,  None,  True, False, "app"),
    (False,  None, False, False, "request"),
    (False,  None,  None, False, "app"),
    ( None,  True,  True,  True, "request"),
    ( None,  True, False, False, "request"),
    ( None,  True,  None,  True, "pipeline"),
    ( None, False,  True, False, "pipeline"),
    ( None, False, False, False, "request"),
    ( None, False,  None, False, "pipeline"),
    ( None,  None,  True,  True, "request"),
    ( None,  None, False, False, "request"),
    ( None,  None,  None, False, "default"),
]
# fmt: on


@pytest.mark.parametrize(("app", "pipeline", "request_", "use_worker", "decided_by"), TABLE)
def test_table(
    app: bool | None,
    pipeline: bool | None,
    request_: bool | None,
    use_worker: bool,
    decided_by: str,
) -> None:
    """
    Any false means in process, else any true a worker; the most specific of those who say so.
    """
    decision = resolve(app, pipeline, request_)

    assert (use_worker, decided_by) == (decision.use_worker, decision.decided_by)


def test_table_is_complete() -> None:
    """
    The table has each combination of three switches once.
    """
    assert set(product((True, False, None), repeat=3)) == {row[:3] for row in TABLE}
    assert 27 == len(TABLE)


def test_truthy_values_are_no_switches() -> None:
    """
    Only true and false are answers: another value, such as 0, counts as unset.
    """
    assert Decision(use_worker=False, decided_by="default") == resolve(0, 1, None)  # type: ignore[arg-type]
