"""
The parameters of estimators and their helpers, read by the conventions of scikit-learn.

No library is imported. An estimator has ``get_params`` and ``set_params``; a
splitter or a selector of columns keeps the arguments of its constructor as
attributes of the same names; a frozen distribution of scipy has its name and
its arguments. Each of them is described by a class and parameters; a parameter
with the constructor's own default is left out, so that a release of the library
that adds a parameter changes nothing.
"""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Callable, Mapping
from pathlib import PurePath
from types import MappingProxyType
from typing import Any, Final

import attrs

#: The name of the module that is the program, and of the same module where
#: multiprocessing has loaded it once more.
_PROGRAMS: Final = frozenset({"__main__", "__mp_main__"})

OUTPUT_CONFIG: Final = "_sklearn_output_config"
"""The attribute in which ``set_output`` of scikit-learn keeps its argument."""


def _frozen(values: Mapping[str, object]) -> Mapping[str, object]:
    return MappingProxyType(dict(values))


@attrs.frozen(kw_only=True)
class Parameters:
    """
    What an object was made from.

    Attributes:
        name: the public name of its class; of a distribution, its own name.
        values: parameter to value, one level deep, without the defaults.
    """

    name: str
    values: Mapping[str, object] = attrs.field(converter=_frozen)


def module_of(named: type | Callable[..., Any]) -> str:
    """
    Return the module of a class or function, under the name that importers use.
    """
    module = named.__module__
    found = sys.modules.get(module)
    return module if found is None else imported_name(module, vars(found))


def public_name(named: type | Callable[..., Any]) -> str:
    """
    Return the full name of a class or function that survives a move between inner modules.

    The name begins with the outermost package that exports the object:
    ``sklearn.linear_model.LogisticRegression``, not ``sklearn.linear_model._logistic...``.
    """
    module, name = module_of(named), named.__qualname__.replace("<locals>.", "")
    parts = module.split(".")
    packages = (".".join(parts[:length]) for length in range(1, len(parts)))
    home = next((each for each in packages if _exported(each, name) is named), module)
    return f"{home}.{name}"


def _exported(package: str, name: str) -> object:
    try:
        return getattr(sys.modules.get(package), name, None)
    except ImportError:
        # a package may refuse to import experimental members
        return None


def is_estimator(value: object) -> bool:
    """
    Return whether *value* is an object with scikit-learn's parameter protocol.
    """
    kind = type(value)
    return (
        not isinstance(value, type)
        and callable(getattr(kind, "get_params", None))
        and callable(getattr(kind, "set_params", None))
    )


def parameters_of(value: object) -> Parameters | None:
    """
    Return what an estimator, or a helper of estimators, was made from.

    Learnt state does not count.

    Returns:
        ``None`` if *value* follows none of the conventions.

    Raises:
        TypeError: *value* keeps learnt state when it is cloned.
    """
    if is_estimator(value):
        return _of_estimator(value)
    frozen = getattr(sys.modules.get("scipy.stats.distributions"), "rv_frozen", None)
    if frozen is not None and isinstance(value, frozen):
        return _of_distribution(value)
    if _follows_conventions(type(value)):
        return _of_helper(value)
    return None


def is_default(kind: type, name: str, value: object) -> bool:
    """
    Return whether *value* is the default of the constructor's argument *name*.
    """
    argument = _arguments(kind).get(name)
    if argument is None or argument.default is argument.empty:
        return False
    return argument.default is value or _same(argument.default, value)


def _same(default: object, value: object) -> bool:
    if type(default) is not type(value):
        return False
    if isinstance(default, tuple) and isinstance(value, tuple):
        return len(default) == len(value) and all(map(_same, default, value))
    if isinstance(default, float) and isinstance(value, float) and math.isnan(default):
        return math.isnan(value)
    # other values than text and numbers are compared by identity
    return isinstance(default, int | float | str) and default == value


def _arguments(kind: type) -> Mapping[str, inspect.Parameter]:
    found: dict[str, inspect.Parameter] = {}
    for base in kind.__mro__:
        if "__init__" not in vars(base):
            continue
        try:
            own = dict(inspect.signature(vars(base)["__init__"]).parameters)
        except (TypeError, ValueError):
            break
        rest = [name for name, each in own.items() if each.kind is each.VAR_KEYWORD]
        found = {**own, **found}
        if not rest:
            break
        # other arguments go to the next class: XGBClassifier(**kwargs)
        del found[rest[0]]
    found.pop("self", None)
    return found


def _changed(kind: type, values: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if not is_default(kind, name, value)}


def _of_estimator(value: Any) -> Parameters:
    kind = type(value)
    clone = getattr(kind, "__sklearn_clone__", None)
    if clone is not None and not clone.__qualname__.startswith("BaseEstimator."):
        raise TypeError("an estimator that stays fitted when it is cloned")
    values = _changed(kind, value.get_params(deep=False))
    output = getattr(value, "__dict__", {}).get(OUTPUT_CONFIG)
    if output:
        # set by set_output(), and copied by clone()
        values[OUTPUT_CONFIG] = output
    return Parameters(name=public_name(kind), values=values)


def _of_distribution(value: Any) -> Parameters:
    known: Any = getattr(sys.modules.get("scipy.stats"), value.dist.name or "", None)
    if type(known) is type(value.dist):
        name = f"scipy.stats.{value.dist.name}"
    else:
        name = public_name(type(value.dist))
    return Parameters(name=name, values={"args": value.args, "kwds": value.kwds})


def _follows_conventions(kind: type) -> bool:
    splitter = all(callable(getattr(kind, name, None)) for name in ("split", "get_n_splits"))
    return splitter or kind.__module__.partition(".")[0] == "sklearn"


def _of_helper(value: object) -> Parameters | None:
    kind = type(value)
    kept = getattr(value, "__dict__", None)
    if kept is None:
        return None
    # repeated splitters keep the arguments of the inner splitter in a dict
    kept = {**kept.get("cvargs", {}), **kept}
    names = [
        name
        for name, parameter in _arguments(kind).items()
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    if not kept.keys() >= set(names):
        return None
    values = _changed(kind, {name: kept[name] for name in names})
    return Parameters(name=public_name(kind), values=values)


def imported_name(module: str, namespace: Mapping[str, object]) -> str:
    """
    Return the name of *module* in a process that imports it.

    It differs for the program of this process: ``python shop.py`` gives ``shop``,
    ``python -m proj.shop`` gives ``proj.shop``. A notebook or a session is not a file,
    and cannot be imported: it keeps *module*.

    Args:
        module: the module's ``__name__``.
        namespace: its globals. A profiler runs a program in another module than
            the one that `sys.modules` calls ``__main__``.
    """
    if module not in _PROGRAMS:
        return module
    # python -m package.app
    name = getattr(namespace.get("__spec__"), "name", None)
    if isinstance(name, str) and name not in _PROGRAMS:
        return name
    # python app.py; what comes from a pipe is called <stdin>
    file = namespace.get("__file__")
    return PurePath(file).stem if isinstance(file, str) and file[:1] != "<" else module
