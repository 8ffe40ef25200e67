"""
The probes of whoever watches the process: is it alive, and can it do its work.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from flask import Response

from chariots_core.app import App
from chariots_core.errors import ChariotsError
from chariots_core.server.answers import answer
from chariots_core.server.api import current_request

_log = logging.getLogger(__name__)


class ProbeViews:
    """
    The probes of one app.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    def live(self) -> Response:
        """
        GET: the process answers. It asks no store: a store that is down is no
        reason to restart the process.
        """
        return answer({"status": "ok"})

    def ready(self) -> Response:
        """
        GET: the stores answer and the pipelines are known. Workers are told of,
        and not waited for: a job may be queued before there is one.
        """
        checks = {
            "op_store": reason_of(self._app.op_store.ping),
            "pipelines": reason_of(self._app.open),
        }
        if self._app.pool is not None:
            checks["job_store"] = reason_of(self._ping_job_store)
        reasons = {name: reason for name, reason in checks.items() if reason is not None}
        body: dict[str, Any] = {"status": "unavailable" if reasons else "ok"}
        if reasons:
            body["reasons"] = reasons
        verbose = current_request().args.get("verbose", "0") not in ("0", "false")
        if checks["op_store"] is None and checks["pipelines"] is None:
            # an app without workers has no thread that does it
            self._app.report_presence()
            pipelines = self._pipelines()
            # all of them, or those that need attention
            shown = {
                name: it
                for name, it in pipelines.items()
                if verbose or "reason" in it or "warnings" in it
            }
            body |= {"pipelines": shown} if shown else {}
        if verbose:
            body |= self._details(checks)
        fields = (("Retry-After", "5"),) if reasons else ()
        return answer(body, 503 if reasons else 200, fields)

    def _pipelines(self) -> dict[str, Any]:
        """
        Describe the set of each pipeline that this process serves.
        """
        described: dict[str, Any] = {}
        for name in self._app.pipelines:
            loaded = self._app.serving(name)
            described[name] = {
                "loaded": loaded.is_loaded,
                "generation": loaded.generation if loaded.is_loaded else None,
                "newest_generation": loaded.newest[0],
            }
            if loaded.warnings:
                described[name]["warnings"] = list(loaded.warnings)
            if loaded.error is not None:
                described[name]["reason"] = loaded.error.message
            elif loaded.behind is not None:
                described[name]["reason"] = loaded.behind
        return described

    def _processes(self) -> list[dict[str, Any]]:
        return [
            {
                "host": process.host,
                "pid": process.pid,
                "kind": process.kind,
                "serving": dict(process.serving),
            }
            for process in self._app.processes()
        ]

    def _ping_job_store(self) -> None:
        # the handle too is made under guard
        self._app.job_store.ping()

    def _details(self, checks: dict[str, str | None]) -> dict[str, Any]:
        pool = self._app.pool
        store_answers = checks.get("job_store") is None
        return {
            "checks": {name: reason or "ok" for name, reason in checks.items()},
            "loaded": {
                name: checks["op_store"] is None and self._app.is_loaded(name)
                for name in self._app.pipelines
            },
            "processes": self._processes() if checks["op_store"] is None else [],
            "backend": None if pool is None else pool.name,
            "workers": pool.n_workers if pool is not None and store_answers else 0,
            "risks": list(self._app.job_store.risks())
            if pool is not None and store_answers
            else [],
        }


def reason_of(check: Callable[[], object]) -> str | None:
    """
    Why *check* fails; ``None`` if it does not.
    """
    try:
        check()
    except ChariotsError as error:
        return error.message
    except Exception as error:  # noqa: BLE001 - a probe answers, whatever is wrong
        _log.exception("a check of readiness met a fault")
        return f"fault of kind {type(error).__name__}; the server's log has more"
    return None
