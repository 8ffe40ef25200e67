"""
What is checked of an app's parts, and of what goes into its pipelines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

from chariots_core.errors import (
    BackendNotConfigured,
    ConfigurationError,
    DuplicatePipelineError,
    PipelineError,
)
from chariots_core.pipelines import Pipeline
from chariots_core.resolver import resolve

#: The longest name of an app.
MAX_NAME: Final = 100

_NAME: Final = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9_.-]{{0,{MAX_NAME - 1}}}", re.ASCII)

#: `resolve`, remembering its 27 answers; typed, since 1 is equal to True and is no switch.
decide: Final = lru_cache(maxsize=64, typed=True)(resolve)


def checked_name(name: str) -> str:
    """
    *name*, if queues can be named by it.

    Raises:
        ConfigurationError: they cannot.
    """
    if _NAME.fullmatch(name):
        return name
    raise ConfigurationError(
        f"{name!r} is not a valid app name: use letters, digits, '_', '.' or '-', at most {MAX_NAME}"
    )


def by_name(pipelines: Iterable[Pipeline]) -> Mapping[str, Pipeline]:
    """
    The pipelines, each under its name.

    Raises:
        DuplicatePipelineError: two have one name.
        ConfigurationError: one is no pipeline.
    """
    found: dict[str, Pipeline] = {}
    for pipeline in pipelines:
        if not isinstance(pipeline, Pipeline):
            raise ConfigurationError(f"{pipeline!r} is no pipeline: give Pipeline objects")
        if pipeline.name in found:
            raise DuplicatePipelineError(
                f"two pipelines are named {pipeline.name!r}: give one of them another name"
            )
        found[pipeline.name] = pipeline
    return MappingProxyType(found)


def check_switches(app: str, pipelines: Mapping[str, Pipeline], use_workers: bool | None) -> None:
    """
    Return if an app without a worker backend needs none.

    Raises:
        BackendNotConfigured: its own switch, or a pipeline's, asks for a worker.
    """
    for name, pipeline in pipelines.items():
        decision = decide(use_workers, pipeline.use_worker, None)
        if decision.use_worker:
            raise BackendNotConfigured(
                f"the {decision.decided_by} sends pipeline {name!r} to a worker, and app "
                f"{app!r} has no backend: give it a worker_pool (e.g. 'local'), or "
                "unset the switch"
            )


def check_input(pipeline: Pipeline, value: Any) -> None:
    """
    Return if *pipeline* takes *value*.

    Raises:
        PipelineError: it takes no input, and got one.
    """
    if value is not None and not pipeline.plan.reads_input:
        raise PipelineError(
            f"pipeline {pipeline.name!r} takes no input, and was given one: leave it out"
        )
