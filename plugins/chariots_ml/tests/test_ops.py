"""
Ops that learn: modes, versions, state.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, ClassVar

import pytest

from chariots_core.errors import ArtifactCorrupt, NotJSONError
from chariots_core.pipelines import LoadableOp, Node, OpCallBack, Pipeline
from chariots_core.versioning import Version, VersionedField, VersionType, version_of
from chariots_ml import BaseMLOp, MLMode, OpNotFitted
from chariots_ml.ops import SerializerSource
from chariots_ml.serializers import JSONSerializer

IN, OUT = "__pipeline_input__", "__pipeline_output__"


class Mean(BaseMLOp):
    """
    Learns the mean of numbers, and predicts it for each number.
    """

    serializer_cls: ClassVar[SerializerSource] = JSONSerializer
    kind = VersionedField("arithmetic", VersionType.MINOR)

    def _init_model(self) -> dict[str, float]:
        return {}

    def fit(self, numbers: Sequence[float]) -> None:
        self._model["mean"] = sum(numbers) / len(numbers)

    def predict(self, numbers: Sequence[float]) -> list[float]:
        return [self._model["mean"] for _ in numbers]


def changed(before: Version, after: Version) -> set[VersionType]:
    """
    The digests in which two versions differ.
    """
    return {
        kind for kind in VersionType if getattr(before, kind.value) != getattr(after, kind.value)
    }


@pytest.mark.parametrize(
    ("mode", "result"),
    [(MLMode.FIT, None), (MLMode.FIT_PREDICT, [2.0, 2.0])],
)
def test_modes_that_train(mode: MLMode, result: object) -> None:
    """
    FIT learns and gives nothing; FIT_PREDICT learns and gives predictions.
    """
    mean = Mean(mode)

    assert result == mean.execute([1, 3])
    assert b'{"mean":2.0}' == mean.serialize()


def test_predict_learns_nothing() -> None:
    """
    PREDICT gives predictions, and changes neither the state nor the version.
    """
    mean = Mean(MLMode.PREDICT)
    mean.load(b'{"mean":2.0}')
    version = mean.op_version

    assert [2.0] == mean.execute([7])
    assert (b'{"mean":2.0}', version) == (mean.serialize(), mean.op_version)


def test_facts_of_modes() -> None:
    """
    Ops that fit train and may change their version; ops that predict do neither.
    """
    facts = {mode: (Mean(mode).trains, Mean(mode).allow_version_change) for mode in MLMode}

    assert {
        MLMode.FIT: (True, True),
        MLMode.FIT_PREDICT: (True, True),
        MLMode.PREDICT: (False, False),
    } == facts
    assert (MLMode.FIT, "mean", "json") == (
        Mean(MLMode.FIT).mode,
        Mean(MLMode.FIT).name,
        Mean(MLMode.FIT).serializer,
    )
    assert isinstance(Mean(MLMode.FIT), LoadableOp)


def test_modes_are_checked() -> None:
    """
    Anything but a mode is refused, with the modes there are.
    """
    with pytest.raises(TypeError, match=r"mode of op 'mean' is 'fit': give one of MLMode\.FIT"):
        Mean("fit")  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", VersionType)
def test_training_changes_the_named_digest(kind: VersionType) -> None:
    """
    A training changes the digest that the op names, and no other.
    """

    class Trained(Mean):
        training_update_version = kind

    trained = Trained(MLMode.FIT)
    before = trained.op_version
    trained.execute([1])

    assert {kind} == changed(before, trained.op_version)
    assert trained.op_version > before


def test_training_changes_the_patch_by_default() -> None:
    """
    Unless the op says otherwise, a training is a patch of the code's version.
    """
    mean = Mean(MLMode.FIT)
    mean.execute([1])

    assert {VersionType.PATCH} == changed(version_of(Mean), mean.op_version)


def test_every_training_is_a_version_of_its_own() -> None:
    """
    The same data gives the same model under another version each time.
    """
    ops = [Mean(MLMode.FIT) for _ in range(3)]
    for mean in ops:
        mean.execute([1])
    again = ops[0].op_version
    ops[0].execute([1])

    assert 4 == len({again, *(mean.op_version for mean in ops)})


def test_a_failed_training_changes_the_version() -> None:
    """
    A training that breaks off may have changed the model, so the version is another one.
    """
    mean = Mean(MLMode.FIT)
    before = mean.op_version

    with pytest.raises(ZeroDivisionError):
        mean.execute([])

    assert before != mean.op_version


def test_training_after_a_restore_builds_on_the_code() -> None:
    """
    A restored op that is trained again has the code's other digests, not the restored ones.
    """
    mean = Mean(MLMode.FIT)
    mean.restore(b'{"mean":1.0}', Version(minor="ab"))

    mean.execute([1])

    assert version_of(Mean).minor == mean.op_version.minor


def test_state_goes_from_op_to_op() -> None:
    """
    What a trained op serializes, another one predicts with, under the same version.
    """
    trained, served = Mean(MLMode.FIT), Mean(MLMode.PREDICT)
    trained.execute([1, 3])

    served.restore(trained.serialize(), trained.op_version)

    assert ([2.0], trained.op_version) == (served.execute([0]), served.op_version)


def test_copies_learn_alone() -> None:
    """
    Training a copy changes neither the model nor the version of the original.
    """
    mean = Mean(MLMode.FIT_PREDICT)
    mean.execute([1])
    version = mean.op_version

    mean.copy().execute([5])

    assert (b'{"mean":1.0}', version) == (mean.serialize(), mean.op_version)


def test_prediction_before_a_fit_has_a_hint() -> None:
    """
    The model's own error leaves, with a note that names the op and what to do.
    """
    pipeline = Pipeline([Node(Mean(MLMode.PREDICT), [IN], OUT)], "p")

    with pytest.raises(KeyError) as caught:
        pipeline.run([1])

    assert caught.value.__notes__[0].startswith("op 'mean' was never fitted: run a pipeline that")


def test_prediction_with_the_first_version_has_a_hint() -> None:
    """
    State that was saved before any training is no training.
    """
    mean = Mean(MLMode.PREDICT)
    mean.restore(b"{}", version_of(Mean))

    with pytest.raises(KeyError) as caught:
        mean.execute([1])

    assert 1 == len(caught.value.__notes__)


def test_prediction_after_a_fit_has_no_hint() -> None:
    """
    An error of an op that was fitted, restored or loaded says nothing about fitting.
    """
    fitted, restored, loaded = (Mean(MLMode.FIT_PREDICT) for _ in range(3))
    fitted.execute([1])
    del fitted._model["mean"]
    restored.restore(b"{}", fitted.op_version)
    loaded.load(b"{}")

    for mean in (fitted, restored, loaded):
        with pytest.raises(KeyError) as caught:
            mean._predicted(([1],))
        assert not hasattr(caught.value, "__notes__")


def test_models_that_need_no_fit_predict_at_once() -> None:
    """
    An op whose model comes ready made predicts without a training, and reports that it needs none.
    """

    class Ready(Mean):
        pretrained = True

        def _init_model(self) -> dict[str, float]:
            return {"mean": 7.0}

    assert ([7.0], False) == (
        Ready(MLMode.PREDICT).execute([1]),
        Ready(MLMode.PREDICT).needs_training,
    )


def test_models_are_made_late() -> None:
    """
    A subclass may set what its model needs after the base's constructor.
    """

    class Late(Mean):
        def __init__(self, start: float) -> None:
            super().__init__(MLMode.PREDICT)
            self.start = start

        def _init_model(self) -> dict[str, float]:
            return {"mean": self.start}

    assert [7.0] == Late(7.0).execute([1])


class Total(Mean):
    """
    Adds up numbers; what the model holds before a training shows in the result.
    """

    def fit(self, numbers: Sequence[float]) -> None:
        self._model["mean"] = self._model.get("mean", 0) + sum(numbers)


class GrowingTotal(Total):
    continue_training = True


@pytest.mark.parametrize("mode", [MLMode.FIT, MLMode.FIT_PREDICT])
def test_each_training_starts_from_a_new_model(mode: MLMode) -> None:
    """
    The second training of one op object knows nothing of the first, nor of what was loaded.
    """
    total = Total(mode)
    total.load(b'{"mean":100}')
    total.execute([1, 2])
    total.execute([5])

    assert b'{"mean":5}' == total.serialize()


def test_a_training_can_continue() -> None:
    """
    An op that continues its training keeps the model of the training before.
    """
    total = GrowingTotal(MLMode.FIT)
    total.load(b'{"mean":100}')
    total.execute([1, 2])
    total.execute([5])

    assert b'{"mean":108}' == total.serialize()


def test_who_needs_a_training() -> None:
    """
    An op that predicts needs a training before, one that fits does not.
    """
    assert [False, True, False] == [Mean(mode).needs_training for mode in MLMode]


def test_plain_models_declare_their_class() -> None:
    """
    A model without parameters is declared by its class.
    """
    mean = Mean(MLMode.FIT)
    mean.execute([1])

    expected = {"class": "builtins.dict", "parameters": {}}
    assert (expected, expected) == (mean.declaration(), mean.fitted())


def test_an_error_of_the_code_that_builds_the_model_names_the_op() -> None:
    """
    A model that cannot be built raises the builder's own error, with a note of the op.
    """

    class Broken(Mean):
        def _init_model(self) -> dict[str, float]:
            raise LookupError("no such model")

    for call in (Broken(MLMode.FIT).declaration, Broken(MLMode.FIT).check_saveable):
        with pytest.raises(LookupError, match="no such model") as caught:
            call()
        assert "op 'broken': its _init_model() failed" == caught.value.__notes__[0]


def test_models_that_cannot_be_saved_are_found_before_a_training() -> None:
    """
    The check before a training raises what the serializer raises for a new model.
    """

    class Unsaveable(Mean):
        def _init_model(self) -> Any:
            return {"set": {1}}

    Mean(MLMode.FIT).check_saveable()
    with pytest.raises(NotJSONError) as caught:
        Unsaveable(MLMode.FIT).check_saveable()
    assert ["op 'unsaveable' cannot be saved"] == caught.value.__notes__


def test_a_serializer_can_be_an_object() -> None:
    """
    A serializer with arguments is given as it is.
    """

    class Given(Mean):
        serializer_cls = JSONSerializer()

    assert (b"{}", "json") == (Given(MLMode.FIT).serialize(), Given(MLMode.FIT).serializer)


def test_serializers_can_be_made_by_functions() -> None:
    """
    A serializer with arguments is given as a function that makes it.
    """
    made: list[str] = []

    def make(tag: str) -> JSONSerializer:
        made.append(tag)
        return JSONSerializer()

    class Made(Mean):
        serializer_cls = functools.partial(make, "tag")

    assert (b"{}", ["tag"]) == (Made(MLMode.FIT).serialize(), made)


def test_bytes_of_another_kind_are_refused() -> None:
    """
    Bytes that the serializer cannot read leave model and version as they were.
    """
    mean = Mean(MLMode.PREDICT)
    mean.load(b'{"mean":2.0}')

    with pytest.raises(ArtifactCorrupt, match="is no JSON"):
        mean.restore(b"\x80\x04", Version(major="ab"))

    assert ([2.0], version_of(Mean)) == (mean.execute([1]), mean.op_version)


def test_callbacks_surround_training() -> None:
    """
    Callbacks of an op that learns are called like those of any op.
    """
    seen: list[object] = []

    class See(OpCallBack):
        def after_execution(self, callback_op: Any, args: Sequence[Any], output: Any) -> None:
            seen.append((callback_op.name, args, output))

    mean = Mean(MLMode.FIT_PREDICT, op_callbacks=[See()])
    Pipeline([Node(mean, [IN], OUT)], "p").run([1, 3])

    assert [("mean", ([1, 3],), [2.0, 2.0])] == seen


def test_pipelines_know_what_they_train() -> None:
    """
    A pipeline names the ops that train, and has the new version after its run.
    """
    pipeline = Pipeline([Node(Mean(MLMode.FIT), [IN])], "p")
    before = pipeline.get_pipeline_versions()
    pipeline.run([1])

    assert {"mean"} == pipeline.trained
    assert before != pipeline.get_pipeline_versions()


def test_the_error_is_exported() -> None:
    """
    The error of an op that was not fitted has a stable name and the op's.
    """
    error = OpNotFitted("op 'x' was never fitted", op="x")

    assert ("op-not-fitted", "x") == (error.code, error.op)
