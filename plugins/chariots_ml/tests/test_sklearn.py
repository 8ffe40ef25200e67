"""
Ops around scikit-learn models, on real data.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline as SKPipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from chariots_core import strict_json
from chariots_core.errors import ArtifactCorrupt, ConfigurationError, UntrustedArtifact
from chariots_core.pipelines import Node, Pipeline
from chariots_core.versioning import VersionedField, VersionedFieldDict, VersionType, version_of
from chariots_ml import MLMode, OpNotFitted
from chariots_ml.sklearn import BaseSKOp, SKSupervisedOp, SKUnsupervisedOp
from tests.support import printed_by_processes

IN, OUT = "__pipeline_input__", "__pipeline_output__"
MAJOR, MINOR = VersionType.MAJOR, VersionType.MINOR


class Reduce(SKUnsupervisedOp):
    model_class = VersionedField(PCA, MAJOR)
    model_parameters = VersionedFieldDict(MINOR, {"n_components": 2})


class Classify(SKSupervisedOp):
    model_class = VersionedField(LogisticRegression, MAJOR)
    model_parameters = VersionedFieldDict(MINOR, {"max_iter": 300})
    training_update_version = MINOR


@pytest.fixture(name="iris", scope="module")
def _iris() -> tuple[Any, Any]:
    data = load_iris()
    return data.data, data.target


def train(mode: MLMode = MLMode.FIT) -> Pipeline:
    """
    A training pipeline of two models.
    """
    return Pipeline(
        [
            Node(Reduce(MLMode.FIT_PREDICT), ["x"], "reduced"),
            Node(Classify(mode), ["reduced", "y"], OUT if mode is MLMode.FIT_PREDICT else None),
            Data(IN, ["x", "y"]),
        ],
        "train",
    )


def predict() -> Pipeline:
    """
    The pipeline that predicts with what `train` trained.
    """
    return Pipeline(
        [
            Node(Reduce(MLMode.PREDICT), [IN], "reduced"),
            Node(Classify(MLMode.PREDICT), ["reduced"], OUT),
        ],
        "predict",
    )


def Data(inputs: str, outputs: list[str]) -> Node:  # noqa: N802 - reads like a node
    """
    A node that gives the pair that it gets.
    """
    return Node(Pair(), [inputs], outputs)


class Pair(SKUnsupervisedOp):
    """
    Gives its input as a pair, without a model.
    """

    def __init__(self) -> None:
        super().__init__(MLMode.PREDICT)

    def predict(self, X: Any) -> Any:  # noqa: N803
        return tuple(X)


def test_training_and_prediction(iris: tuple[Any, Any]) -> None:
    """
    Models trained by one pipeline predict iris flowers in another, in fresh ops.
    """
    training, prediction = train(), predict()
    assert training.run(iris) is None

    for path, op in prediction.ops.items():
        trained: Any = training.ops[path]
        op.restore(trained.serialize(), trained.op_version)  # type: ignore[attr-defined]
    answers = prediction.run(iris[0].tolist())

    assert 0.9 < np.mean(answers == iris[1])
    assert [0] == strict_json.decode(strict_json.encode(prediction.run([[5.1, 3.5, 1.4, 0.2]])))


def test_fit_predict_gives_predictions(iris: tuple[Any, Any]) -> None:
    """
    A supervised op that fits and predicts gives one answer for each row.
    """
    answers = train(MLMode.FIT_PREDICT).run(iris)

    assert 0.9 < np.mean(answers == iris[1])


@pytest.mark.parametrize("op", [Reduce(MLMode.PREDICT), Classify(MLMode.PREDICT)])
def test_prediction_before_a_fit(op: BaseSKOp) -> None:
    """
    An op that was never fitted says so by its name, with what to do.
    """
    with pytest.raises(OpNotFitted) as caught:
        Pipeline([Node(op, [IN], OUT)], "p").run([[1.0, 2.0]])

    assert op.name == caught.value.op
    assert f"op {op.name!r} was never fitted: run a pipeline that trains it" in caught.value.message


def test_unfitted_ops_can_be_saved() -> None:
    """
    The first version of an op, saved before any training, loads as an op that is not fitted.
    """
    op = Classify(MLMode.PREDICT)
    op.restore(Classify(MLMode.FIT).serialize(), version_of(Classify))

    with pytest.raises(OpNotFitted):
        op.execute([[1.0]])


def test_other_errors_are_scikit_learns_own(iris: tuple[Any, Any]) -> None:
    """
    Rows of the wrong width are refused by the model, without a hint about fitting.
    """
    op = Classify(MLMode.FIT)
    op.execute(*iris)
    served = Classify(MLMode.PREDICT)
    served.restore(op.serialize(), op.op_version)

    with pytest.raises(ValueError, match="features") as caught:
        served.execute([[1.0]])

    assert not hasattr(caught.value, "__notes__")


def test_versions_count_class_and_parameters() -> None:
    """
    Another model class is a major change, other parameters are what their dict says.
    """

    class OtherClass(Classify):
        model_class = VersionedField(Ridge, MAJOR)

    class OtherParameters(Classify):
        model_parameters = VersionedFieldDict(MINOR, {"max_iter": 100})

    base, other_class, other_parameters = map(version_of, (Classify, OtherClass, OtherParameters))

    assert (False, True) == (base.major == other_class.major, base.minor == other_class.minor)
    assert (True, False) == (
        base.major == other_parameters.major,
        base.minor == other_parameters.minor,
    )


def test_training_changes_the_named_digest(iris: tuple[Any, Any]) -> None:
    """
    Training changes the digest that the op names.
    """
    op = Classify(MLMode.FIT)
    op.execute(*iris)

    assert (True, False, True) == (
        op.op_version.major == version_of(Classify).major,
        op.op_version.minor == version_of(Classify).minor,
        op.op_version.patch == version_of(Classify).patch,
    )


def test_predict_function_and_fit_parameters(iris: tuple[Any, Any]) -> None:
    """
    The method that predicts, and more arguments of fit, can be chosen.
    """

    class Probability(Classify):
        predict_function = "predict_proba"
        fit_extra_parameters = VersionedFieldDict(MINOR, {"sample_weight": [1.0] * 149 + [0.0]})

    op = Probability(MLMode.FIT_PREDICT)
    answers = op.execute(*iris)

    plain = Classify(MLMode.FIT)
    plain.execute(*iris)
    assert (150, 3) == answers.shape
    assert not np.allclose(plain._model.coef_, op._model.coef_)


def test_plain_class_and_default_parameters() -> None:
    """
    A class without a version, and no parameters, will do.
    """

    class Scale(SKUnsupervisedOp):
        model_class = StandardScaler

    assert [[-1.0], [1.0]] == Scale(MLMode.FIT_PREDICT).execute([[1], [3]]).tolist()


SCALER, SHARED = StandardScaler(), LogisticRegression(max_iter=5000)


class Chain(SKSupervisedOp):
    """
    A whole scikit-learn pipeline in one op.
    """

    model_class = VersionedField(SKPipeline, MAJOR)
    model_parameters = VersionedFieldDict(
        MAJOR, {"steps": [("scale", SCALER), ("model", LogisticRegression(C=2.0))]}
    )


class OtherChain(Chain):
    pass


class FromModule(SKSupervisedOp):
    """
    Returns one object of its module from each call.
    """

    def _init_model(self) -> Any:
        return SHARED


class OtherFromModule(FromModule):
    pass


@pytest.mark.parametrize(
    ("one", "other"),
    [(Chain, OtherChain), (FromModule, OtherFromModule)],
)
def test_models_share_nothing(
    iris: tuple[Any, Any], one: type[SKSupervisedOp], other: type[SKSupervisedOp]
) -> None:
    """
    Fitting one op changes neither the predictions of another nor the objects of the code.
    """
    first, second = one(MLMode.FIT_PREDICT), other(MLMode.FIT_PREDICT)
    first.execute(*iris)
    before = first.predict(iris[0])

    second.execute(100 - iris[0], 2 - iris[1])

    assert before.tolist() == first.predict(iris[0]).tolist()
    assert (False, False) == (hasattr(SCALER, "mean_"), hasattr(SHARED, "coef_"))


def test_two_trainings_share_nothing(iris: tuple[Any, Any]) -> None:
    """
    The model of the training before stays as it was.
    """
    op = Chain(MLMode.FIT)
    op.execute(*iris)
    before = op._model
    expected = before.predict(iris[0]).tolist()

    op.execute(100 - iris[0], 2 - iris[1])

    assert expected == before.predict(iris[0]).tolist()
    assert before.named_steps["scale"] is not op._model.named_steps["scale"]


def test_declarations() -> None:
    """
    An op declares the public names of its classes and each parameter that is not a default.
    """
    assert {
        "class": "sklearn.pipeline.Pipeline",
        "parameters": {
            "model": "sklearn.linear_model.LogisticRegression",
            "model__C": 2.0,
            "scale": "sklearn.preprocessing.StandardScaler",
            "steps": [
                ["scale", "sklearn.preprocessing.StandardScaler"],
                ["model", "sklearn.linear_model.LogisticRegression"],
            ],
        },
    } == Chain(MLMode.PREDICT).declaration()


def test_what_is_fitted_is_described_like_the_declaration(iris: tuple[Any, Any]) -> None:
    """
    A trained and loaded model has the description that the code declares; another one has not.
    """
    trained, loaded = Chain(MLMode.FIT), Chain(MLMode.PREDICT)
    trained.execute(*iris)
    loaded.load(trained.serialize())

    class Wider(Chain):
        model_parameters = VersionedFieldDict(
            MAJOR, {"steps": [("scale", SCALER), ("model", LogisticRegression(C=3.0))]}
        )

    assert trained.declaration() == trained.fitted() == loaded.fitted()
    assert 3.0 == Wider(MLMode.PREDICT).declaration()["parameters"]["model__C"]


def test_a_training_can_continue_with_partial_fit(iris: tuple[Any, Any]) -> None:
    """
    An op that calls partial_fit and continues sees each batch once, over save and load.
    """

    class Batches(SKSupervisedOp):
        model_class = VersionedField(GaussianNB, MAJOR)
        continue_training = True

        def fit(self, X: Any, y: Any) -> None:  # noqa: N803
            self._model.partial_fit(X, y, classes=[0, 1, 2])

    first, second = Batches(MLMode.FIT), Batches(MLMode.FIT)
    first.execute(iris[0][::2], iris[1][::2])
    second.restore(first.serialize(), first.op_version)
    second.execute(iris[0][1::2], iris[1][1::2])

    assert [50.0, 50.0, 50.0] == second._model.class_count_.tolist()
    assert [25.0, 25.0, 25.0] == first._model.class_count_.tolist()


def test_a_training_can_continue_with_warm_start(iris: tuple[Any, Any]) -> None:
    """
    An estimator with warm_start adds to what it has learnt.
    """

    class Growing(SKSupervisedOp):
        model_class = VersionedField(RandomForestClassifier, MAJOR)
        model_parameters = VersionedFieldDict(MINOR, {"n_estimators": 2, "warm_start": True})
        continue_training = True

        def fit(self, X: Any, y: Any) -> None:  # noqa: N803
            self._model.set_params(n_estimators=2 + len(getattr(self._model, "estimators_", [])))
            super().fit(X, y)

    op = Growing(MLMode.FIT)
    op.execute(*iris)
    op.execute(*iris)

    assert 4 == len(op._model.estimators_)


def test_missing_model_class() -> None:
    """
    An op without a model class says what to set.
    """

    class Nothing(SKSupervisedOp):
        pass

    with pytest.raises(ConfigurationError, match="op 'nothing' has no model_class: set it on"):
        Nothing(MLMode.PREDICT).execute([[1]])


class Forest(SKSupervisedOp):
    model_class = RandomForestClassifier
    model_parameters = VersionedFieldDict(MINOR, {"n_estimators": 3, "random_state": 0})


def test_trees_need_no_trust(iris: tuple[Any, Any]) -> None:
    """
    A forest is saved and loaded without any configuration.
    """
    trained, served = Forest(MLMode.FIT), Forest(MLMode.PREDICT)
    trained.execute(*iris)
    served.load(trained.serialize())

    assert 0.9 < np.mean(served.execute(iris[0]) == iris[1])


def test_a_lambda_is_refused_before_the_training() -> None:
    """
    The check before a training names the op and the lambda; so does a save.
    """

    class Lambda(SKUnsupervisedOp):
        def _init_model(self) -> Any:
            return FunctionTransformer(lambda x: x)

    op = Lambda(MLMode.FIT)
    for call in (op.check_saveable, op.serialize):
        with pytest.raises(UntrustedArtifact, match=r"op 'lambda' cannot be saved: .* a lambda"):
            call()


def test_a_load_that_is_refused_names_the_op() -> None:
    """
    Bytes of another format are refused with the op's name.
    """
    with pytest.raises(ArtifactCorrupt, match="op 'forest' cannot be loaded: saved state is not"):
        Forest(MLMode.PREDICT).load(b"{}")


def test_versions_are_the_same_in_every_process() -> None:
    """
    The version of an op around a model class does not depend on the process.
    """
    code = (
        "from sklearn.decomposition import PCA\n"
        "from chariots_core.versioning import *\n"
        "from chariots_ml.sklearn import SKUnsupervisedOp\n"
        "class Reduce(SKUnsupervisedOp):\n"
        "    model_class = VersionedField(PCA, VersionType.MAJOR)\n"
        "    model_parameters = VersionedFieldDict(VersionType.MINOR, {'n_components': 2})\n"
        "print(version_of(Reduce).identity)"
    )
    identities = printed_by_processes(code, "1", "2")

    assert {version_of(Reduce).identity} == identities


def test_numpy_is_loaded_late() -> None:
    """
    Importing the ops loads neither numpy nor scikit-learn.
    """
    code = (
        "import sys, chariots_ml.sklearn, chariots_ml.keras; "
        "print(sorted({'numpy', 'sklearn', 'skops', 'keras', 'dill'} & set(sys.modules)))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert "[]\n" == done.stdout
