"""
Descriptions of models as JSON: a class, and the parameters that the code gives.

Two processes describe the same model by the same text. So a value without a
form of its own is described by its type, never by its address, and a parameter
with the constructor's own default is left out.
"""

from __future__ import annotations

import hashlib
import math
import sys
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final

from chariots_core.versioning.canonical import encode_value
from chariots_core.versioning.parameters import (
    OUTPUT_CONFIG,
    is_default,
    is_estimator,
    parameters_of,
    public_name,
)

Description = Mapping[str, Any]

_MAX_DEPTH: Final = 50


def describe(model: object) -> Description:
    """
    Return the class and parameters of *model*, without fitted attributes.

    Parameters of nested estimators have the names of scikit-learn: ``model__C``.

    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.svm import SVC
    >>> describe(make_pipeline(SVC(C=2)))["parameters"]["svc__C"]
    2
    """
    return described(model, _parameters(model) if is_estimator(model) else {})


def described(model: object, parameters: Mapping[str, Any]) -> Description:
    """
    Return the description of *model* by its class and the given parameters.
    """
    return {"class": public_name(type(model)), "parameters": dict(parameters)}


def _parameters(model: Any) -> dict[str, Any]:
    values = model.get_params(deep=True)
    # an estimator with parameters of its own below is described there
    owners = {key.rpartition("__")[0] for key in values}
    below = {id(value) for key, value in values.items() if key in owners and is_estimator(value)}
    found = {}
    for key, value in values.items():
        owner, _, name = key.rpartition("__")
        if not is_default(type(values.get(owner, model)), name, value):
            found[key] = _form(value, below)
    for key, value in [("", model), *values.items()]:
        output = is_estimator(value) and getattr(value, "__dict__", {}).get(OUTPUT_CONFIG)
        if output:
            found[f"{key}__set_output".removeprefix("__")] = _form(output)
    return dict(sorted(found.items()))


def _form(value: Any, below: AbstractSet[int] = frozenset(), depth: int = 0) -> Any:
    """
    The JSON of a parameter's value.
    """
    if depth > _MAX_DEPTH:
        return "..."
    if value is None or isinstance(value, bool | str):
        return value if type(value) in (type(None), bool, str) else str(value)
    number = _number(value)
    if number is not None:
        return number
    if isinstance(value, Mapping):
        pairs = (
            (_text(key, depth + 1), _form(part, below, depth + 1)) for key, part in value.items()
        )
        return dict(sorted(pairs))
    if type(value) in (list, tuple):
        return [_form(part, below, depth + 1) for part in value]
    if isinstance(value, AbstractSet):
        return sorted(_text(part, depth + 1) for part in value)
    return _named(value, below, depth)


def _number(value: Any) -> int | float | str | None:
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.generic):
        value = value.item()
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        # JSON has neither NaN nor infinity
        return float(value) if math.isfinite(value) else str(float(value))
    return None


def _named(value: Any, below: AbstractSet[int], depth: int) -> str:
    """
    The text of a value that JSON has no form for.
    """
    if id(value) in below:
        return public_name(type(value))
    made = None if isinstance(value, type) else _made(value)
    if made is not None:
        inner = (f"{name}={_text(part, depth + 1)}" for name, part in sorted(made[1].items()))
        return f"{made[0]}({', '.join(inner)})"
    if callable(value) and getattr(value, "__qualname__", None) and value.__module__:
        return public_name(value)
    kind = public_name(type(value))
    try:
        # arrays, dates, enums, partials: anything with a canonical form
        digest = hashlib.sha256(encode_value(value)).hexdigest()
    except TypeError:
        return kind
    return f"{kind} {digest[:16]}"


def _made(value: Any) -> tuple[str, Mapping[str, Any]] | None:
    try:
        found = parameters_of(value)
    except TypeError:
        # it cannot be cloned unfitted
        return public_name(type(value)), {"estimator": getattr(value, "estimator", None)}
    return None if found is None else (found.name, found.values)


def _text(value: Any, depth: int) -> str:
    form = _form(value, depth=depth)
    return form if isinstance(form, str) else repr(form)
