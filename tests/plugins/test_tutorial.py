"""
The tutorial for plugin authors, the docstring of `chariots_core.workers`, taken at its word.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from textwrap import dedent

from chariots_core import workers
from tests.plugins.distributions import Distribution, install, run_python

POOL = """
    import attrs

    from chariots_core.workers import BaseWorkerPool


    @attrs.frozen(kw_only=True)
    class MyOptions:
        size: int = 1


    class MyPool(BaseWorkerPool):
        def __init__(self, options):
            self.options = options

        def submit(self, request):
            pass
"""

USE = """
    import json, sys
    from chariots_core.workers.plugins import PluginManager

    pool = PluginManager().create_worker_pool({"backend": "my-queue", "size": 3})
    info = PluginManager().use_backend("my-queue")
    found = [type(pool).__name__, pool.name, pool.options.size, info.contract_version]
    print(json.dumps({"found": found}))
"""


def blocks() -> tuple[str, str]:
    """
    The two literal blocks of the tutorial: a module, and a piece of pyproject.toml.
    """
    found = re.findall(r"::\n\n((?:    .*\n|\n)+)", workers.__doc__ or "")
    plugin, project = (dedent(block) for block in found)
    return plugin, project


def test_plugin_of_the_tutorial_works(tmp_path: Path) -> None:
    """
    A distribution with the tutorial's module and entry point is a backend by that name.
    """
    plugin, project = blocks()
    distribution = Distribution(
        name="my-queue",
        modules={
            "my_queue/__init__.py": "",
            "my_queue/plugin.py": plugin,
            "my_queue/pool.py": POOL,
        },
        entry_points=tomllib.loads(project)["project"]["entry-points"],
    )
    site = install([distribution], tmp_path / "site", tmp_path)

    assert ["MyPool", "my-queue", 3, 1] == run_python(USE, site=site, cwd=tmp_path)["found"]


def test_one_import_is_enough() -> None:
    """
    The tutorial's plugin imports nothing of Chariots but `chariots_core.workers`.
    """
    plugin, _ = blocks()

    assert {"chariots_core.workers"} == set(re.findall(r"(?:from|import) (chariots\S*)", plugin))
