"""
What a backend can do, declared: what is declared is tested, the rest is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import attrs

from chariots_core.errors import UnsupportedCapability

#: The ways in which a worker may run a job.
ISOLATIONS: Final = frozenset({"warm", "fresh", "thread"})

#: What a caller can do where a backend lacks a capability.
_REMEDIES: Final = {
    "priorities": "submit with priority 0, or choose a backend that declares priorities",
    "queues": "submit to the queue 'default', or choose a backend that declares queues",
    "schedule": "submit without a delay",
    "retry": "submit with max_attempts=1",
    "timeout_hard": "submit without a timeout",
    "spawn": "start workers as its documentation says, or give the pool a run_worker",
}


def _as_set(names: Iterable[str]) -> frozenset[str]:
    return frozenset(names)


@attrs.frozen(kw_only=True)
class Capabilities:
    """
    What a backend can do.

    Attributes:
        cancel_queued: a job that nobody started can be cancelled.
        cancel_soft: a running job can be asked to stop.
        cancel_hard: a running job can be stopped whatever it does.
        timeout_soft: a job over its time gets an exception that it can handle.
        timeout_hard: a job over its time is stopped whatever it does.
        retry: a failed job can be started again, after a delay.
        schedule: a job can be submitted now to start later.
        priorities: jobs of a higher priority start first.
        queues: there can be other queues than ``"default"``.
        wait_push: whoever waits for a job hears of its end without asking.
        batch: many jobs can be submitted in one step.
        worker_list: the workers that are alive can be named.
        queue_depth: the number of jobs that wait can be told.
        spawn: a worker can be started as a child of this process.
        isolation: the ways in which its workers can run a job. In a
            ``"thread"`` nothing is stopped from outside: a backend that knows
            no other way can declare neither ``cancel_hard`` nor ``timeout_hard``.

    Raises:
        ValueError: what is declared cannot be kept.
    """

    cancel_queued: bool = False
    cancel_soft: bool = False
    cancel_hard: bool = False
    timeout_soft: bool = False
    timeout_hard: bool = False
    retry: bool = False
    schedule: bool = False
    priorities: bool = False
    queues: bool = False
    wait_push: bool = False
    batch: bool = False
    worker_list: bool = False
    queue_depth: bool = False
    spawn: bool = False
    isolation: frozenset[str] = attrs.field(
        default=frozenset(),
        converter=_as_set,
        validator=attrs.validators.deep_iterable(attrs.validators.in_(ISOLATIONS)),
    )

    def __attrs_post_init__(self) -> None:
        if self.isolation == {"thread"} and (self.cancel_hard or self.timeout_hard):
            raise ValueError(
                "a job in a thread cannot be stopped: declare neither cancel_hard nor "
                "timeout_hard, or another isolation beside 'thread'"
            )

    def __or__(self, other: Capabilities) -> Capabilities:
        """
        What either of the two can do.
        """
        flags = {name: getattr(self, name) or getattr(other, name) for name in FLAGS}
        return Capabilities(**flags, isolation=self.isolation | other.isolation)

    def without(self, *names: str) -> Capabilities:
        """
        The same but for some flags, or ways of isolation.
        """
        if unknown := set(names) - set(FLAGS) - ISOLATIONS:
            raise ValueError(f"{sorted(unknown)} are no capabilities: give some of {FLAGS}")
        flags = {name: getattr(self, name) and name not in names for name in FLAGS}
        return Capabilities(**flags, isolation=self.isolation - set(names))

    def names(self) -> tuple[str, ...]:
        """
        The flags that are set, in the order of this class.
        """
        return tuple(name for name in FLAGS if getattr(self, name))

    def require(self, capability: str, *, backend: str, job_id: str | None = None) -> None:
        """
        Return if *capability* is declared.

        Args:
            capability: the name of one of the flags.
            backend: whose capabilities these are, for the message.
            job_id: the job at hand, if there is one.

        Raises:
            UnsupportedCapability: it is not; the message says what to do instead.
        """
        if getattr(self, capability):
            return
        remedy = _REMEDIES.get(capability, "choose a backend that declares it")
        raise UnsupportedCapability(
            f"backend {backend!r} does not declare the capability {capability!r}: {remedy}",
            backend=backend,
            capability=capability,
            job_id=job_id,
        )

    def require_isolation(self, isolation: str, *, backend: str) -> None:
        """
        Return if jobs can be run in that way.

        Raises:
            UnsupportedCapability: they cannot; the message says how they can.
        """
        if isolation not in self.isolation:
            raise UnsupportedCapability(
                f"backend {backend!r} does not run jobs by isolation {isolation!r}: "
                f"choose one of {sorted(self.isolation)}",
                backend=backend,
                capability="isolation",
            )


#: The names of the capabilities that are true or false.
FLAGS: Final = tuple(
    field.name for field in attrs.fields(Capabilities) if field.name != "isolation"
)

#: What core provides for every pool, by the job store, `tick` and the job runner.
CORE_CAPABILITIES: Final = Capabilities(
    cancel_queued=True,
    cancel_hard=True,
    timeout_hard=True,
    retry=True,
    schedule=True,
    worker_list=True,
    spawn=True,
    isolation=ISOLATIONS,
)


def _of_type(kind: type, what: str) -> Callable[[object, attrs.Attribute[Any], object], None]:
    def check(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if not isinstance(value, kind) or isinstance(value, bool):
            raise TypeError(
                f"{attribute.name} of a BackendInfo must be {what}, "
                f"and is of type {type(value).__name__!r}"
            )

    return check


@attrs.frozen(kw_only=True)
class BackendInfo:
    """
    What a backend says of itself, without connecting to anything.

    Attributes:
        contract_version: the version of the contract it was written for, as a
            number in the plugin's own text: never the constant of core, which
            would always agree.
        capabilities: what it can do.
        summary: one sentence for people who choose a backend.

    Raises:
        TypeError: one of them is something else.
    """

    contract_version: int = attrs.field(validator=_of_type(int, "a whole number"))
    capabilities: Capabilities = attrs.field(validator=_of_type(Capabilities, "Capabilities"))
    summary: str = attrs.field(default="", validator=_of_type(str, "a text"))
