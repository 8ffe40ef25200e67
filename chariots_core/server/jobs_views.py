"""
``/api/v1/jobs``: what became of what was submitted.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlencode

from flask import Response

from chariots_core.app import App
from chariots_core.jobs.status import JobStatus
from chariots_core.jobs.store import JobQuery
from chariots_core.server.answers import answer
from chariots_core.server.api import current_request
from chariots_core.server.cursors import cursor_before, read_cursor, read_limit
from chariots_core.server.documents import JOBS, job_document, job_summary
from chariots_core.server.pipelines_views import RETRY_AFTER
from chariots_core.server.problems import invalid


class JobViews:
    """
    The views of one app's jobs.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    def show(self, job_id: str) -> Response:
        """
        GET: one job, with its result once it has one.
        """
        record = self._app.fetch_job(job_id)
        fields = () if record.status.is_final else (("Retry-After", RETRY_AFTER),)
        return answer(job_document(record, debug=self._app.settings.debug), 200, fields)

    def list(self) -> Response:
        """
        GET: the jobs, newest first, in pages.
        """
        request = current_request()
        query = request.args.to_dict()
        limit = read_limit(query)
        records = self._app.list_jobs(
            JobQuery(
                status=_read_status(query),
                pipeline=query.get("pipeline"),
                backend=query.get("backend"),
                since=_read_time(query),
                before_seq=read_cursor(query),
                limit=limit + 1,
            )
        )
        shown = records[:limit]
        following = cursor_before(shown[-1].seq) if len(records) > limit else None
        fields = []
        if following is not None:
            rest = urlencode({**query, "cursor": following})
            fields.append(("Link", f'<{request.script_root}{JOBS}?{rest}>; rel="next"'))
        debug = self._app.settings.debug
        items = [job_summary(record, debug=debug) for record in shown]
        return answer({"items": items, "next_cursor": following}, 200, fields)


def _read_status(query: Mapping[str, str]) -> JobStatus | None:
    text = query.get("status")
    if text is None:
        return None
    try:
        return JobStatus(text)
    except ValueError as error:
        known = ", ".join(status.value for status in JobStatus)
        raise invalid("/status", f"status {text!r} is none of {known}") from error


def _read_time(query: Mapping[str, str]) -> datetime | None:
    text = query.get("since")
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise invalid(
            "/since", f"since {text!r} is no time: write it as 2026-01-31T12:00:00Z"
        ) from error
