"""
Who decides where a call runs: in the process that got it, or on a worker.

Three switches, each true, false or unset: the app's, the pipeline's, the
request's. This is the one place that weighs them, for the server, the command
line and the documentation alike.

>>> resolve(app=True, pipeline=None, request=None)
Decision(use_worker=True, decided_by='app')
>>> resolve(app=True, pipeline=None, request=False)
Decision(use_worker=False, decided_by='request')
>>> resolve(app=None, pipeline=None, request=None)
Decision(use_worker=False, decided_by='default')
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import attrs

#: The level whose switch was the reason; ``"default"``: no switch was set.
DecidedBy: TypeAlias = Literal["app", "pipeline", "request", "default"]


@attrs.frozen
class Decision:
    """
    Where a call runs, and why.

    Attributes:
        use_worker: on a worker, or else in process.
        decided_by: the level that decided. Where several levels say the same,
            the most specific of them: the request, then the pipeline, then the app.
    """

    use_worker: bool
    decided_by: DecidedBy


def resolve(app: bool | None, pipeline: bool | None, request: bool | None) -> Decision:
    """
    Weigh the three switches.

    Any explicit false means in process; else any true means on a worker; else
    in process. It reads nothing but its arguments.

    Args:
        app: the app's switch, ``use_workers``.
        pipeline: the pipeline's switch, ``use_worker``.
        request: the request's switch, ``use_worker``.
    """
    switches: tuple[tuple[DecidedBy, bool | None], ...] = (
        ("request", request),
        ("pipeline", pipeline),
        ("app", app),
    )
    for answer in (False, True):
        for level, switch in switches:
            if switch is answer:
                return Decision(use_worker=answer, decided_by=level)
    return Decision(use_worker=False, decided_by="default")


def checked_switch(switch: object, what: str) -> bool | None:
    """
    *switch*, if it is one.

    Args:
        switch: what somebody gave for a switch.
        what: how the message calls it.

    Raises:
        TypeError: it is neither true nor false nor unset.
    """
    if switch is None or isinstance(switch, bool):
        return switch
    raise TypeError(f"{what} is {switch!r}: give True, False or None")
