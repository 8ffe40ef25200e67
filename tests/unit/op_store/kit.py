"""
Ops and pipelines that the tests of the op store train, save, load and break.

Everything is importable, so that other processes can do the same things.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from chariots_core.op_store import savers
from chariots_core.op_store.client import BaseOpStoreClient
from chariots_core.op_store.loading import LoadedPipelines
from chariots_core.op_store.sql_store import LocalOpStoreClient
from chariots_core.op_store.values import Link, SavedOp
from chariots_core.op_store_http import OpStoreClient
from chariots_core.pipelines import BaseOp, LoadableOp, Node, Pipeline
from chariots_core.versioning import Version, VersionedField, VersionType

INPUT, OUTPUT = "__pipeline_input__", "__pipeline_output__"


class Numbers(BaseOp):
    """
    What trainings learn from.
    """

    def execute(self) -> list[float]:
        return [1.0, 2.0, 6.0]


class Learner(LoadableOp):
    """
    An op whose state is a number; training adds to it what comes in, from run to run.
    """

    continue_training = True

    def __init__(self, fits: bool = False) -> None:
        super().__init__()
        self.fits = fits
        self.state = 0.0

    @property
    def trains(self) -> bool:
        return self.fits

    def execute(self, numbers: Sequence[float]) -> list[float]:
        if self.fits:
            self.state += sum(numbers)
            self._op_version = self.op_version.update_patch(str(self.state).encode())
        return [number + self.state for number in numbers]

    def serialize(self) -> bytes:
        return json.dumps(self.state).encode()

    def load(self, serialized_object: bytes) -> None:
        self.state = json.loads(serialized_object)


class Trainable(Learner):
    """
    A learner that must be trained before it executes, and starts each training anew.
    """

    continue_training = False

    @property
    def needs_training(self) -> bool:
        return not self.fits


class Centre(Learner):
    """
    The first op of the chain.
    """


class Scale(Learner):
    """
    The second op of the chain.
    """


class Rounded(BaseOp):
    """
    The last op of the chain: without state.
    """

    digits = VersionedField(2, VersionType.MINOR)

    def execute(self, numbers: Sequence[float]) -> list[float]:
        return [round(number, self.digits) for number in numbers]


class Counter(LoadableOp):
    """
    An op that counts its calls, and never changes its version.
    """

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def execute(self) -> int:
        self.count += 1
        return self.count

    def serialize(self) -> bytes:
        return str(self.count).encode()

    def load(self, serialized_object: bytes) -> None:
        self.count = int(serialized_object)


class Marked(LoadableOp):
    """
    An op without a state to speak of.
    """

    def execute(self) -> None: ...

    def serialize(self) -> bytes:
        return b""

    def load(self, serialized_object: bytes) -> None: ...


def recoded(cls: type[Any], **fields: VersionedField[Any]) -> type[Any]:
    """
    The class as a later release of its code has it.
    """
    return type(cls.__name__, (cls,), fields)


def train_centre(centre: type[Any] = Centre) -> Pipeline:
    return Pipeline(
        [Node(Numbers(), output_nodes="x"), Node(centre(fits=True), ["x"], OUTPUT)],
        name="train_centre",
    )


def train_scale(scale: type[Any] = Scale) -> Pipeline:
    return Pipeline(
        [
            Node(Numbers(), output_nodes="x"),
            Node(Centre(), ["x"], "y"),
            Node(scale(fits=True), ["y"], OUTPUT),
        ],
        name="train_scale",
    )


def predict(
    rounded: type[Any] = Rounded, scale: type[Any] = Scale, centre: type[Any] = Centre
) -> Pipeline:
    return Pipeline(
        [
            Node(centre(), [INPUT], "x"),
            Node(scale(), ["x"], "y"),
            Node(rounded(), ["y"], OUTPUT),
        ],
        name="predict",
    )


def count() -> Pipeline:
    return Pipeline([Node(Counter(), output_nodes=OUTPUT)], name="count")


def pipelines() -> list[Pipeline]:
    """
    All of them, as one app serves them.
    """
    return [train_centre(), train_scale(), predict(), count()]


def open_local(url: str, folder: str | Path) -> LocalOpStoreClient:
    return LocalOpStoreClient(url, savers.FileSaver(folder))


def open_store(url: str, folder: str | Path) -> BaseOpStoreClient:
    """
    The store at an address: of a database, or of a server that has one.
    """
    return OpStoreClient(url) if url.startswith("http://") else open_local(url, folder)


class App:
    """
    What an app does with loaded pipelines, and no more.
    """

    def __init__(
        self,
        store: BaseOpStoreClient,
        served: Sequence[Pipeline] | None = None,
        freshness: float = 0.5,
    ) -> None:
        self.store = store
        self.pipelines = {p.name: p for p in (pipelines() if served is None else served)}
        self.loaded = LoadedPipelines(self.pipelines.values(), store, freshness=freshness)

    def call(self, name: str, value: Any = None) -> Any:
        """
        A call in a web process.
        """
        if self.loaded.get(name).trains:
            return self.train(name, value)
        return self.pipelines[name].run(value, ops=self.loaded.get(name).check().ops)

    def train(self, name: str, value: Any = None, *, job_id: str | None = None) -> Any:
        """
        A training: of a job, or of a web process.
        """
        with self.loaded.training(name, job_id=job_id) as run:
            output = self.pipelines[name].run(value, ops=run.ops)
            self.loaded.publish(run.stage(job_id=job_id, attempt=1 if job_id else 0))
        return output


def texts(app: App, name: str) -> dict[str, str]:
    return dict(app.loaded.versions(name))


def train_all(app: App, job: str = "job") -> None:
    """
    Train the whole chain on workers, the second op with the first.
    """
    app.train("train_centre", job_id=f"{job}-centre")
    app.loaded.load("train_scale")
    app.train("train_scale", job_id=f"{job}-scale")


def version(text: str) -> Version:
    """
    Some version, always the same for the same text.
    """
    return Version().update_minor(text.encode())


def saved(store: BaseOpStoreClient, op: str, text: str, *, data: bytes | None = None) -> SavedOp:
    """
    A training of *op* that gave version *text*.
    """
    data = text.encode() if data is None else data
    return SavedOp(
        op=op, version=version(text), digest=store.put_blob(data), size=len(data), trained=True
    )


def link(upstream: str, upstream_text: str, downstream: str, downstream_text: str) -> Link:
    return Link(
        upstream=upstream,
        upstream_version=version(upstream_text).identity,
        downstream=downstream,
        downstream_version=version(downstream_text).identity,
    )


# --- what other processes do -----------------------------------------------


def in_app(url: str, folder: str, do: Callable[[App], Any]) -> Any:
    """
    Do something with an app of this process's own, on the store of others.
    """
    app = App(open_store(url, folder))
    try:
        return do(app)
    finally:
        app.store.close()
