"""
The names of the user guide, and where they lead.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import chariots
import chariots_core

#: What users import, and the module that holds it.
NAMES = [
    ("chariots.pipelines", "Pipeline", "chariots_core.pipelines"),
    ("chariots.pipelines", "PipelinesServer", "chariots_core.server"),
    ("chariots.pipelines", "PipelinesClient", "chariots_core.client"),
    ("chariots.pipelines", "AsyncPipelinesClient", "chariots_core.client"),
    ("chariots.pipelines", "AbstractPipelinesClient", "chariots_core.client"),
    ("chariots.pipelines", "PipelineResponse", "chariots_core.client"),
    ("chariots.pipelines.nodes", "Node", "chariots_core.pipelines"),
    ("chariots.pipelines.nodes", "BaseNode", "chariots_core.pipelines"),
    ("chariots.pipelines.nodes", "ReservedNodes", "chariots_core.pipelines"),
    ("chariots.pipelines.ops", "BaseOp", "chariots_core.pipelines"),
    ("chariots.pipelines.ops", "LoadableOp", "chariots_core.pipelines"),
    ("chariots.pipelines.runners", "BaseRunner", "chariots_core.pipelines"),
    ("chariots.pipelines.runners", "SequentialRunner", "chariots_core.pipelines"),
    ("chariots.pipelines.callbacks", "OpCallBack", "chariots_core.pipelines"),
    ("chariots.pipelines.callbacks", "PipelineCallback", "chariots_core.pipelines"),
    ("chariots.workers", "BaseWorkerPool", "chariots_core.workers"),
    ("chariots.workers", "JobStatus", "chariots_core.jobs"),
    ("chariots.workers", "LocalWorkerPool", "chariots_core.local"),
    ("chariots.workers", "RQWorkerPool", "chariots_rq"),
    ("chariots.workers", "DramatiqWorkerPool", "chariots_dramatiq"),
    ("chariots.op_store", "BaseOpStoreClient", "chariots_core.op_store"),
    ("chariots.op_store", "OpStoreClient", "chariots_core.op_store_http"),
    ("chariots.op_store", "OpStoreServer", "chariots_core.server.op_store"),
    ("chariots.op_store.savers", "BaseSaver", "chariots_core.op_store.savers"),
    ("chariots.op_store.savers", "FileSaver", "chariots_core.op_store.savers"),
    ("chariots.versioning", "Version", "chariots_core.versioning"),
    ("chariots.versioning", "VersionType", "chariots_core.versioning"),
    ("chariots.versioning", "VersionedField", "chariots_core.versioning"),
    ("chariots.versioning", "VersionedFieldDict", "chariots_core.versioning"),
    ("chariots.versioning", "VersionableMeta", "chariots_core.versioning"),
    ("chariots.ml", "MLMode", "chariots_ml"),
    ("chariots.ml", "BaseMLOp", "chariots_ml"),
    ("chariots.ml.sklearn", "BaseSKOp", "chariots_ml.sklearn"),
    ("chariots.ml.sklearn", "SKSupervisedOp", "chariots_ml.sklearn"),
    ("chariots.ml.sklearn", "SKUnsupervisedOp", "chariots_ml.sklearn"),
    ("chariots.ml.keras", "KerasOp", "chariots_ml.keras"),
    ("chariots.ml.serializers", "BaseSerializer", "chariots_ml.serializers"),
    ("chariots.ml.serializers", "DillSerializer", "chariots_ml.serializers"),
    ("chariots.ml.serializers", "JSONSerializer", "chariots_ml.serializers"),
    ("chariots.ml.serializers", "CSVSerializer", "chariots_ml.serializers"),
    ("chariots.ml.serializers", "SkopsSerializer", "chariots_ml.serializers"),
    ("chariots.testing", "TestOpStoreClient", "chariots_core.testing"),
    ("chariots.testing", "TestPipelinesClient", "chariots_core.testing"),
    ("chariots.testing", "WorkerContext", "chariots_core.testing"),
    ("chariots.testing", "RQWorkerContext", "chariots_rq"),
    ("chariots.testing", "DramatiqWorkerContext", "chariots_dramatiq"),
    ("chariots.config", "ChariotsConfig", "chariots_core.config"),
    ("chariots.config", "PipelinesConfig", "chariots_core.config"),
    ("chariots.config", "WorkersConfig", "chariots_core.config"),
    ("chariots.config", "OpStoreConfig", "chariots_core.config"),
    ("chariots.errors", "VersionError", "chariots_core.errors"),
    ("chariots.errors", "BackendError", "chariots_core.errors"),
]


@pytest.mark.parametrize(("module", "name", "holder"), NAMES)
def test_a_name_leads_to_its_holder(module: str, name: str, holder: str) -> None:
    """
    Each name of the guide is the very object that core or a plugin holds, and is listed.
    """
    facade = importlib.import_module(module)

    assert getattr(facade, name) is getattr(importlib.import_module(holder), name)
    assert name in facade.__all__
    assert name in dir(facade)


def test_every_listed_name_is_tested() -> None:
    """
    What the modules list is what this test looks at, but for names of absent plugins.
    """
    listed = {
        (module, name)
        for module in {module for module, _, _ in NAMES}
        for name in importlib.import_module(module).__all__
    }
    absent = {
        ("chariots.op_store", "LocalOpStoreClient"),
    }
    more = {
        ("chariots.errors", name) for name in importlib.import_module("chariots.errors").__all__
    }

    assert {(module, name) for module, name, _ in NAMES} == listed - absent - more | {
        ("chariots.errors", "VersionError"),
        ("chariots.errors", "BackendError"),
    }


@pytest.mark.parametrize(
    ("module", "name", "distribution"),
    [
        ("chariots.workers", "RQWorkerPool", "chariots-rq"),
        ("chariots.workers", "DramatiqWorkerPool", "chariots-dramatiq"),
        ("chariots.testing", "RQWorkerContext", "chariots-rq"),
        ("chariots.testing", "DramatiqWorkerContext", "chariots-dramatiq"),
    ],
)
def test_a_name_of_an_absent_plugin_says_what_to_install(
    module: str, name: str, distribution: str
) -> None:
    """
    Without its plugin, a name is an ImportError with the command that installs it.
    """
    code = f"""
import sys
sys.modules[{distribution.replace("-", "_")!r}] = None
try:
    from {module} import {name}
except ImportError as error:
    print(error)
"""
    said = _python(code)

    assert f"pip install {distribution}" in said
    assert f"{module}.{name}" in said


def test_a_broken_plugin_shows_its_own_error(tmp_path: Path) -> None:
    """
    A plugin that is there, and misses something itself, is not said to be absent.
    """
    (tmp_path / "chariots_rq.py").write_text("import no_such_library")
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
try:
    from chariots.workers import RQWorkerPool
except ImportError as error:
    print(error)
"""
    said = _python(code)

    assert "no_such_library" in said
    assert "pip install" not in said


def test_an_unknown_name_is_an_attribute_error() -> None:
    """
    A name that nobody holds is the usual error.
    """
    workers: Any = importlib.import_module("chariots.workers")

    with pytest.raises(AttributeError, match=r"chariots\.workers"):
        _ = workers.NoSuchPool


def test_the_forms_of_import_of_the_guide() -> None:
    """
    Modules are importable as attributes of the package, as the guide writes them.
    """
    said = _python(
        "from chariots import workers, op_store\n"
        "from chariots.op_store import savers\n"
        "print(savers.FileSaver.__name__, workers.JobStatus.queued)"
    )

    assert "FileSaver JobStatus.queued" == said.strip()


@pytest.mark.parametrize(
    "module",
    ["chariots", "chariots.pipelines", "chariots.workers", "chariots.testing", "chariots.config"],
)
def test_importing_the_facade_loads_no_server(module: str) -> None:
    """
    A module of the facade loads neither Flask nor SQLAlchemy nor httpx until a name needs it.
    """
    said = _python(
        f"import sys, {module}\n"
        "print(sorted({'flask', 'sqlalchemy', 'httpx', 'sklearn'} & set(sys.modules)))"
    )

    assert "[]" == said.strip()


def test_one_version() -> None:
    """
    The facade has the version of the core.
    """
    assert chariots_core.__version__ == chariots.__version__


def _python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr
    return done.stdout
