"""
Names that a model in skops' format may hold without any configuration.

skops trusts few types by itself, so that forests, nearest neighbours and searches
are refused. This module names the others. A name is here for one of three reasons:

* It is a plain class: skops makes the object with ``__new__`` and sets its
  attributes. Neither the class nor its ``__setstate__`` runs anything that the
  file brings.
* It is a pure function: it computes numbers from its arguments, reads and writes no
  file, and calls no text as code. It is looked up at load, and called when the model
  predicts.
* It is a compiled structure, such as a tree. Bad indices in one could crash a
  process, so `chariots_ml.serializers.native` checks them before the model is used.

Each name is trusted only for the kinds of nodes listed with it. skops calls the
type of a ``ConstructorFromReduceNode`` and the types of the keys of a dict with
values from the file; no function and no plain class here is trusted for these.

Distributions of ``scipy.stats`` are missing on purpose: their ``__setstate__``
executes text from the state. `chariots_ml.serializers.distributions` saves them by
name and arguments.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator, Mapping
from types import FunctionType, MappingProxyType
from typing import Any, Final

Kinds = frozenset[str]

#: A plain object, or the class itself as a value.
_CLASS: Final[Kinds] = frozenset({"ObjectNode", "TypeNode"})
_FUNCTION: Final[Kinds] = frozenset({"FunctionNode"})

#: Package to public names. The full name is that of the installed release, so that a
#: move between private modules changes nothing.
PUBLIC_CLASSES: Final[Mapping[str, str]] = {
    # Hold their arguments, and split row numbers.
    "sklearn.model_selection": (
        "GroupKFold GroupShuffleSplit KFold LeaveOneGroupOut LeaveOneOut LeavePGroupsOut LeavePOut "
        "PredefinedSplit RepeatedKFold RepeatedStratifiedKFold ShuffleSplit StratifiedGroupKFold "
        "StratifiedKFold StratifiedShuffleSplit TimeSeriesSplit"
    ),
    # Hold numbers and other kernels, and compute matrices.
    "sklearn.gaussian_process.kernels": (
        "CompoundKernel ConstantKernel DotProduct ExpSineSquared Exponentiation Hyperparameter "
        "Matern PairwiseKernel Product RBF RationalQuadratic Sum WhiteKernel"
    ),
    # Holds a pattern and types of columns.
    "sklearn.compose": "make_column_selector",
}  # fmt: skip

#: Full names of plain classes in private modules, of all supported releases.
PRIVATE_CLASSES: Final[Mapping[str, str]] = {
    # Estimators that skops does not list, since they are experimental.
    "sklearn.impute._iterative": "IterativeImputer",
    "sklearn.model_selection._search_successive_halving": (
        "HalvingGridSearchCV HalvingRandomSearchCV"
    ),
    "sklearn.model_selection._split": "_CVIterableWrapper",
    # Hold a function of sklearn.metrics, which is named in the file and trusted by itself.
    "sklearn.metrics._scorer": (
        "_CurveScorer _MultimetricScorer _PassthroughScorer _Scorer "
        "_PredictScorer _ProbaScorer _ThresholdScorer"
    ),
    # Hold which arguments a method asks for.
    "sklearn.utils._metadata_requests": "MetadataRequest MethodMetadataRequest",
    # Parts of fitted estimators: numbers, arrays and other estimators.
    "sklearn.calibration": "_CalibratedClassifier _SigmoidCalibration _TemperatureScaling",
    "sklearn.cluster._bisect_k_means": "_BisectingTree",
    "sklearn.compose._column_transformer": "_RemainderColsList",
    "sklearn.gaussian_process._gpc": "_BinaryGaussianProcessClassifierLaplace",
    "sklearn.multiclass": "_ConstantPredictor",
    "sklearn.neural_network._stochastic_optimizers": "AdamOptimizer SGDOptimizer",
    # Losses and links: formulas with a number or two.
    "sklearn._loss.link": (
        "HalfLogitLink IdentityLink Interval LogLink LogitLink MultinomialLogit"
    ),
    "sklearn._loss.loss": (
        "AbsoluteError ExponentialLoss HalfBinomialLoss HalfGammaLoss HalfMultinomialLoss "
        "HalfPoissonLoss HalfSquaredError HalfTweedieLoss HalfTweedieLossIdentity HuberLoss "
        "PinballLoss"
    ),
    # Checked by `native`: nodes, indices and knots.
    "sklearn.ensemble._hist_gradient_boosting.binning": "_BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.predictor": "TreePredictor",
    "sklearn.neighbors._ball_tree": "BallTree BallTree32 BallTree64",
    "sklearn.neighbors._kd_tree": "KDTree KDTree32 KDTree64",
    "scipy.interpolate._bsplines": "BSpline",
    # Hold parameters, and a booster in the library's own format, which holds no code.
    "lightgbm.basic": "Booster",
    "lightgbm.sklearn": "LGBMClassifier LGBMModel LGBMRanker LGBMRegressor",
    "xgboost.core": "Booster",
    "xgboost.sklearn": (
        "XGBClassifier XGBModel XGBRFClassifier XGBRFRegressor XGBRanker XGBRegressor"
    ),
    "xgboost.callback": "EarlyStopping EvaluationMonitor LearningRateScheduler",
}  # fmt: skip

#: Distances of nearest neighbours, in double and single precision; those that call a
#: function of the user are not here. Checked by `native`.
DISTANCES: Final = (
    "BrayCurtis Canberra Chebyshev Dice Euclidean Hamming Haversine Jaccard Mahalanobis Manhattan "
    "Minkowski RogersTanimoto RussellRao SEuclidean SokalMichener SokalSneath Yule"
)

#: Names with kinds of their own.
SPECIAL: Final[Mapping[str, Kinds]] = {
    # Dicts and tuples with attributes.
    "collections.OrderedDict": frozenset({"DictNode", "TypeNode"}),
    "sklearn.utils._bunch.Bunch": frozenset({"DictNode"}),
    "sklearn.utils.Bunch": frozenset({"DictNode"}),
    "sklearn.impute._iterative._ImputerTriplet": frozenset({"TupleNode"}),
    # A function with arguments: the function is a node of its own.
    "functools.partial": frozenset({"PartialNode"}),
    "numpy.dtype": frozenset({"DTypeNode"}),
    # Types as values, such as in make_column_selector(dtype_include=object).
    **dict.fromkeys(
        (
            f"{module}.{name}"
            for module, names in {
                "builtins": "bytes complex object",
                "numpy": (
                    "character complexfloating datetime64 flexible floating generic inexact "
                    "integer number object_ signedinteger timedelta64 unsignedinteger"
                ),
            }.items()
            for name in names.split()
        ),
        frozenset({"TypeNode"}),
    ),
    # Checked by `native`: nodes and indices.
    "sklearn.tree._tree.Tree": frozenset({"TreeNode"}),
    **dict.fromkeys(
        (
            f"scipy.sparse._{form}.{form}_{kind}"
            for form in ("bsr", "coo", "csc", "csr", "dia")
            for kind in ("array", "matrix")
        ),
        frozenset({"SparseMatrixNode"}),
    ),
    # Looks a distribution of scipy.stats up by its name.
    "chariots_ml.serializers.distributions.frozen_distribution": frozenset(
        {"ConstructorFromReduceNode"}
    ),
}

#: Pure functions of numpy beside its universal functions.
NUMPY_FUNCTIONS: Final = (
    "abs all any around array asarray ascontiguousarray astype atleast_1d atleast_2d average clip "
    "column_stack concatenate cumprod cumsum diff dstack expand_dims fix hstack i0 max mean median "
    "min nan_to_num nancumsum nanmax nanmean nanmedian nanmin nanprod nanstd nansum nanvar ones_like "
    "prod ptp ravel real real_if_close reshape round sinc sort sqrt squeeze stack std sum swapaxes "
    "transpose trunc unwrap var vstack where zeros_like"
)

#: Universal functions of numpy: they compute each element by itself.
UNIVERSAL_FUNCTIONS: Final = (
    "absolute add arccos arccosh arcsin arcsinh arctan arctan2 arctanh cbrt ceil copysign cos cosh "
    "deg2rad degrees divide equal exp exp2 expm1 fabs float_power floor floor_divide fmax fmin fmod "
    "greater greater_equal hypot isfinite isinf isnan less less_equal log log10 log1p log2 logaddexp "
    "logaddexp2 logical_and logical_not logical_or logical_xor maximum minimum mod multiply negative "
    "not_equal positive power rad2deg radians reciprocal remainder rint sign signbit sin sinh sqrt "
    "square subtract tan tanh true_divide trunc"
)

#: Where numpy has them, by release; `skops` looks for the first module that holds one.
_UNIVERSAL_HOMES: Final = (
    "numpy",
    "numpy._core._multiarray_umath",
    "numpy._core.umath",
    "numpy.core._multiarray_umath",
)

#: Packages of scikit-learn whose public functions compute numbers from arrays.
FUNCTION_PACKAGES: Final = (
    "sklearn.feature_selection",
    "sklearn.metrics",
    "sklearn.metrics.pairwise",
)

#: Full names of other pure functions.
FUNCTIONS: Final = (
    "numpy._core.fromnumeric.amax numpy._core.fromnumeric.amin numpy.amax numpy.amin "
    "scipy._lib.array_api_compat.numpy._aliases.asarray "
    "sklearn.externals.array_api_compat.numpy._aliases.asarray "
    "sklearn.cluster._kmeans._kmeans_single_elkan sklearn.cluster._kmeans._kmeans_single_lloyd "
    "sklearn.feature_extraction.text.strip_accents_ascii "
    "sklearn.feature_extraction.text.strip_accents_unicode "
    "sklearn.utils.validation.check_array"
)


@functools.cache
def curated() -> Mapping[str, Kinds]:
    """
    Return the trusted names, each with the kinds of nodes that it is trusted for.
    """
    found: dict[str, Kinds] = {}
    for name, kinds in _named():
        found[name] = found.get(name, frozenset()) | kinds
    return MappingProxyType(found)


def _named() -> Iterator[tuple[str, Kinds]]:
    yield from SPECIAL.items()
    for package, names in PUBLIC_CLASSES.items():
        yield from ((full_name, _CLASS) for full_name in _installed(package, names.split()))
    for module, names in PRIVATE_CLASSES.items():
        yield from ((f"{module}.{name}", _CLASS) for name in names.split())
    for name in DISTANCES.split():
        for suffix in ("", "32", "64"):
            yield f"sklearn.metrics._dist_metrics.{name}Distance{suffix}", _CLASS
    for name in NUMPY_FUNCTIONS.split():
        yield f"numpy.{name}", _FUNCTION
    for name in UNIVERSAL_FUNCTIONS.split():
        yield from ((f"{home}.{name}", _FUNCTION) for home in _UNIVERSAL_HOMES)
    for name in FUNCTIONS.split():
        yield name, _FUNCTION
    for package in FUNCTION_PACKAGES:
        yield from ((full_name, _FUNCTION) for full_name in _functions(package))


def _installed(package: str, names: list[str]) -> Iterator[str]:
    """
    The full names that the public *names* of a package have in the installed release.
    """
    module = _module(package)
    for name in names:
        yield f"{package}.{name}"
        found = getattr(module, name, None)
        if isinstance(found, type):
            yield f"{found.__module__}.{found.__name__}"


def _functions(package: str) -> Iterator[str]:
    module = _module(package)
    for name in getattr(module, "__all__", vars(module) if module else ()):
        found = getattr(module, name, None)
        # what the module only imports belongs to other packages
        if isinstance(found, FunctionType) and found.__module__.startswith(package):
            yield f"{found.__module__}.{found.__name__}"


def _module(package: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError:
        return None
