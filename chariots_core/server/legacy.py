"""
The routes of 2019-2020, with the bodies they always had.

Each answer names the route that takes its place.
"""

from __future__ import annotations

from typing import Any, Final

from flask import Response

from chariots_core.app import App
from chariots_core.errors import JobNotFound, VersionError
from chariots_core.jobs.record import JobRecord
from chariots_core.jobs.status import JobStatus
from chariots_core.server.answers import Fields, JSONResponse, answer, superseded
from chariots_core.server.api import current_request
from chariots_core.server.bodies import LEGACY_CALL, LEGACY_FETCH, read_body, read_value
from chariots_core.server.documents import JOBS, PIPELINES, pipeline_url
from chariots_core.server.versions import VersionsText

#: The status of an outdated version; never assigned, and kept for those who know it.
VERSION_MISMATCH: Final = 419


class LegacyViews:
    """
    The old views of one app.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._versions = VersionsText()

    def main(self, name: str) -> Response:
        """
        POST: run a pipeline, here or on a worker.
        """
        app = self._app
        app.pipeline(name)
        body = read_body(current_request(), LEGACY_CALL, app.settings.max_body_bytes)
        value = read_value(body.pipeline_input)
        fields = superseded(pipeline_url(name, "/runs"))
        if app.decide(name, body.use_worker).use_worker:
            return answer(_of_job(app.submit(name, value).record), 200, fields)
        try:
            result = app.run(name, value)
        except VersionError as error:
            return _mismatch(error, fields)
        return JSONResponse(
            b'{"pipeline_output":%b,"versions":%b,"job_id":null,"job_status":"done"}'
            % (result.value_json, self._versions.of(name, result.versions)),
            200,
            fields,
        )

    def load(self, name: str) -> Response:
        """
        POST: serve the newest validated versions.
        """
        fields = superseded(pipeline_url(name, "/load"))
        try:
            self._app.load(name)
        except VersionError as error:
            return _mismatch(error, fields)
        return answer({}, 200, fields)

    def versions(self, name: str) -> Response:
        """
        POST: the version of each node.
        """
        fields = superseded(pipeline_url(name))
        return answer(dict(self._app.versions(name)), 200, fields)

    def save(self, name: str) -> Response:
        """
        POST: keep what was trained.
        """
        fields = superseded(pipeline_url(name, "/save"))
        self._app.save(name)
        return answer({}, 200, fields)

    def health(self, name: str) -> Response:
        """
        GET: whether one pipeline can run.
        """
        loaded = self._app.is_loaded(name)
        fields = superseded(pipeline_url(name))
        return answer({"is_loaded": loaded}, 200 if loaded else VERSION_MISMATCH, fields)

    def all_health(self) -> Response:
        """
        GET: which pipelines can run.
        """
        app = self._app
        health = {name: app.is_loaded(name) for name in app.pipelines}
        return answer(health, 200, superseded(PIPELINES))

    def available(self) -> Response:
        """
        GET: the names of the pipelines.
        """
        return answer(list(self._app.pipelines), 200, superseded(PIPELINES))

    def fetch(self) -> Response:
        """
        POST: what became of a job.
        """
        job_id = read_body(
            current_request(), LEGACY_FETCH, self._app.settings.max_body_bytes
        ).job_id
        if not isinstance(job_id, str):
            raise JobNotFound(f"no job {str(job_id)[:80]!r}: a job id is a text")
        record = self._app.fetch_job(job_id)
        return answer(_of_job(record), 200, superseded(f"{JOBS}/{record.id}"))


def _of_job(record: JobRecord) -> dict[str, Any]:
    done = record.status is JobStatus.done
    return {
        "pipeline_output": record.value if done else None,
        "versions": dict(record.versions) if done else {},
        "job_id": record.id,
        "job_status": record.status.value,
    }


def _mismatch(error: VersionError, fields: Fields) -> Response:
    return Response(error.message, VERSION_MISMATCH, list(fields), mimetype="text/plain")
