"""
The safe format for scikit-learn models.
"""

from __future__ import annotations

import io
import json
import logging
import os
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from types import FunctionType
from typing import Any, ClassVar, Final
from zipfile import BadZipFile, ZipFile

from chariots_core.errors import ArtifactCorrupt, UntrustedArtifact
from chariots_core.versioning.parameters import module_of
from chariots_ml.serializers.base import BaseSerializer, import_library
from chariots_ml.serializers.distributions import saved_by_name
from chariots_ml.serializers.graph import reachable
from chariots_ml.serializers.native import check_native
from chariots_ml.serializers.trusted import curated

logger = logging.getLogger(__name__)

TRUST_SETTING = "CHARIOTS_SKOPS_TRUSTED"
"""Environment variable: names of types that artifacts may hold, with commas between."""

LOADED_AT_SAVE: Final = 64 * 1024 * 1024
"""Up to this many bytes, a model is loaded once when it is saved."""

#: The bit of ``type.__flags__`` that a class statement sets.
_HEAP_TYPE: Final = 1 << 9

#: A type that skops calls with the keys of a dict.
_KEY_TYPE: Final = "key type"


class SkopsSerializer(BaseSerializer):
    """
    scikit-learn models, without pickle: loading runs no code that the bytes bring.

    Estimators of scikit-learn, LightGBM and XGBoost need no configuration. Other
    types, and functions of an app, are trusted by name: by *trusted*, or by
    ``CHARIOTS_SKOPS_TRUSTED``. A model with other types is refused when it is
    saved, by the same rules as when it is loaded.

    >>> from sklearn.linear_model import Ridge
    >>> data = SkopsSerializer().serialize_object(Ridge(alpha=2.0))
    >>> SkopsSerializer().deserialize_object(data)
    Ridge(alpha=2.0)

    Args:
        trusted: full names of types and functions to trust, beside those of the setting.
    """

    name: ClassVar[str] = "skops"

    def __init__(self, trusted: Iterable[str] = ()) -> None:
        self._trusted = frozenset(trusted)

    @property
    def trusted(self) -> frozenset[str]:
        """
        The names that are configured now, by the argument and by the setting.
        """
        return self._trusted | _setting()

    def serialize_object(self, target: Any) -> bytes:
        """
        Return the model *target* in skops' format.

        Raises:
            UntrustedArtifact: this process would refuse to load it. The message
                names all types at once, and the configuration that allows them.
            TypeError: skops cannot save the model.
        """
        skops = import_library("skops.io", extra="sklearn")
        try:
            nameless = _nameless(reachable(target, saved=True))
            if nameless is not None:
                raise UntrustedArtifact(_remedy(nameless, self._trusted))
            with saved_by_name():
                data: bytes = skops.dumps(target)
            named = _named_types(skops, data)
            untrusted = self._untrusted(named)
        except (AttributeError, RecursionError, TypeError, ValueError) as error:
            raise TypeError(
                f"a {type(target).__name__!r} model cannot be saved by skops ({error}): use another "
                "estimator, or another serializer_cls"
            ) from error
        if untrusted:
            raise UntrustedArtifact(f"the model holds {self._refusal(untrusted)}")
        _warn_of_programs(named)
        if len(data) <= LOADED_AT_SAVE:
            _load_again(skops, data, named, target)
        return data

    def deserialize_object(self, serialized_object: bytes) -> Any:
        """
        Return the model that the bytes hold.

        Raises:
            UntrustedArtifact: it holds types that are not trusted here.
            ArtifactCorrupt: the bytes are not of this format, hold a name that
                this process cannot import, or are damaged.
        """
        skops = import_library("skops.io", extra="sklearn")
        try:
            named = _named_types(skops, serialized_object)
            untrusted = self._untrusted(named)
        except (AttributeError, BadZipFile, KeyError, ValueError) as error:
            raise ArtifactCorrupt(
                f"saved state is not a skops file ({error}): was it saved by another serializer?"
            ) from error
        except TypeError as error:
            raise ArtifactCorrupt(
                f"saved model cannot be read by this release of skops: {error}"
            ) from error
        if untrusted:
            raise UntrustedArtifact(f"the saved model holds {self._refusal(untrusted)}")
        try:
            model = skops.loads(serialized_object, trusted=sorted(named))
        except (AttributeError, ImportError) as error:
            raise ArtifactCorrupt(
                f"the saved model needs a name that this process cannot import ({error}): keep its "
                "classes and functions where they were, or train the op again"
            ) from error
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise ArtifactCorrupt(
                f"the saved model cannot be built again ({type(error).__name__}: {error}): train "
                "the op again with the installed libraries"
            ) from error
        check_native(reachable(model))
        return model

    def _untrusted(self, named: Mapping[str, set[str]]) -> list[str]:
        """
        Those of the names, given with their kinds, that this process does not trust.
        """
        known, trusted = curated(), self.trusted
        return sorted(
            name
            for name, kinds in named.items()
            if name not in trusted and (name not in known or not kinds <= known[name])
        )

    def _refusal(self, untrusted: list[str]) -> str:
        setting = ",".join(sorted({*untrusted, *_setting()}))
        return (
            f"types that are not trusted here: {', '.join(untrusted)}; if only your own processes "
            f"can write to the op store, set {TRUST_SETTING}={setting} for servers and workers, or write "
            f"{_argument({*untrusted, *self._trusted})} in the op"
        )


def _setting() -> frozenset[str]:
    listed = os.environ.get(TRUST_SETTING, "").split(",")
    return frozenset(name.strip() for name in listed if name.strip())


def _warn_of_programs(named: Iterable[str]) -> None:
    own = sorted(name for name in named if name.startswith("__main__."))
    if own:
        logger.warning(
            "A model was saved that holds names of this program, which no other process can "
            "import: %s. Define them in a module.",
            ", ".join(own),
            extra={"action": "model_of_program_saved", "types": own},
        )


def _load_again(skops: Any, data: bytes, named: Iterable[str], target: object) -> None:
    try:
        check_native(reachable(skops.loads(data, trusted=sorted(named))))
    except Exception as error:
        raise TypeError(
            f"a {type(target).__name__!r} model was saved by skops, but cannot be loaded again "
            f"({type(error).__name__}: {error}): use another estimator, or another serializer_cls"
        ) from error


def _named_types(skops: Any, data: bytes) -> dict[str, set[str]]:
    """
    The names in *data* that skops itself does not trust, with the kinds of their nodes.
    """
    kinds: defaultdict[str, set[str]] = defaultdict(set)
    for kind, name in _nodes(_schema(data)):
        kinds[name].add(kind)
    # a method, for instance, is not a node of its own
    return {name: kinds.get(name, {""}) for name in skops.get_untrusted_types(data=data)}


def _schema(data: bytes) -> Any:
    with ZipFile(io.BytesIO(data)) as file:
        return json.loads(file.read("schema.json"))


def _nodes(schema: Any) -> Iterator[tuple[str, str]]:
    """
    The kind and the name of each node of a schema, in no order.
    """
    waiting = [(schema, False)]
    while waiting:
        part, keys = waiting.pop()
        if isinstance(part, list):
            waiting.extend((inner, keys) for inner in part)
        elif isinstance(part, Mapping):
            kind = part.get("__loader__")
            if isinstance(kind, str):
                called = keys and kind == "TypeNode"
                name = f"{part.get('__module__')}.{part.get('__class__')}"
                yield (_KEY_TYPE if called else kind), name
            waiting.extend((inner, keys or key == "key_types") for key, inner in part.items())


def _nameless(objects: Iterable[object]) -> FunctionType | type | None:
    """
    The first function or class that cannot be found by its name, as a load would do.
    """
    for value in objects:
        named = value if isinstance(value, FunctionType | type) else type(value)
        module = sys.modules.get(named.__module__)
        if module is None or (isinstance(named, type) and not _made_by_code(named)):
            continue
        if getattr(module, named.__name__, None) is not named:
            return named
    return None


def _made_by_code(kind: type) -> bool:
    """
    Whether a class statement made the class; names of compiled types are no paths.
    """
    return kind.__module__ != "builtins" and bool(kind.__flags__ & _HEAP_TYPE)


def _remedy(named: FunctionType | type, trusted: Iterable[str]) -> str:
    """
    What to do about a function or class without a name: its own, or one as an example.
    """
    module, name = module_of(named), named.__name__
    if name == "<lambda>":
        name, shown = "transform", "a lambda"
        advice = f"write it as a function at the top level of a module, such as {module}.{name}"
    else:
        kind = "class" if isinstance(named, type) else "function"
        shown = f"the {kind} {named.__qualname__!r}"
        advice = f"move it to the top level of module {module!r}"
    if isinstance(named, FunctionType):
        shown += f" ({named.__code__.co_filename}, line {named.__code__.co_firstlineno})"
    return (
        f"the model holds {shown}, which no process can find by its name when it loads the model: "
        f"{advice}, and write {_argument({f'{module}.{name}', *trusted})} in the op"
    )


def _argument(names: Iterable[str]) -> str:
    return f"serializer_cls = SkopsSerializer(trusted={json.dumps(sorted(names))})"
