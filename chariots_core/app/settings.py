"""
What an operator may set for an app, with the values that hold unless somebody does.
"""

from __future__ import annotations

import os
from typing import Any, Final, get_args

import attrs

from chariots_core.errors import ConfigurationError
from chariots_core.op_store.obstacles import ChangedModels

MEBIBYTE: Final = 1024 * 1024

_positive: Final[Any] = attrs.validators.gt(0)
_positive_or_none: Final[Any] = attrs.validators.optional(_positive)
_not_negative: Final[Any] = attrs.validators.ge(0)


def _changed_models() -> Any:
    return os.environ.get("CHARIOTS_CHANGED_MODELS") or "warn"


@attrs.frozen(kw_only=True)
class AppSettings:
    """
    How an app behaves, beside what its pipelines say.

    Attributes:
        debug: whether answers about a failed run show the traceback.
        max_body_bytes: the largest request body that is read.
        max_result_bytes: the largest result of a job that is kept.
        max_concurrent_runs: how many short runs one web process carries out at
            the same time: those that compute are quicker one after the other.
            ``None``: no bound.
        run_patience: seconds that a run waits for its turn, before it takes
            the turn of one that is not short after all.
        queue_timeout: seconds after which a job that no worker could start
            fails, unless its submission says otherwise; ``None``: it waits
            for as long as it takes.
        tick_interval: seconds between two looks of a web process for jobs
            whose time has come.
        changed_models: what becomes of a saved model whose code declares other
            values now (a versioned field below MAJOR, a parameter). ``"warn"``
            serves it, with a warning in the log and in the pipeline's document;
            ``"refuse"`` does not serve it. A model of another class is refused in
            any case.
    """

    debug: bool = False
    max_body_bytes: int = attrs.field(default=16 * MEBIBYTE, validator=_positive)
    max_result_bytes: int = attrs.field(default=64 * MEBIBYTE, validator=_positive)
    max_concurrent_runs: int | None = attrs.field(default=1, validator=_positive_or_none)
    run_patience: float = attrs.field(default=0.02, validator=_not_negative)
    queue_timeout: float | None = attrs.field(default=24 * 3600.0, validator=_positive_or_none)
    tick_interval: float = attrs.field(default=5.0, validator=_positive)
    changed_models: ChangedModels = attrs.field(factory=_changed_models)

    @changed_models.validator
    def _check_changed_models(self, _field: object, value: object) -> None:
        if value not in get_args(ChangedModels):
            raise ConfigurationError(
                f"changed_models is {value!r}: give 'warn' or 'refuse', as an argument or in "
                "CHARIOTS_CHANGED_MODELS"
            )
