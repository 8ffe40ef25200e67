"""
The installed wheels, used from a folder that is not the checkout.
"""

from __future__ import annotations

import json

import pytest

from tests.acceptance.conftest import Installed

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.xdist_group("acceptance"),
    pytest.mark.timeout(400),
]

WHERE = """
import importlib, json, sys
print(json.dumps({name: importlib.import_module(name).__file__ for name in sys.argv[1:]}))
"""


def test_packages_come_from_the_wheels(installed: Installed) -> None:
    """
    The packages import from the environment, and the checkout is out of sight.
    """
    done = installed.run("python", "-c", WHERE, "chariots_core", "chariots", "chariots_ml")
    places = json.loads(done.stdout or "{}")
    site = str(installed.bin.parent)

    assert done.stderr == ""
    assert [True] * 3 == [place.startswith(site) for place in places.values()]
