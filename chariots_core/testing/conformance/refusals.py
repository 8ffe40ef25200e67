"""
Behaviours 24, 25, 64 and 65: inputs that are refused, and what nobody may see or forge.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import psutil
import pytest

from chariots_core.errors import NotJSONError
from chariots_core.jobs import Reason, new_job_id
from chariots_core.testing.conformance.behaviours import basic
from chariots_core.testing.conformance.discovery import texts_in
from chariots_core.testing.conformance.fixtures import KitFixtures
from chariots_core.testing.conformance.harness import Deployment
from chariots_core.testing.conformance.processes import Workers
from chariots_core.workers import SubmitRequest

#: The largest body, and the largest result, of the tests about sizes.
LIMIT: Final = 100_000

#: Inputs that JSON cannot carry, each with the place of the odd value.
ODD_INPUTS: Final[dict[str, tuple[Any, str]]] = {
    "nan": ({"rows": [{"weight": 1.0}, {"weight": float("nan")}]}, "$.rows[1].weight"),
    "infinity": ([0.0, float("inf")], "$[1]"),
    "object": ({"a": [1, object()]}, "$.a[1]"),
    "bytes": ({"key": b"\x00"}, "$.key"),
}


class Refusals(KitFixtures):
    """
    What is refused, and what stays hidden.
    """

    @basic
    @pytest.mark.parametrize("kind", ODD_INPUTS)
    def test_24_an_input_that_is_not_json_is_refused(
        self, deployment: Deployment, kind: str
    ) -> None:
        """
        24: it is refused at the submission, with the path of the value; there is no job.
        """
        value, path = ODD_INPUTS[kind]

        with pytest.raises(NotJSONError) as caught:
            deployment.submit("echo", value)

        assert path == caught.value.path
        assert path in str(caught.value)
        assert [] == deployment.jobs()

    def test_25_a_request_over_the_limit_is_refused(
        self, deployment: Deployment, worker: Callable[..., Workers]
    ) -> None:
        """
        25: a body over the limit is refused and makes no job; one of just that size runs.
        """
        worker()
        web = deployment.web(limits={"max_body_bytes": LIMIT})
        frame = len(_body(""))

        over = web.post(_RUNS, content=_body("x" * (LIMIT - frame + 1)), headers=_JSON)
        exact = web.post(_RUNS, content=_body("x" * (LIMIT - frame)), headers=_JSON)

        assert [413, 202] == [over.status_code, exact.status_code], (over.text, exact.text)
        assert "x" * (LIMIT - frame) == deployment.done(exact.json()["job"]["id"])
        assert 1 == len(deployment.jobs())

    @basic
    def test_25_a_result_over_the_limit_fails_the_job(
        self, deployment: Deployment, worker: Callable[..., Workers]
    ) -> None:
        """
        25: a result over the limit fails its job; one of just that size is kept.
        """
        worker(limits={"max_result_bytes": LIMIT})
        # Two more for the quotes around the text.
        exact, over = (deployment.submit("big", LIMIT - 2 + more) for more in (0, 1))

        assert LIMIT - 2 == len(deployment.done(exact.id))
        assert deployment.failed(over.id, Reason.RESULT_TOO_LARGE).value_json is None

    @basic
    def test_64_inputs_and_settings_stay_out_of_sight(
        self,
        deployment: Deployment,
        worker: Callable[..., Workers],
        settings: Mapping[str, Any],
    ) -> None:
        """
        64: no input is in the arguments of a process or in a log; nor is an address in the
        former, or its password in the latter.
        """
        secret = f"hunter2-{uuid.uuid4().hex}"
        addresses = [text for text in texts_in(settings) if "://" in text]
        passwords = [urlsplit(address).password for address in addresses]
        worker()
        if deployment.pool.capabilities.spawn:
            deployment.remote().call("spawn_worker")
        jobs = [deployment.submit("write", deployment.task(note=secret)) for _ in range(2)]
        deployment.started(times=2 if deployment.pool.capabilities.spawn else 1)

        arguments = " ".join(_arguments(deployment))

        deployment.gate().open()
        for job in jobs:
            deployment.done(job.id)
        assert [] == [text for text in (secret, *addresses) if text in arguments]
        logs = " ".join(process.output(limit=1_000_000) for process in deployment.processes)
        assert [] == [text for text in (secret, *passwords) if text and text in logs]

    @basic
    def test_64_a_queue_is_told_no_input(
        self, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        64: what is handed to a queue names the job, and holds nothing of its input.
        """
        secret = f"hunter2-{uuid.uuid4().hex}"
        told: list[str] = []
        pool = deployment.pool
        # In two steps, as for any job that is handed over again.
        monkeypatch.setattr(pool, "record_and_submit", lambda *_: None)
        monkeypatch.setattr(pool, "submit", lambda request: told.append(repr(request)))

        record = deployment.submit("echo", secret)

        assert record.id in " ".join(told)
        assert secret not in " ".join(told)

    @basic
    def test_65_a_forged_message_names_a_job_at_most(
        self, deployment: Deployment, worker: Callable[..., Workers]
    ) -> None:
        """
        65: a message that names no job is dropped; one that names a job runs it as recorded.
        """
        record = deployment.write()
        deployment.gate().open()
        app, backend = deployment.config.name, deployment.pool.name
        for job_id in (new_job_id(), record.id):
            forged = SubmitRequest(
                job_id=job_id, app=app, backend=backend, pipeline="leave", generation=7
            )
            deployment.pool.submit(forged)

        started = worker()

        deployment.done(record.id)
        deployment.serves()
        assert ("write", 1) == (record.pipeline, deployment.fetch(record.id).attempt)
        assert 1 == len(deployment.ledger().starts())
        assert 2 == len(deployment.jobs())
        assert started.processes[0].lives


_RUNS: Final = "/api/v1/pipelines/echo/runs"
_JSON: Final = {"Content-Type": "application/json"}


def _body(text: str) -> bytes:
    return json.dumps({"input": text, "use_worker": True}).encode()


def _arguments(deployment: Deployment) -> list[str]:
    """
    The arguments of every process of a deployment that lives.
    """
    pids = [pid for process in deployment.processes for pid in process.pids]
    return [argument for pid in pids for argument in psutil.Process(pid).cmdline()]
