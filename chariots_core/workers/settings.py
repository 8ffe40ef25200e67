"""
How a worker process works.
"""

from __future__ import annotations

import json

import attrs

from chariots_core.workers.contracts import RunnerSettings


@attrs.frozen(kw_only=True)
class WorkerSettings:
    """
    How a worker process works.

    Attributes:
        queues: the queues it takes jobs from.
        beat_interval: seconds between two signs of life.
        beat_ttl: seconds after the last one for which it is believed to live.
        tick_interval: seconds, about, between two looks for what time has made due.
        grace: seconds that a job may still take once the worker was asked to
            stop; ``None``: no bound.
        runner: how jobs are run.
    """

    queues: tuple[str, ...] = attrs.field(
        default=("default",), validator=attrs.validators.min_len(1)
    )
    beat_interval: float = attrs.field(default=5.0, validator=attrs.validators.gt(0))
    beat_ttl: float = attrs.field(default=15.0, validator=attrs.validators.gt(0))
    tick_interval: float = attrs.field(default=2.0, validator=attrs.validators.gt(0))
    grace: float | None = None
    runner: RunnerSettings = attrs.field(factory=RunnerSettings)

    def to_json(self) -> str:
        """
        The settings as text, for a worker in a new interpreter.
        """
        return json.dumps(attrs.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> WorkerSettings:
        """
        The settings that `to_json` wrote.
        """
        facts = json.loads(text)
        runner = RunnerSettings(**facts.pop("runner"))
        return cls(queues=tuple(facts.pop("queues")), runner=runner, **facts)
