"""
Arrows point one way: the layers of the code, and what each may import.

Errors and values stand at the bottom, HTTP at the top. A module imports only
from its own layer and those below, and nothing imports in a circle, however
late the import happens.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.import_graph import Import, ImportGraph, Kind, cycles, read_packages, within
from tests.support import ROOT

#: Each part of the code and its layer; the longest name that fits decides.
LAYERS = {
    "chariots_core": 0,
    "chariots_core.errors": 0,
    "chariots_core.patience": 0,
    "chariots_core.strict_json": 0,
    "chariots_core.versioning": 0,
    "chariots_core.jobs": 1,
    "chariots_core.resolver": 1,
    "chariots_core.progress": 1,
    "chariots_core.pipelines": 2,
    "chariots_core.sql": 3,
    "chariots_core.op_store": 3,
    "chariots_core.jobs_sql": 3,
    "chariots_core.jobs_redis": 3,
    # It knows values only, and what stands above may use it: so does the op
    # store over HTTP, which an app may be given in place of an embedded one.
    "chariots_core.client": 3,
    "chariots_core.op_store_http": 4,
    "chariots_core.workers": 4,
    "chariots_core.queues": 5,
    "chariots_core.app": 5,
    "chariots_core.local": 6,
    "chariots_core.server": 7,
    "chariots_core.config": 8,
    "chariots_core.testing": 8,
    "chariots_core.cli": 8,
    "chariots": 9,
}

#: What a plugin is written against: attrs, pluggy and the standard library.
CONTRACT = [
    "chariots_core.errors",
    "chariots_core.patience",
    "chariots_core.jobs.status",
    "chariots_core.jobs.record",
    "chariots_core.jobs.changes",
    "chariots_core.jobs.creation",
    "chariots_core.jobs.waking",
    "chariots_core.jobs.store",
    "chariots_core.jobs.lifecycle",
    "chariots_core.jobs.tick",
    "chariots_core.resolver",
    "chariots_core.workers.hookspecs",
    "chariots_core.workers.capabilities",
    "chariots_core.workers.pool",
]

#: Third-party packages and the only parts that may import them.
HOMES = {
    "flask": ["chariots_core.server", "chariots_core.testing", "chariots_core.cli"],
    "granian": ["chariots_core.server"],
    "click": ["chariots_core.cli"],
    "rich": ["chariots_core.cli"],
    "httpx": ["chariots_core.client", "chariots_core.testing", "chariots_core.cli"],
    "pluggy": ["chariots_core.workers"],
    "sqlalchemy": [
        "chariots_core.sql",
        "chariots_core.jobs_sql",
        "chariots_core.op_store",
        "chariots_core.testing",
    ],
    # An extra: who names a job store in Redis loads it.
    "redis": ["chariots_core.jobs_redis"],
    "pika": ["chariots_core.queues"],
    "psycopg": ["chariots_core.sql"],
    "fsspec": ["chariots_core.op_store"],
    "msgspec": ["chariots_core"],
    "attr": ["chariots_core"],
    "attrs": ["chariots_core"],
    "werkzeug": ["chariots_core.server", "chariots_core.testing", "chariots_core.cli"],
    "yaml": ["chariots_core.config"],
    "_typeshed": ["chariots_core.server", "chariots_core.testing"],
    # The kits that plugin authors subclass are tests.
    "pytest": ["chariots_core.testing"],
    "psutil": ["chariots_core.testing"],
}

#: What the core may never import: it looks at `sys.modules` where it must know.
FOREIGN = ["numpy", "pandas", "scipy", "sklearn", "rq", "dramatiq", "torch"]

#: All that a client may know of Chariots.
CLIENT_MAY_IMPORT = [
    "chariots_core.client",
    "chariots_core.errors",
    "chariots_core.strict_json",
    "chariots_core.versioning",
    "chariots_core.jobs.status",
    "chariots_core.jobs.record",
]

#: The built-in backend is a plugin like any other.
LOCAL_MAY_IMPORT = [
    "chariots_core.local",
    "chariots_core.errors",
    "chariots_core.jobs",
    "chariots_core.jobs_sql",
    "chariots_core.sql",
    "chariots_core.workers",
]


def layer_of(module: str) -> int | None:
    """
    The layer of a module, or None where nobody has given it one.
    """
    fitting = [part for part in LAYERS if within(module, [part])]
    best = max(fitting, key=len, default=None)
    if best is None or (best == "chariots_core" and module != best):
        return None
    return LAYERS[best]


def upward(graph: ImportGraph, *kinds: Kind) -> list[Import]:
    """
    The imports that go from a lower layer to a higher one.
    """
    return [
        found
        for found in graph.inner(*kinds)
        if (layer_of(found.target) or 0) > (layer_of(found.importer) or 0)
    ]


def outside(imports: Sequence[Import], allowed: Sequence[str]) -> list[Import]:
    """
    The imports of Chariots' own modules that are not in *allowed*.
    """
    return [
        found
        for found in imports
        if within(found.target, ["chariots", "chariots_core"])
        and found.target != "chariots_core"
        and not within(found.target, allowed)
    ]


def listed(imports: Sequence[Import]) -> list[str]:
    """
    Imports as text, one a line of the failure.
    """
    return [str(found) for found in imports]


@pytest.fixture(name="graph", scope="module")
def _graph() -> ImportGraph:
    return read_packages(ROOT / "chariots_core", ROOT / "chariots")


def test_every_module_has_a_layer(graph: ImportGraph) -> None:
    """
    A new part of the code says where it stands before anything imports it.
    """
    homeless = [name for name in graph.modules if layer_of(name) is None]

    assert [] == homeless


def test_every_import_names_a_module(graph: ImportGraph) -> None:
    """
    What is imported from our own packages is there, also where it happens late.
    """
    assert [] == listed(graph.dangling())


def test_no_import_goes_up(graph: ImportGraph) -> None:
    """
    A module imports from its own layer and below, also inside functions.
    """
    assert [] == listed(upward(graph, Kind.LOAD, Kind.LATE))


def test_no_annotation_looks_up(graph: ImportGraph) -> None:
    """
    Imports made for the type checker keep to the layers too.
    """
    assert [] == listed(upward(graph, Kind.TYPING))


def test_no_cycles(graph: ImportGraph) -> None:
    """
    No modules import each other in a circle, not even by imports inside functions.
    """
    edges = [(found.importer, found.target) for found in graph.inner(Kind.LOAD, Kind.LATE)]

    assert [] == cycles(edges)


def test_contract_names_attrs_and_pluggy_only(graph: ImportGraph) -> None:
    """
    The contract's modules name no other third-party package, at load or later.
    """
    missing = [name for name in CONTRACT if name not in graph.modules]
    strangers = [
        found
        for found in graph.outer(*Kind)
        if found.importer in CONTRACT and found.top not in {"attr", "attrs", "pluggy"}
    ]

    assert ([], []) == (missing, listed(strangers))


def test_core_imports_no_engine_and_no_ml_library(graph: ImportGraph) -> None:
    """
    Queues, brokers, ML libraries and plugins are not named anywhere in the core.
    """
    foreign = [
        found
        for found in graph.of("chariots_core")
        if found.top in FOREIGN
        or (found.top.startswith("chariots_") and found.top != "chariots_core")
    ]

    assert [] == listed(foreign)


def test_every_dependency_has_its_home(graph: ImportGraph) -> None:
    """
    A third-party package is imported only by the parts that exist to talk to it.
    """
    lost = [
        found
        for found in graph.outer(Kind.LOAD, Kind.LATE, Kind.TYPING)
        if found.top != "chariots_ml" and not within(found.importer, HOMES.get(found.top, []))
    ]

    assert [] == listed(lost)


def test_client_knows_values_only(graph: ImportGraph) -> None:
    """
    The client imports errors, JSON, versions, the job record, and nothing else of ours.
    """
    assert [] == listed(outside(graph.of("chariots_core.client"), CLIENT_MAY_IMPORT))


def test_local_backend_is_a_plugin(graph: ImportGraph) -> None:
    """
    The built-in backend uses what every plugin may use, and the store that is its queue.
    """
    assert [] == listed(outside(graph.of("chariots_core.local"), LOCAL_MAY_IMPORT))


def test_core_reaches_the_local_backend_by_its_name(graph: ImportGraph) -> None:
    """
    Only the facade and the test helpers import the local backend; others ask by name.
    """
    direct = [
        found
        for found in graph.inner(Kind.LOAD, Kind.LATE)
        if within(found.target, ["chariots_core.local"])
        and not within(found.importer, ["chariots_core.local", "chariots_core.testing", "chariots"])
    ]

    assert [] == listed(direct)


def loaded_by(module: str) -> set[str]:
    """
    The top-level names that importing *module* brings into a new interpreter.
    """
    code = (
        "import json, sys; before = set(sys.modules); "
        f"import {module}; print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {name.partition(".")[0] for name in json.loads(done.stdout)}


@pytest.mark.parametrize("module", CONTRACT)
def test_contract_loads_little(module: str) -> None:
    """
    Importing a module of the contract loads attrs, pluggy and the standard library.
    """
    foreign = loaded_by(module) - set(sys.stdlib_module_names)

    assert set() == foreign - {"attr", "attrs", "pluggy", "chariots_core"}


def test_client_loads_no_server() -> None:
    """
    Importing the client loads neither Flask nor SQLAlchemy.
    """
    loaded = loaded_by("chariots_core.client")

    assert set() == loaded & {"flask", "werkzeug", "sqlalchemy", "click", "pluggy"}


@pytest.mark.parametrize("module", ["chariots_core.server", "chariots_core.cli.main"])
def test_nobody_loads_redis_unasked(module: str) -> None:
    """
    The extra is loaded by who names a job store in Redis, and by nobody else.
    """
    assert "redis" not in loaded_by(module)


def test_import_of_the_core_loads_nothing() -> None:
    """
    The package itself brings no third-party module along.
    """
    foreign = loaded_by("chariots_core") - set(sys.stdlib_module_names)

    assert {"chariots_core"} == foreign


# --- the checker itself ----------------------------------------------------


@pytest.fixture(name="package")
def _package(tmp_path: Path) -> Path:
    """
    A small package that breaks every rule once.
    """
    root = tmp_path / "chariots_core"
    for name, text in {
        "__init__.py": "",
        "errors.py": "def f():\n    from chariots_core.server import app\n",
        "resolver.py": (
            "from typing import TYPE_CHECKING\n"
            "if TYPE_CHECKING:\n    from chariots_core import cli\n"
            "else:\n    import numpy.linalg\n"
        ),
        "server/__init__.py": "from . import app\n",
        "server/app.py": "try:\n    from ..errors import f\nexcept ImportError:\n    pass\n",
        "cli.py": "import os\nimport chariots_core.server.app as served\n",
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_checker_sees_late_imports_that_go_up(package: Path) -> None:
    """
    An import inside a function is found, with its line.
    """
    found = upward(read_packages(package), Kind.LOAD, Kind.LATE)

    assert ["chariots_core.errors:2 imports chariots_core.server.app (late)"] == listed(found)


def test_checker_keeps_typing_apart(package: Path) -> None:
    """
    What stands under TYPE_CHECKING is its own kind, and its else branch is not.
    """
    graph = read_packages(package)

    assert (
        ["chariots_core.resolver:3 imports chariots_core.cli (typing)"],
        ["chariots_core.resolver:5 imports numpy.linalg (load)"],
    ) == (listed(upward(graph, Kind.TYPING)), listed(graph.outer(*Kind)))


def test_checker_finds_circles(package: Path) -> None:
    """
    A circle that is closed by a relative import in a try block is found.
    """
    graph = read_packages(package)
    edges = [(found.importer, found.target) for found in graph.inner(Kind.LOAD, Kind.LATE)]

    assert [["chariots_core.errors", "chariots_core.server.app"]] == cycles(edges)


def test_checker_knows_unknown_parts() -> None:
    """
    A module without a layer of its own is reported, not taken for the bottom.
    """
    assert (None, 4) == (layer_of("chariots_core.newcomer"), layer_of("chariots_core.workers.pool"))
