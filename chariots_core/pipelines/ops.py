"""
Ops: the work that nodes do.
"""

from __future__ import annotations

import copy
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Final, Self

from chariots_core.errors import PipelineError
from chariots_core.pipelines.callbacks import OpCallBack, checked_callbacks
from chariots_core.versioning import Version, VersionType, version_of

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


class BaseOp(ABC):
    """
    One step of work: inputs in, output out.

    >>> class AddOne(BaseOp):
    ...     def execute(self, number):
    ...         return number + 1
    >>> AddOne().execute(3), AddOne().name
    (4, 'addone')

    Args:
        op_callbacks: called around each execution.

    Raises:
        GraphError: *op_callbacks* are no callbacks of ops.
    """

    # on the class, so that a subclass's __init__ need not call this one
    op_callbacks: Sequence[OpCallBack] = ()
    _op_version: Version | None = None

    def __init__(self, op_callbacks: Sequence[OpCallBack] | None = None) -> None:
        # by its class: the name may come from what the subclass has still to set
        what = f"op_callbacks of an op {type(self).__qualname__!r}"
        self.op_callbacks = checked_callbacks(op_callbacks, OpCallBack, what)

    @property
    def name(self) -> str:
        """
        What versions and saved state are kept under; the class's name in lower case.

        Override it to keep saved state across a renaming of the class.
        """
        return type(self).__name__.lower()

    @property
    def op_version(self) -> Version:
        """
        The version of what would execute now.
        """
        return version_of(self) if self._op_version is None else self._op_version

    @property
    def trains(self) -> bool:
        """
        Whether executing this op gives it a new version.
        """
        return False

    @property
    def allow_version_change(self) -> bool:
        """
        Whether this op takes inputs of versions that it was not validated with.

        An op that trains does: it adapts to them.
        """
        return self.trains

    @abstractmethod
    def execute(self, *inputs: Any) -> Any:
        """
        Do the work. Several outputs are a tuple, as long as the node has output names.
        """

    def before_execution(self, args: Sequence[Any]) -> None:
        """
        Called before `execute`, and before the op's callbacks.
        """

    def after_execution(self, args: Sequence[Any], output: Any) -> None:
        """
        Called after `execute`, and before the op's callbacks.
        """

    def execute_with_all_callbacks(self, args: Sequence[Any]) -> Any:
        """
        Execute on *args* as a pipeline does, with all that is called before and after.
        """
        args = tuple(args)
        callbacks = self.op_callbacks
        self.before_execution(args)
        for callback in callbacks:
            callback.before_execution(self, args)
        output = self.execute(*args)
        self.after_execution(args, output)
        for callback in callbacks:
            callback.after_execution(self, args, output)
        return output

    def __repr__(self) -> str:
        return f"<{type(self).__qualname__} {self.name!r}>"


class LoadableOp(BaseOp):
    """
    An op with state that can be saved as bytes and loaded again.

    >>> class Counter(LoadableOp):
    ...     count = 0
    ...     def execute(self):
    ...         self.count += 1
    ...         return self.count
    ...     def serialize(self):
    ...         return str(self.count).encode()
    ...     def load(self, serialized_object):
    ...         self.count = int(serialized_object)
    >>> counter = Counter()
    >>> counter.load(b"41")
    >>> counter.execute()
    42

    Attributes:
        continue_training: whether a training starts from the newest saved state
            (``partial_fit``, ``warm_start``). By default it starts from the state
            that the code builds.
    """

    continue_training: ClassVar[bool] = False

    @property
    def needs_training(self) -> bool:
        """
        Whether the state that the code builds cannot execute before it was trained.
        """
        return False

    def declaration(self) -> Mapping[str, Any]:
        """
        Return the class and parameters of the state that a training would build.

        The store records it with each saved version and compares it at load. Keys
        are texts, values are JSON. By default nothing is declared.
        """
        return _NOTHING

    def fitted(self) -> Mapping[str, Any]:
        """
        Return the class and parameters of the current state, in the form of `declaration`.
        """
        return _NOTHING

    def check_saveable(self) -> None:
        """
        Raise if a trained state of this op could not be loaded again.

        Called before each training, so that a long run does not end in a refusal.

        Raises:
            UntrustedArtifact: this process would refuse to load the state.
        """

    @property
    def serializer(self) -> str:
        """
        The name of the format of `serialize`, recorded with each saved version.
        """
        return "custom"

    @abstractmethod
    def serialize(self) -> bytes:
        """
        The whole state as bytes.
        """

    @abstractmethod
    def load(self, serialized_object: bytes) -> None:
        """
        Take over a state that `serialize` gave.
        """

    def restore(self, data: bytes, version: Version) -> None:
        """
        Load *data*, and be of *version* from then on.
        """
        self.load(data)
        self._op_version = version

    def mark_trained(self, version_type: VersionType = VersionType.PATCH) -> None:
        """
        Give the op a version of its own, later than any it had.

        An op that learns calls it once its state has changed: others are then
        to be validated with the new state. The digest of *version_type* gets
        the time and a random number, so that no two trainings share a version;
        the others are those of the code.
        """
        salt = b"%d:%s" % (time.time_ns(), secrets.token_bytes(16))
        self._op_version = version_of(self).update(version_type, salt)

    def copy(self) -> Self:
        """
        An op of the same state that shares none of it; callbacks stay shared.

        Raises:
            PipelineError: the state cannot be copied.
        """
        shared = {id(callback): callback for callback in self.op_callbacks}
        try:
            return copy.deepcopy(self, shared)
        except (TypeError, copy.Error, NotImplementedError) as error:
            raise PipelineError(
                f"op {self.name!r} cannot be copied ({error}): override copy() of "
                f"{type(self).__qualname__} to give an op that shares no state with it"
            ) from error
