"""
The commands of a refusal, followed one by one; and whether a wrong model is ever served.

Each op puts its name, its state and what it read into what it gives. A state keeps
what it was trained on, so that an op sees when it runs behind something else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from chariots_core.errors import VersionError
from chariots_core.pipelines import BaseOp, LoadableOp, Node, Pipeline
from chariots_core.versioning import VersionedField, VersionType
from tests.unit.op_store.kit import INPUT, OUTPUT, App, open_local

_trainings = count(1)

#: Hundreds of stores are made, and none of them has to survive a power cut.
_IN_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None


class Source(BaseOp):
    """
    What trainings read: the same as what predictions are called with.
    """

    def execute(self) -> str:
        return "x"


class Plain(BaseOp):
    """
    An op without state.
    """

    release = VersionedField(1, VersionType.MAJOR)

    def execute(self, *inputs: str) -> str:
        return f"{self.name}.{self.release}({','.join(inputs)})"


class Model(LoadableOp):
    """
    An op that must be trained, and that refuses what it was not trained behind.
    """

    release = VersionedField(1, VersionType.MAJOR)

    def __init__(self, fits: bool = False) -> None:
        super().__init__()
        self.fits = fits
        self.number = 0
        self.learnt: str | None = None

    @property
    def trains(self) -> bool:
        return self.fits

    @property
    def needs_training(self) -> bool:
        return not self.fits

    def execute(self, *inputs: str) -> str:
        read = ",".join(inputs)
        if self.fits:
            self.number, self.learnt = next(_trainings), read
        assert self.learnt == read, f"WRONG MODEL: {self.name} learnt {self.learnt}, reads {read}"
        return f"{self.name}.{self.number}({read})"

    def serialize(self) -> bytes:
        return json.dumps([self.number, self.learnt]).encode()

    def load(self, serialized_object: bytes) -> None:
        self.number, self.learnt = json.loads(serialized_object)


@attrs.frozen(kw_only=True)
class Graph:
    """
    A pipeline that predicts, and those that train its ops.

    Attributes:
        models: for each op, whether it has a state.
        reads: for each op, the ops before it that it reads; none: the input.
        trainers: groups of ops that one pipeline trains.
    """

    models: tuple[bool, ...]
    reads: tuple[tuple[int, ...], ...]
    trainers: tuple[tuple[int, ...], ...]

    def app(self, folder: str, releases: Sequence[int] = ()) -> App:
        """
        An app of the graph's pipelines, with these releases of its ops' code.
        """
        classes = [
            type(
                f"Op{i}",
                (Model if self.models[i] else Plain,),
                {"release": VersionedField(number, VersionType.MAJOR)},
            )
            for i, number in enumerate(releases or [1] * len(self.models))
        ]
        served = [self._pipeline("predict", classes, range(len(classes)), ())]
        for ops in self.trainers:
            needed = sorted(self._before(ops))
            served.append(self._pipeline(f"train_{'_'.join(map(str, ops))}", classes, needed, ops))
        store = open_local(f"sqlite:///{folder}/store.db", Path(folder, "bytes"))
        return App(store, served, freshness=0.0)

    def _before(self, ops: Sequence[int]) -> set[int]:
        return {each for op in ops for each in (op, *self._before(self.reads[op]))}

    def _pipeline(
        self, name: str, classes: Sequence[type[Any]], ops: Sequence[int], trained: Sequence[int]
    ) -> Pipeline:
        start = "input" if trained else INPUT
        nodes = [Node(Source(), output_nodes=start)] if trained else []
        for op in ops:
            made = classes[op](op in trained) if self.models[op] else classes[op]()
            nodes.append(Node(made, [f"v{i}" for i in self.reads[op]] or [start], f"v{op}"))
        ends = [f"v{op}" for op in ops if not any(op in self.reads[other] for other in ops)]
        nodes.append(Node(Joined(), ends, OUTPUT))
        return Pipeline(nodes, name=name)


class Joined(BaseOp):
    """
    All ends of a graph in one.
    """

    def execute(self, *inputs: str) -> str:
        return " ".join(inputs)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    size = draw(st.integers(2, 5))
    models = (*(draw(st.booleans()) for _ in range(size - 1)), True)
    reads = tuple(
        tuple(sorted(draw(st.sets(st.integers(0, op - 1), max_size=2)))) if op else ()
        for op in range(size)
    )
    alone = [(op,) for op in range(size) if models[op]]
    together = draw(
        st.lists(
            st.sets(st.sampled_from([op for (op,) in alone]), min_size=2, max_size=3).map(
                lambda ops: tuple(sorted(ops))
            ),
            max_size=1,
        )
        if len(alone) > 1
        else st.just([])
    )
    return Graph(models=models, reads=reads, trainers=(*alone, *together))


def do(app: App, command: str) -> Any:
    """
    Carry out a command as it is printed.
    """
    _, verb, name, *_ = command.split()
    return {"load": app.loaded.load, "save": app.loaded.save, "call": app.call}[verb](name)


def follow(app: App, pipeline: str = "predict") -> list[str]:
    """
    Load a pipeline, and where that is refused run what the refusal says.
    """
    refused: VersionError | None = None
    try:
        app.loaded.load(pipeline)
    except VersionError as error:
        refused = error
    # where ops without state have changed, a person has to decide; here they fit
    commands = [] if refused is None else re.findall(r"`(chariots [^`]+)`", str(refused))
    assert refused is None or commands, refused
    for command in commands:
        do(app, command)
    return commands


_ACTIONS = st.lists(
    st.tuples(st.sampled_from(["train", "job", "load", "predict"]), st.integers(0, 5)), max_size=8
)
_slowly = settings(
    max_examples=12,
    deadline=None,
    # a failing graph is read as it is: shrinking one takes minutes
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)


def act(app: App, graph: Graph, actions: Sequence[tuple[str, int]]) -> None:
    """
    Train, load and predict in any order. What is refused changes nothing.
    """
    names = [name for name in app.pipelines if name != "predict"]
    for number, (what, index) in enumerate(actions):
        name = names[index % len(names)]
        try:
            if what == "train":
                app.train(name)
                app.loaded.save(name)
            elif what == "job":
                app.train(name, job_id=f"{id(app)}-{number}")
            elif what == "load":
                app.loaded.load([*names, "predict"][index % (len(names) + 1)])
            else:
                app.call("predict", "x")
        except VersionError:
            continue


@pytest.mark.slow
@_slowly
@given(graphs(), _ACTIONS)
def test_commands_of_a_refusal_end_with_a_served_pipeline(
    graph: Graph, actions: list[tuple[str, int]]
) -> None:
    """
    Whatever was trained and loaded before, the printed commands, run one by one, are
    all accepted, and the pipeline is served with models that belong together.
    """
    with TemporaryDirectory(dir=_IN_MEMORY) as folder:
        app = graph.app(folder)
        act(app, graph, actions)
        follow(app)

        assert app.loaded.get("predict").error is None
        assert "x" in app.call("predict", "x")
        app.store.close()


_RELEASES = st.lists(st.integers(1, 2), min_size=5, max_size=5)


@pytest.mark.slow
@_slowly
@given(graphs(), _ACTIONS, _ACTIONS, _RELEASES, _ACTIONS)
def test_two_releases_on_one_store_never_serve_a_wrong_model(
    graph: Graph,
    before: list[tuple[str, int]],
    newer: list[tuple[str, int]],
    releases: list[int],
    after: list[tuple[str, int]],
) -> None:
    """
    A release whose ops have other code trains and loads beside the older one: no
    process runs a model behind anything else than what it was trained behind, the
    older release serves on, and the advice works in both.
    """
    with TemporaryDirectory(dir=_IN_MEMORY) as folder:
        old = graph.app(folder)
        act(old, graph, before)
        follow(old)
        new = graph.app(folder, releases[: len(graph.models)])
        act(new, graph, newer)
        served = [old.loaded.get("predict").error, "x" in old.call("predict", "x")]
        act(old, graph, after)
        act(new, graph, after)
        follow(new)
        follow(old)

        assert [None, True] == served
        assert all("x" in app.call("predict", "x") for app in (old, new))
        old.store.close()
        new.store.close()


def test_missing_trainer_is_for_a_person_to_decide(tmp_path: Path) -> None:
    """
    Where no pipeline trains an op, there are no commands, and the refusal says what is missing.
    """
    graph = Graph(models=(True, True), reads=((), (0,)), trainers=((0,),))
    app = graph.app(str(tmp_path))
    with pytest.raises(VersionError, match=r"no pipeline of this app trains 'op1'") as caught:
        app.loaded.load("predict")

    assert () == caught.value.commands


def test_a_trainer_of_other_code_is_no_advice(tmp_path: Path) -> None:
    """
    Where the op that trains and the op that serves share a name and not their code, the refusal
    does not name trainings that change nothing, but the two classes.
    """
    other = type("Op0", (Model,), {"release": VersionedField(2, VersionType.MAJOR)})
    graph = Graph(models=(True,), reads=((),), trainers=((0,),))
    app = graph.app(str(tmp_path))
    train = next(each for name, each in app.pipelines.items() if name != "predict")
    mixed = App(app.store, [train, Pipeline([Node(other(), [INPUT], OUTPUT)], name="predict")])
    mixed.train(train.name, job_id="job")
    with pytest.raises(VersionError, match=r"by the code of .*, which differs") as caught:
        mixed.loaded.load("predict")

    assert () == caught.value.commands
