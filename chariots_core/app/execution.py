"""
One run of a pipeline: the same in the process that was asked and on a worker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import attrs

from chariots_core.errors import ExecutionError, PipelineError
from chariots_core.op_store.loaded import Loaded
from chariots_core.op_store.loading import LoadedPipelines
from chariots_core.op_store.training import TrainingRun
from chariots_core.op_store.values import Manifest
from chariots_core.pipelines import (
    BaseOp,
    BaseRunner,
    LoadableOp,
    Pipeline,
    PipelineCallback,
)
from chariots_core.pipelines.raised import Phase, set_phase
from chariots_core.pipelines.runners import OnNode
from chariots_core.strict_json import encode
from chariots_core.workers.isolation.failures import describe

#: Makes what stands around a run.
Guard: TypeAlias = Callable[[], AbstractContextManager[None]]

#: Seconds that a training in the request waits for one of the same op elsewhere.
TRAINING_TIMEOUT: Final = 30.0

_NONE_YET: Final[Mapping[str, str]] = MappingProxyType({})


@attrs.frozen(kw_only=True)
class RunResult:
    """
    What a run gave.

    Attributes:
        value: the pipeline's output.
        value_json: the same as JSON text.
        versions: node name to the version that ran, as text.
        manifest: what an attempt of a job trained, to be published; ``None``: nothing.
    """

    value: Any
    value_json: bytes = attrs.field(repr=False)
    versions: Mapping[str, str]
    manifest: Manifest | None = None


@attrs.frozen(kw_only=True)
class Execution:
    """
    How an app runs its pipelines.

    Attributes:
        loaded: the ops that serve.
        runner: what goes through the nodes.
        callbacks: called in each run, after the pipeline's own.
    """

    loaded: LoadedPipelines
    runner: BaseRunner
    callbacks: Sequence[PipelineCallback] = ()

    def run(self, pipeline: Pipeline, value: Any, *, guard: Guard = nullcontext) -> RunResult:
        """
        Run *pipeline* on the ops that serve now. What trains starts from its
        newest state, and becomes the pipeline's candidate.

        Args:
            pipeline: what to run.
            value: its input.
            guard: around the run itself and its output as JSON, and nothing
                else: what comes out there is the user's, all else the framework's.

        Raises:
            VersionError: its versions were never validated together.
            NotJSONError: JSON cannot carry its output.
            BaseException: what an op raised, as it was.
        """
        loaded = self._loaded(pipeline)
        if loaded.trains:
            with self.loaded.training(pipeline.name, timeout=TRAINING_TIMEOUT) as training:
                with guard():
                    result = self._go(pipeline, value, training.ops)
                self.loaded.publish(training.stage())
                return attrs.evolve(result, versions=training.versions())
        ops = loaded.check().ops
        with guard():
            return self._go(pipeline, value, ops, versions=loaded.versions)

    def run_job(
        self,
        pipeline: Pipeline,
        value: Any,
        *,
        job_id: str,
        attempt: int,
        on_node: OnNode,
        guard: Guard = nullcontext,
    ) -> RunResult:
        """
        As `run`, for an attempt of a job: what it trained is staged only, and
        published once the attempt is the one that counts.

        Args:
            pipeline: what to run.
            value: its input.
            job_id: the job.
            attempt: which attempt of it.
            on_node: told of each node before it works.
            guard: as for `run`.
        """
        if self.loaded.has_state(pipeline.name):
            # Who loaded a pipeline and then submitted a job wants that set, not the last look's.
            self.loaded.refresh(force=True)
        loaded = self._loaded(pipeline)
        if loaded.trains:
            with self.loaded.training(pipeline.name, job_id=job_id) as training:
                # those that are trained are copies for this run alone
                kept = training.ops.keys() - pipeline.trained
                marks = _Marks(training.ops[path] for path in kept)
                try:
                    with guard():
                        result = self._go(pipeline, value, training.ops, on_node)
                    return attrs.evolve(
                        result,
                        versions=training.versions(),
                        manifest=_staged(training, job_id, attempt),
                    )
                finally:
                    if marks.changed():
                        self.loaded.discard(pipeline.name)
        ops = loaded.check().ops
        marks = _Marks(ops.values())
        try:
            with guard():
                result = self._go(pipeline, value, ops, on_node, versions=loaded.versions)
        finally:
            # also after an error: the next job must not see half of a training
            if changed := marks.changed():
                self.loaded.discard(pipeline.name)
        if changed:
            # The op's code is the cause, so it is the user's error.
            with guard():
                raise PipelineError(
                    f"op {changed[0].name!r} marked itself as trained, and its job would not keep "
                    f"that: let `trains` of {type(changed[0]).__qualname__} be True, so that "
                    f"pipeline {pipeline.name!r} is one that trains"
                )
        return result

    def _loaded(self, pipeline: Pipeline) -> Loaded:
        # The first threads of a process come together: they wait for one that loads.
        self.loaded.open()
        return self.loaded.get(pipeline.name)

    def _go(
        self,
        pipeline: Pipeline,
        value: Any,
        ops: Mapping[str, BaseOp],
        on_node: OnNode | None = None,
        versions: Mapping[str, str] = _NONE_YET,
    ) -> RunResult:
        output = self.runner.run(
            pipeline, value, ops=ops, callbacks=self.callbacks, on_node=on_node
        )
        return RunResult(value=output, value_json=encode(output), versions=versions)


class _Marks:
    """
    The versions of ops before a run, and which of the ops have another one after it.
    """

    def __init__(self, ops: Iterable[BaseOp]) -> None:
        self._before = [(op, op.op_version) for op in ops if isinstance(op, LoadableOp)]

    def changed(self) -> list[LoadableOp]:
        return [op for op, before in self._before if op.op_version != before]


def _staged(training: TrainingRun, job_id: str, attempt: int) -> Manifest:
    try:
        return training.stage(job_id=job_id, attempt=attempt)
    except Exception as error:
        set_phase(error, Phase.staging)
        raise


def execution_error(error: BaseException, *, debug: bool = False) -> ExecutionError:
    """
    What an op raised, as the error that a caller of the app gets.

    Args:
        error: what left the run.
        debug: whether to show the traceback.
    """
    described = describe(error)
    return ExecutionError(
        described.message,
        exception_type=described.type,
        node=described.node,
        traceback=described.traceback if debug else None,
    )
