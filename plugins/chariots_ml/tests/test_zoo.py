"""
Usual models of scikit-learn: trained, saved, loaded and served, with nothing configured.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector
from sklearn.datasets import load_diabetes, load_iris
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.feature_selection import SelectKBest, f_classif, mutual_info_classif
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import (
    GammaRegressor,
    LogisticRegression,
    SGDClassifier,
    TweedieRegressor,
)
from sklearn.metrics import f1_score, make_scorer
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, StratifiedKFold
from sklearn.multioutput import MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline as SKPipeline
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    SplineTransformer,
    StandardScaler,
)
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from chariots_core.app import App
from chariots_core.pipelines import BaseOp, Node, Pipeline
from chariots_core.testing import TestOpStoreClient
from chariots_core.versioning import VersionedField, VersionedFieldDict, VersionType
from chariots_ml import MLMode
from chariots_ml.serializers import SkopsSerializer
from chariots_ml.sklearn import SKSupervisedOp

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

IN, OUT = "__pipeline_input__", "__pipeline_output__"

SHORT = {"max_iter": 2000}
NUMBERS = ["bill", "flipper", "mass"]
WORDS = ["island", "sex"]


def penguins() -> tuple[Any, Any]:
    """
    Birds with missing numbers and words.
    """
    random = np.random.default_rng(0)
    kinds = random.integers(0, 3, 90)
    frame = pd.DataFrame(
        {
            "island": np.array(["Biscoe", "Dream", "Torgersen"])[(kinds + random.integers(0, 2, 90)) % 3],
            "bill": 38.0 + 5 * kinds + random.normal(0, 1, 90),
            "flipper": 190.0 + 10 * kinds + random.normal(0, 3, 90),
            "mass": 3700.0 + 500 * kinds,
            "sex": random.choice(["female", "male"], 90),
        }
    )  # fmt: skip
    frame.loc[::11, "bill"] = np.nan
    frame.loc[::13, "mass"] = np.nan
    frame.loc[::17, "sex"] = None
    return frame, np.array(["Adelie", "Chinstrap", "Gentoo"])[kinds]


def texts() -> tuple[Any, Any]:
    """
    Short reviews.
    """
    rows = ["good film", "bad film", "great plot", "awful acting", "good plot", "bad awful"] * 5
    return rows, ["up", "down"] * 15


def iris_names() -> tuple[Any, Any]:
    """
    Flowers with words for targets.
    """
    data = load_iris()
    return data.data, data.target_names[data.target]


def iris_twice() -> tuple[Any, Any]:
    """
    Flowers with two targets.
    """
    data = load_iris()
    return data.data, np.column_stack([data.target, data.target == 1])


DATA: Mapping[str, Callable[[], tuple[Any, Any]]] = {
    "iris": lambda: load_iris(return_X_y=True),
    "iris_names": iris_names,
    "iris_twice": iris_twice,
    "diabetes": lambda: load_diabetes(return_X_y=True),
    "penguins": penguins,
    "texts": texts,
}


def columns() -> ColumnTransformer:
    """
    Numbers and words of penguins, each in its way.
    """
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    words = make_pipeline(
        SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")
    )
    return ColumnTransformer([("numbers", numbers, NUMBERS), ("words", words, WORDS)])


def by_type() -> ColumnTransformer:
    """
    Columns that are chosen by their type.
    """
    words = make_pipeline(
        SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")
    )
    return ColumnTransformer(
        [
            ("numbers", KNNImputer(), make_column_selector(dtype_include=np.number)),
            ("words", words, make_column_selector(dtype_exclude=np.number)),
        ]
    )


ZOO: Mapping[str, tuple[str, Callable[[], Any]]] = {
    "logistic": ("iris_names", lambda: LogisticRegression(**SHORT)),
    "tree": ("iris", lambda: DecisionTreeClassifier(random_state=0)),
    "forest": ("iris", lambda: RandomForestClassifier(10, random_state=0)),
    "extra trees": ("diabetes", lambda: ExtraTreesRegressor(5, random_state=0)),
    "gradient boosting": (
        "iris",
        lambda: GradientBoostingClassifier(n_estimators=5, random_state=0),
    ),
    "histogram boosting": (
        "iris",
        lambda: HistGradientBoostingClassifier(max_iter=5, early_stopping=True, random_state=0),
    ),
    "histogram boosting, gamma": (
        "diabetes",
        lambda: HistGradientBoostingRegressor(loss="gamma", max_iter=5),
    ),
    "ada boost": ("iris", lambda: AdaBoostClassifier(n_estimators=5, random_state=0)),
    "bagging": ("iris", lambda: BaggingClassifier(SVC(), 3, max_features=2, random_state=0)),
    "isolation forest": (
        "iris",
        lambda: IsolationForest(n_estimators=10, max_features=2, random_state=0),
    ),
    "stacking": (
        "iris",
        lambda: StackingClassifier(
            [("a", GaussianNB()), ("b", RandomForestClassifier(5, random_state=0))], cv=3
        ),
    ),
    "voting": (
        "iris",
        lambda: VotingClassifier([("a", GaussianNB()), ("b", LogisticRegression(**SHORT))]),
    ),
    "calibrated": ("iris", lambda: CalibratedClassifierCV(LinearSVC(), cv=3)),
    "calibrated, isotonic": (
        "iris",
        lambda: CalibratedClassifierCV(GaussianNB(), method="isotonic", cv=3),
    ),
    "neighbours": ("iris", KNeighborsClassifier),
    "neighbours, kd tree": ("iris", lambda: KNeighborsClassifier(algorithm="kd_tree")),
    "neighbours, ball tree": (
        "iris",
        lambda: KNeighborsClassifier(algorithm="ball_tree", metric="manhattan"),
    ),
    "network": ("iris", lambda: MLPClassifier((5,), max_iter=30, random_state=0)),
    "network, sgd": (
        "iris",
        lambda: MLPClassifier((5,), solver="sgd", max_iter=30, early_stopping=True, random_state=0),
    ),
    "gaussian process": (
        "iris",
        lambda: GaussianProcessClassifier(1.0 * RBF() + WhiteKernel(), optimizer=None),
    ),
    "svm": ("iris", SVC),
    "sgd": ("iris", lambda: SGDClassifier(loss="modified_huber", random_state=0)),
    "tweedie": ("diabetes", lambda: make_pipeline(StandardScaler(), TweedieRegressor(power=1.5))),
    "gamma": ("diabetes", lambda: make_pipeline(StandardScaler(), GammaRegressor())),
    "clusters": ("iris", lambda: KMeans(3, n_init=2, random_state=0)),
    "splines": ("iris", lambda: make_pipeline(SplineTransformer(), LogisticRegression(**SHORT))),
    "bins": (
        "iris",
        lambda: make_pipeline(
            KBinsDiscretizer(3, encode="ordinal", quantile_method="averaged_inverted_cdf"),
            GaussianNB(),
        ),
    ),
    "polynomials": (
        "iris_names",
        lambda: make_pipeline(StandardScaler(), PolynomialFeatures(2), LogisticRegression(**SHORT)),
    ),
    "two targets": ("iris_twice", lambda: MultiOutputClassifier(GaussianNB())),
    "functions of numpy": (
        "iris",
        lambda: make_pipeline(
            FunctionTransformer(np.log1p, inverse_func=np.expm1),
            FunctionTransformer(np.clip, kw_args={"a_min": 0, "a_max": 2}),
            GaussianNB(),
        ),
    ),
    "transformed targets": (
        "diabetes",
        lambda: TransformedTargetRegressor(
            ExtraTreesRegressor(3, random_state=0), func=np.log1p, inverse_func=np.expm1
        ),
    ),
    "selection": (
        "iris",
        lambda: make_pipeline(SelectKBest(mutual_info_classif, k=2), SelectKBest(f_classif, k=1), GaussianNB()),
    ),
    "tf-idf": (
        "texts",
        lambda: make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression()),
    ),
    "counts": (
        "texts",
        lambda: make_pipeline(CountVectorizer(stop_words="english"), MultinomialNB()),
    ),
    "svd": (
        "texts",
        lambda: make_pipeline(TfidfVectorizer(), TruncatedSVD(2, random_state=0), GaussianNB()),
    ),
    "columns": ("penguins", lambda: make_pipeline(columns(), LogisticRegression(**SHORT))),
    "columns by type": ("penguins", lambda: make_pipeline(by_type(), LogisticRegression(**SHORT))),
    "columns as a frame": (
        "penguins",
        lambda: make_pipeline(
            ColumnTransformer(
                [("numbers", SimpleImputer(), NUMBERS), ("words", OrdinalEncoder(), WORDS)]
            ).set_output(transform="pandas"),
            HistGradientBoostingClassifier(max_iter=3),
        ),
    ),
    "categories": (
        "penguins",
        lambda: make_pipeline(
            ColumnTransformer(
                [
                    (
                        "words",
                        OrdinalEncoder(
                            handle_unknown="use_encoded_value",
                            unknown_value=-1,
                            encoded_missing_value=-2,
                        ),
                        WORDS,
                    )
                ],
                remainder="passthrough",
            ),
            HistGradientBoostingClassifier(max_iter=3, categorical_features=[0, 1]),
        ),
    ),
    "grid search": (
        "iris",
        lambda: GridSearchCV(
            SKPipeline([("scale", StandardScaler()), ("model", SVC())]),
            {"model__C": [1, 10], "model": [SVC(), SVC(kernel="linear")]},
            cv=StratifiedKFold(3, shuffle=True, random_state=0),
            scoring=make_scorer(f1_score, average="macro"),
        ),
    ),
    "random search": (
        "iris",
        lambda: RandomizedSearchCV(
            SVC(),
            {"C": stats.loguniform(0.1, 10), "degree": stats.randint(2, 5)},
            n_iter=3,
            cv=3,
            random_state=np.random.RandomState(0),
        ),
    ),
}  # fmt: skip


class Data(BaseOp):
    """
    The rows and targets of one set.
    """

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def execute(self) -> Any:
        return DATA[self.kind]()


class Rows(BaseOp):
    """
    Rows of JSON, as a frame where they have names.
    """

    def execute(self, rows: list[Any]) -> Any:
        return pd.DataFrame(rows) if isinstance(rows[0], dict) else rows


def pipelines(kind: str, op: type[SKSupervisedOp]) -> list[Pipeline]:
    """
    A pipeline that trains the op, and one that predicts with it.
    """
    return [
        Pipeline(
            [Node(Data(kind), output_nodes=["x", "y"]), Node(op(MLMode.FIT), ["x", "y"])], "train"
        ),
        Pipeline([Node(Rows(), [IN], ["x"]), Node(op(MLMode.PREDICT), ["x"], OUT)], "predict"),
    ]


def as_json(rows: Any) -> list[Any]:
    """
    Some rows as a request has them.
    """
    if isinstance(rows, pd.DataFrame):
        head = rows.head(20).astype(object)
        return list(head.where(head.notna(), None).to_dict("records"))
    return [row if isinstance(row, str) else row.tolist() for row in rows[::10]]


def served(folder: Path, kind: str, op: type[SKSupervisedOp]) -> list[Any]:
    """
    What an app predicts that trained the op twice, and what another one on the same store does.
    """
    rows = as_json(DATA[kind]()[0])
    found = []
    for train in (True, False):
        with App("zoo", pipelines(kind, op), op_store=TestOpStoreClient(folder)) as app:
            if train:
                for _ in range(2):
                    app.run("train")
                    app.save("train")
                app.load("predict")
            found.append(app.run("predict", rows).value)
    return [np.asarray(each).tolist() for each in found]


def expected(kind: str, model: Any) -> list[Any]:
    """
    What the model predicts by itself.
    """
    rows, targets = DATA[kind]()
    model.fit(rows, targets)
    return list(np.asarray(model.predict(Rows().execute(as_json(rows)))).tolist())


@pytest.mark.parametrize("name", ZOO)
def test_models_are_served_as_they_were_trained(name: str, tmp_path: Path) -> None:
    """
    An app serves a model that was trained twice, and so does the next app on the same store.
    """
    kind, make = ZOO[name]

    class Model(SKSupervisedOp):
        def _init_model(self) -> Any:
            return make()

    wanted = expected(kind, make())

    assert [wanted, wanted] == served(tmp_path, kind, Model)


MAJOR = VersionType.MAJOR


class WholePipeline(SKSupervisedOp):
    model_class = VersionedField(SKPipeline, MAJOR)
    model_parameters = VersionedFieldDict(
        MAJOR, {"steps": [("scale", StandardScaler()), ("reduce", PCA(2)), ("model", SVC())]}
    )


class WholeFrame(SKSupervisedOp):
    model_class = VersionedField(SKPipeline, MAJOR)
    model_parameters = VersionedFieldDict(
        MAJOR, {"steps": [("columns", columns()), ("model", LogisticRegression(**SHORT))]}
    )


class WholeSearch(SKSupervisedOp):
    model_class = VersionedField(GridSearchCV, MAJOR)
    model_parameters = VersionedFieldDict(
        MAJOR,
        {
            "estimator": SKPipeline([("scale", StandardScaler()), ("model", SVC())]),
            "param_grid": {"model__C": [1, 10]},
            "cv": StratifiedKFold(3),
        },
    )


class WholeRandomSearch(SKSupervisedOp):
    model_class = VersionedField(RandomizedSearchCV, MAJOR)
    model_parameters = VersionedFieldDict(
        MAJOR,
        {
            "estimator": SVC(),
            "param_distributions": {"C": stats.loguniform(0.1, 10)},
            "n_iter": 2,
            "random_state": 0,
        },
    )


@pytest.mark.parametrize(
    ("kind", "op"),
    [
        ("iris", WholePipeline),
        ("penguins", WholeFrame),
        ("iris", WholeSearch),
        ("iris", WholeRandomSearch),
    ],
)
def test_whole_pipelines_are_parameters(
    kind: str, op: type[SKSupervisedOp], tmp_path: Path
) -> None:
    """
    A pipeline, a transformer of columns and a search are served from versioned parameters.
    """
    wanted = expected(kind, op(MLMode.FIT)._init_model())

    assert [wanted, wanted] == served(tmp_path, kind, op)


LOAD = """
import pickle, sys
import numpy as np
from chariots_ml.serializers import SkopsSerializer

for name, data, rows, answers in pickle.load(open(sys.argv[1], "rb")):
    model = SkopsSerializer().deserialize_object(data)
    assert answers == np.asarray(model.predict(rows)).tolist(), name
print("all")
"""


def test_a_new_process_loads_them_all(tmp_path: Path) -> None:
    """
    A process that has imported nothing of the models loads each of them.
    """
    saved = []
    for name, (kind, make) in ZOO.items():
        rows, targets = DATA[kind]()
        model = make().fit(rows, targets)
        answers = np.asarray(model.predict(rows)).tolist()
        saved.append((name, SkopsSerializer().serialize_object(model), rows, answers))
    (tmp_path / "zoo").write_bytes(pickle.dumps(saved))

    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(tmp_path / "zoo")],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ("all\n", "") == (done.stdout, done.stderr)
