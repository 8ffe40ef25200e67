"""
``/api/v1/pipelines``: what is served, and running it.
"""

from __future__ import annotations

from typing import Any, Final

from flask import Request, Response

from chariots_core.app import App
from chariots_core.jobs.record import JobRecord
from chariots_core.resolver import Decision
from chariots_core.server.answers import JSONResponse, answer
from chariots_core.server.api import current_request
from chariots_core.server.bodies import NO_OPTIONS, RUN, RunBody, read_body, read_value
from chariots_core.server.documents import JOBS, job_summary, pipeline_document, pipeline_url
from chariots_core.server.idempotency import read_key, refuse_repeat
from chariots_core.server.problems import invalid
from chariots_core.server.versions import VersionsText

RETRY_AFTER: Final = "1"


class PipelineViews:
    """
    The views of one app's pipelines.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._versions = VersionsText()
        self._limit = app.settings.max_body_bytes

    def list(self) -> Response:
        """
        GET: the pipelines, by name.
        """
        items = [
            {
                "name": name,
                "use_worker": pipeline.use_worker,
                "loaded": self._app.is_loaded(name),
                "links": {"self": pipeline_url(name)},
            }
            for name, pipeline in sorted(self._app.pipelines.items())
        ]
        return answer({"items": items, "next_cursor": None})

    def describe(self, name: str) -> Response:
        """
        GET: one pipeline, with what of it serves now.
        """
        response = answer(pipeline_document(self._app, name))
        response.add_etag()
        response.make_conditional(current_request())
        return response

    def load(self, name: str) -> Response:
        """
        POST: serve the newest validated versions, in every process.
        """
        self._app.pipeline(name)
        read_body(current_request(), NO_OPTIONS, self._limit)
        self._app.load(name)
        return answer(pipeline_document(self._app, name))

    def save(self, name: str) -> Response:
        """
        POST: keep what was trained, as versions that belong together.
        """
        self._app.pipeline(name)
        read_body(current_request(), NO_OPTIONS, self._limit)
        self._app.save(name)
        return answer(pipeline_document(self._app, name), 201)

    def run(self, name: str) -> Response:
        """
        POST: run a pipeline, here or on a worker.
        """
        request = current_request()
        self._app.pipeline(name)
        body = read_body(request, RUN, self._limit)
        value = read_value(body.input)
        # a bad key is refused wherever the call runs
        read_key(request)
        preferred = self._prefers_job(request, body)
        decision = self._app.decide(name, True if preferred else body.use_worker)
        if decision.use_worker:
            return self._submit(request, name, value, body, decision, preferred=preferred)
        _refuse_job_options(body, decision)
        refuse_repeat(request, f"this call runs in the request (decided by: {decision.decided_by})")
        result = self._app.run(name, value)
        return JSONResponse(
            b'{"output":%b,"versions":%b,"use_worker":false,"decided_by":"%b","job":null}'
            % (
                result.value_json,
                self._versions.of(name, result.versions),
                decision.decided_by.encode(),
            )
        )

    def _submit(
        self,
        request: Request,
        name: str,
        value: Any,
        body: RunBody,
        decision: Decision,
        *,
        preferred: bool,
    ) -> Response:
        key = read_key(request)
        if key is None:
            refuse_repeat(request, "it has no Idempotency-Key")
        options = {
            each: chosen for each, chosen in _job_options(body).items() if chosen is not None
        }
        submission = self._app.submit(name, value, key=key, **options)
        record = submission.record
        fields = [
            ("Location", f"{request.script_root}{JOBS}/{record.id}"),
            ("Retry-After", RETRY_AFTER),
        ]
        if preferred:
            fields.append(("Preference-Applied", "respond-async"))
        if submission.replayed:
            fields.append(("Idempotent-Replay", "true"))
        return answer(self._accepted(record, decision), 202, fields)

    def _accepted(self, record: JobRecord, decision: Decision) -> dict[str, Any]:
        return {
            "output": None,
            "versions": {},
            "use_worker": True,
            "decided_by": decision.decided_by,
            "workers": self._app.workers_alive(),
            "job": job_summary(record, debug=self._app.settings.debug),
        }

    def _prefers_job(self, request: Request, body: RunBody) -> bool:
        # A preference is no order: it fills an unset switch, where it can be met.
        text = request.environ.get("HTTP_PREFER")
        if text is None or body.use_worker is not None or self._app.pool is None:
            return False
        preferences = (part.partition(";")[0].strip().lower() for part in text.split(","))
        return "respond-async" in preferences


def _job_options(body: RunBody) -> dict[str, Any]:
    return {
        "timeout": body.timeout,
        "queue_timeout": body.queue_timeout,
        "priority": body.priority,
        "max_attempts": body.max_attempts,
    }


def _refuse_job_options(body: RunBody, decision: Decision) -> None:
    for name, chosen in _job_options(body).items():
        if chosen is not None:
            raise invalid(
                f"/{name}",
                f"{name} holds for jobs on a worker, and this call runs in the request "
                f"(decided by: {decision.decided_by}): leave it out, or ask for a worker",
                "needs-worker",
            )
