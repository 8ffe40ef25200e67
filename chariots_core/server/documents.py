"""
Jobs and pipelines, as the API describes them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote

from chariots_core.app import App
from chariots_core.errors import ChariotsError, StoreUnavailable, VersionError
from chariots_core.jobs.record import JobRecord, Progress
from chariots_core.jobs.status import JobStatus, Reason
from chariots_core.op_store.values import OpVersion, ServingReport
from chariots_core.pipelines import BaseNode
from chariots_core.server.problems import PROBLEMS

#: The problem that a failed job is; by default named like its reason.
_PROBLEM_OF_REASON: Final = {
    None: "execution-failed",
    Reason.PUBLISHING: "publication-failed",
    Reason.USER_ERROR: "execution-failed",
}

JOBS: Final = "/api/v1/jobs"
PIPELINES: Final = "/api/v1/pipelines"


@lru_cache(maxsize=1024)
def pipeline_url(name: str, rest: str = "") -> str:
    """
    Where the API has a pipeline, or *rest* of it.
    """
    return f"{PIPELINES}/{quote(name, safe='')}{rest}"


def job_document(record: JobRecord, *, debug: bool = False) -> dict[str, Any]:
    """
    All that a client may know of a job.
    """
    return {**job_summary(record, debug=debug), **_result(record)}


def job_summary(record: JobRecord, *, debug: bool = False) -> dict[str, Any]:
    """
    A job without its result.
    """
    return {
        "id": record.id,
        "pipeline": record.pipeline,
        "status": record.status.value,
        "reason": record.reason,
        "cancel_requested": record.cancel_requested,
        "progress": _progress(record.progress),
        "attempt": record.attempt,
        "max_attempts": record.max_attempts,
        "backend": record.backend,
        "queue": record.queue,
        "priority": record.priority,
        "worker": record.worker,
        "created_at": _text(record.created_at),
        "queued_at": _text(record.queued_at),
        "started_at": _text(record.started_at),
        "finished_at": _text(record.finished_at),
        "expires_at": _text(record.expires_at),
        "error": _error(record, debug=debug),
        "links": {"self": f"{JOBS}/{record.id}"},
    }


def _result(record: JobRecord) -> dict[str, Any]:
    if record.status is not JobStatus.done:
        return {}
    return {"output": record.value, "versions": dict(record.versions)}


def _progress(progress: Progress | None) -> dict[str, Any] | None:
    if progress is None:
        return None
    return {
        "done": progress.done,
        "total": progress.total,
        "node": progress.node,
        "message": progress.message,
    }


def _error(record: JobRecord, *, debug: bool) -> dict[str, Any] | None:
    error = record.error
    if error is None:
        return None
    reason = record.reason
    slug = _PROBLEM_OF_REASON.get(reason) or str(reason).replace("_", "-")
    facts: Mapping[str, Any] = {
        "type": PROBLEMS + slug,
        "detail": error.message,
        "exception_type": error.type,
        "node": error.node,
        "traceback": error.traceback if debug else None,
    }
    return {name: fact for name, fact in facts.items() if fact is not None}


def _text(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()


# --- pipelines ---------------------------------------------------------------


def pipeline_document(app: App, name: str) -> dict[str, Any]:
    """
    What a pipeline is made of, and which versions of it serve.
    """
    pipeline = app.pipeline(name)
    loaded = app.serving(name)
    return {
        "name": name,
        "use_worker": pipeline.use_worker,
        "loaded": loaded.is_loaded,
        "blockers": _blockers(loaded.error),
        "commands": list(getattr(loaded.error, "commands", ())),
        "warnings": list(loaded.warnings),
        "generation": loaded.generation,
        "newest_generation": loaded.newest[0],
        "behind": loaded.behind,
        "processes": processes_of(app, name),
        "versions": dict(loaded.versions),
        "models": {
            op: _model(stored)
            for op, stored in sorted(loaded.stored.items())
            if stored.digest is not None
        },
        "trains": sorted(pipeline.trained),
        "nodes": [_node(node) for node in pipeline.pipeline_nodes],
        "edges": [{"from": first, "to": second} for first, second in pipeline.op_edges],
        "links": {
            "self": pipeline_url(name),
            "runs": pipeline_url(name, "/runs"),
            "load": pipeline_url(name, "/load"),
            "save": pipeline_url(name, "/save"),
        },
    }


def processes_of(app: App, name: str) -> list[dict[str, Any]]:
    """
    Describe the processes of a pipeline. Generation 0: the process cannot serve it.
    ``follows`` is ``None`` until the process has seen the newest change.
    """
    newest = app.serving(name).newest[0]
    try:
        revision, processes = app.op_store.revision(), app.processes()
    except StoreUnavailable:
        # the pipeline serves on, and so does its document
        return []
    return [
        {
            "host": process.host,
            "pid": process.pid,
            "kind": process.kind,
            "generation": process.serving[name],
            "follows": _follows(process, name, newest, revision),
        }
        for process in processes
        if name in process.serving
    ]


def _follows(process: ServingReport, name: str, newest: int, revision: int) -> bool | None:
    if process.serving[name] == newest:
        return True
    return False if process.revision >= revision else None


def _model(stored: OpVersion) -> dict[str, Any]:
    """
    Describe a saved state: its version and its origin.
    """
    origin = stored.origin
    return {
        "version": str(stored.version),
        "digest": stored.digest,
        "size": stored.size,
        "job": stored.job_id,
        "saved_at": _text(stored.created_at),
        "trained": None if origin is None else origin.trained,
        "op_class": None if origin is None else origin.op_class,
        "fitted": {} if origin is None else json.loads(origin.fitted),
        "declared": {} if origin is None else json.loads(origin.declared),
        "continued_from": None if origin is None else origin.continued_from,
    }


def _blockers(error: ChariotsError | None) -> list[str]:
    if isinstance(error, VersionError) and error.blockers:
        return list(error.blockers)
    return [] if error is None else [error.message]


def _node(node: BaseNode) -> dict[str, Any]:
    inputs = [item.name if isinstance(item, BaseNode) else item for item in node.input_nodes]
    op = getattr(node, "op", None)
    return {
        "name": node.name,
        "op": None if op is None else op.name,
        "inputs": inputs,
        "outputs": list(node.output_nodes),
    }
