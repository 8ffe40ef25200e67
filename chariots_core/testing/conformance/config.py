"""
What the processes of one test share: how the kit's app is to be built.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any, Final

import attrs

#: The environment variable that carries a configuration to another process.
VARIABLE: Final = "CHARIOTS_KIT"


@attrs.frozen(kw_only=True)
class Trap:
    """
    A window of the job's life in which a process is to meet its fate.

    Attributes:
        at: ``"before_claim"``, ``"after_claim"``, ``"after_commit"`` or ``"before_publish"``;
            ``"no_claim"``: the job store is out of reach there.
        signal: the number of the signal that the process sends to itself there; 0: none.
        marker: a file that is made when it happens, so that it happens once.
    """

    at: str
    signal: int
    marker: str


@attrs.frozen(kw_only=True)
class KitConfig:
    """
    How a process builds the kit's app.

    Attributes:
        name: the app's name: what keeps the jobs of two tests apart in one store.
        worker_pool: what ``worker_pool=`` gets: the backend's name and options.
        op_store: the folder of the op store.
        lease: seconds for which a running job is believed alive without news.
        without: pipelines that this process does not know: an older deployment.
        imports: modules that this process imports before its app, where they are installed.
        trap: where this process is to be killed or stopped.
        extra: for the reader of a module other than the kit's own.
    """

    name: str
    worker_pool: Mapping[str, Any]
    op_store: str
    lease: float = 1.0
    without: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    trap: Trap | None = None
    extra: Mapping[str, Any] = attrs.field(factory=dict)

    def to_json(self) -> str:
        """
        The configuration as text that `from_json` reads.
        """
        return json.dumps(attrs.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> KitConfig:
        """
        The configuration that `to_json` wrote.
        """
        data = json.loads(text)
        trap = Trap(**data.pop("trap")) if data["trap"] else data.pop("trap")
        names = {name: tuple(data[name]) for name in ("without", "imports")}
        return cls(**data | names | {"trap": trap})

    @classmethod
    def from_environment(cls) -> KitConfig:
        """
        The configuration that this process was started with.

        Raises:
            KeyError: it was started without one.
        """
        return cls.from_json(os.environ[VARIABLE])
