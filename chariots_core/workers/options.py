"""
Reading a backend's options: all that is wrong in one error, and never a value.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import attrs

from chariots_core.errors import BackendMisconfigured

T = TypeVar("T")


def read_options(cls: type[T], options: Mapping[str, Any], *, backend: str) -> T:
    """
    Make a *cls*, an attrs class, of a backend's options.

    Each field's converter and validator are applied to its own option, so that
    one error can name every bad key. A field says in its metadata what it
    ``"expects"``; the value itself is never shown, since it may be a secret.

    >>> @attrs.frozen(kw_only=True)
    ... class Options:
    ...     port: int = attrs.field(
    ...         default=6379,
    ...         validator=attrs.validators.instance_of(int),
    ...         metadata={"expects": "a port number"},
    ...     )
    >>> read_options(Options, {"port": 6380}, backend="demo")
    Options(port=6380)
    >>> read_options(Options, {"port": "secret", "prot": 1}, backend="demo")
    Traceback (most recent call last):
    ...
    chariots_core.errors.BackendMisconfigured: backend 'demo' cannot use its options: option 'port' must be a port number; option 'prot' is unknown, did you mean 'port'?

    Args:
        cls: an attrs class whose fields are the options.
        options: what was given, by key.
        backend: the backend's name, for the message.

    Raises:
        BackendMisconfigured: with one problem for each bad or missing key.
    """
    fields = {field.alias or field.name: field for field in attrs.fields(cls)}  # type: ignore[arg-type]
    problems = [
        problem
        for key, field in fields.items()
        if (problem := _problem(cls, key, field, options)) is not None
    ]
    problems += [_unknown(key, sorted(fields)) for key in options if key not in fields]
    if problems:
        raise misconfigured(backend, problems)
    return cls(**options)


def mapping_option(expects: str, check: Callable[[Mapping[str, Any]], bool] | None = None) -> Any:
    """
    A field of an options class that takes options of something else, by name.

    Args:
        expects: what it has to be, for the error.
        check: whether a mapping is good; ``None``: any is.
    """

    def validate(_instance: object, _field: object, value: object) -> None:
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            raise TypeError
        if check is not None and not check(value):
            raise ValueError

    return attrs.field(
        default=None,
        repr=False,
        converter=lambda value: {} if value is None else value,
        validator=validate,
        metadata={"expects": expects},
    )


def misconfigured(backend: str, problems: list[str]) -> BackendMisconfigured:
    """
    The error that names all *problems* of a backend's options.
    """
    return BackendMisconfigured(
        f"backend {backend!r} cannot use its options: {'; '.join(problems)}",
        backend=backend,
        problems=problems,
    )


def _problem(
    cls: type[Any], key: str, field: attrs.Attribute[Any], options: Mapping[str, Any]
) -> str | None:
    if key not in options:
        return f"option {key!r} is missing" if field.default is attrs.NOTHING else None
    value = options[key]
    try:
        convert: Any = field.converter
        if convert is not None:
            value = convert(value)
        if field.validator is not None:
            field.validator(cls, field, value)
    except (TypeError, ValueError, AttributeError):
        return f"option {key!r} must be {field.metadata.get('expects', 'of another kind')}"
    return None


def _unknown(key: object, known: list[str]) -> str:
    close = difflib.get_close_matches(str(key), known, n=1)
    remedy = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known) or 'none'}"
    return f"option {key!r} is unknown, {remedy}"


def read_setting(text: str) -> str | dict[str, Any]:
    """
    Understand the text of ``CHARIOTS_WORKER_POOL``: a name, or a JSON object.

    Raises:
        BackendMisconfigured: it begins like an object and is none; the text is
            not shown, since it may hold a secret.
    """
    text = text.strip()
    if not text.startswith("{"):
        return text
    try:
        value = json.loads(text)
    except ValueError:
        # The decoder's error would carry the whole text along.
        raise BackendMisconfigured(
            "CHARIOTS_WORKER_POOL is not a JSON object: write a backend's name, "
            'or an object such as {"backend": "local"}'
        ) from None
    assert isinstance(value, dict)
    return value
