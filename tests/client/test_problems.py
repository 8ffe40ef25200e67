"""
What a server reports, and what a client raises for it.
"""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from chariots_core import errors
from chariots_core.client import RequestRejected, ServerFault
from chariots_core.client.answers import raise_problem
from chariots_core.client.transport import Reply
from chariots_core.pipelines import BaseOp, Node, Pipeline
from chariots_core.server import PipelinesServer
from chariots_core.server.problems import Problem, invalid, problem_of, unforeseen
from chariots_core.testing import TestOpStoreClient, TestPipelinesClient
from tests.apps import IN, OUT, make_server, track

#: What an error may know, with a value for each.
FACTS: dict[str, Any] = {
    "backend": "b",
    "blockers": ("link",),
    "commands": ("chariots load predict",),
    "capability": "cancel",
    "contract_version": 2,
    "exception_type": "KeyError",
    "job_id": "j",
    "node": "n",
    "path": "$.rows[3]",
    "problems": ("no such option",),
    "reason": "is NaN",
    "retry_after": 2.5,
    "traceback": "in execute",
}


def sample(kind: type[errors.ChariotsError]) -> errors.ChariotsError:
    """
    An error of that class that knows all that it can.
    """
    known = inspect.signature(kind.__init__).parameters.values()
    return kind(
        "what failed",
        **{each.name: FACTS[each.name] for each in known if each.kind is each.KEYWORD_ONLY},
    )


#: Every error of the tree, but for the root.
TREE = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type)
    and issubclass(kind, errors.ChariotsError)
    and kind is not errors.ChariotsError
]
REPORTED = [kind for kind in TREE if problem_of(sample(kind)) is not None]


def raised(problem: Problem | None) -> errors.ChariotsError:
    """
    What a client raises for a problem.
    """
    assert problem is not None
    reply = Reply(url="http://x", status=problem.status, headers={}, content=b"")
    with pytest.raises(errors.ChariotsError) as caught:
        raise_problem(reply, problem.document("id"))
    return caught.value


@pytest.mark.parametrize("kind", REPORTED)
def test_every_error_of_a_server_comes_back_as_itself(kind: type[errors.ChariotsError]) -> None:
    """
    Each error of the tree that a server reports is raised by a client as the same class,
    with the same words and facts.
    """
    met = sample(kind)

    found = raised(problem_of(met))

    assert kind is type(found)
    assert met.message == found.message
    assert vars(met) == {name: fact for name, fact in vars(found).items() if name != "__notes__"}


def test_what_a_server_reports_is_most_of_the_tree() -> None:
    """
    A server reports what a request can meet, and keeps the rest for its log.
    """
    kept = {kind.__name__ for kind in TREE} - {kind.__name__ for kind in REPORTED}

    assert {
        "AppLoadError",
        "ClientError",
        "ConfigInvalid",
        "ConfigurationError",
        "DuplicatePipelineError",
        "IdempotencyKeyInvalid",
        "InvalidTransition",
        "JobError",
        "StaleAttempt",
    } == kept


def test_no_two_errors_have_one_name() -> None:
    """
    A name on the wire belongs to one error.
    """
    assert len(TREE) == len({kind.code for kind in TREE})


def test_a_fault_of_the_server_is_no_refusal() -> None:
    """
    A 500 that says no more than that is a ServerFault, which promises nothing of what was done.
    """
    fault = raised(unforeseen("id"))

    assert ServerFault is type(fault)
    assert (500, "internal-error") == (vars(fault)["status"], vars(fault)["slug"])
    assert isinstance(fault, errors.ClientError)
    assert not isinstance(fault, RequestRejected)


@pytest.mark.parametrize(
    ("status", "expected"),
    [(400, RequestRejected), (418, RequestRejected), (501, ServerFault), (599, ServerFault)],
)
def test_an_unknown_problem_goes_by_its_status(
    status: int, expected: type[errors.ClientError]
) -> None:
    """
    A problem without a class of its own is a refusal or a fault, as its status says.
    """
    assert expected is type(raised(Problem(slug="new", title="t", status=status, detail="d")))


def test_a_known_name_with_less_than_it_needs() -> None:
    """
    A problem that has an error's name and not its facts goes by its status.
    """
    for status, expected in ((422, RequestRejected), (500, ServerFault)):
        problem = Problem(slug="node-output-error", title="t", status=status, detail="d")
        assert expected is type(raised(problem))


def test_a_refusal_names_the_members() -> None:
    """
    A RequestRejected has what the server found wrong, member by member.
    """
    refused = raised(invalid("/timeout", "too long").problem)

    assert isinstance(refused, RequestRejected)
    assert ["/timeout"] == [error["pointer"] for error in refused.errors]


# --- from end to end ------------------------------------------------------------


def test_an_input_that_is_not_taken(tmp_path: Any) -> None:
    """
    A pipeline that takes no input, and gets one, is a PipelineError on the client, too.
    """
    with (
        TestPipelinesClient(make_server(tmp_path)) as client,
        pytest.raises(errors.PipelineError, match="input") as caught,
    ):
        client.call_pipeline("constant", 1)

    assert errors.PipelineError is type(caught.value)


def test_a_server_that_breaks(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A fault in the server is a ServerFault that names the request and tells no secret.
    """
    server = make_server(tmp_path)

    def fault(*_: object) -> None:
        raise RuntimeError("password=hunter2")

    monkeypatch.setattr(server.chariots.loaded, "open", fault)
    with TestPipelinesClient(server) as client, pytest.raises(ServerFault) as caught:
        client.describe_pipeline("is_odd")

    assert "hunter2" not in str(caught.value)
    assert any("request" in note for note in caught.value.__notes__)


def test_a_node_with_too_few_outputs(tmp_path: Any) -> None:
    """
    An op that returns less than its node names is a NodeOutputError that names the node.
    """

    class One(BaseOp):
        """
        One value for two outputs.
        """

        def execute(self, value: Any) -> Any:
            return value

    nodes = [Node(One(), [IN], ["a", "b"], name="one"), Node(One(), ["a"], OUT, name="two")]
    server = PipelinesServer([Pipeline(nodes, "two")], TestOpStoreClient(tmp_path))
    with (
        TestPipelinesClient(track(server)) as client,
        pytest.raises(errors.PipelineError, match="one") as caught,
    ):
        client.call_pipeline("two", 1)

    assert "one" == vars(caught.value)["node"]
