"""
All behaviours together.
"""

from __future__ import annotations

from chariots_core.testing.conformance.broker import Broker
from chariots_core.testing.conformance.capabilities import Declared
from chariots_core.testing.conformance.crash import Crash
from chariots_core.testing.conformance.execution import Execution
from chariots_core.testing.conformance.making import Making
from chariots_core.testing.conformance.options import Options
from chariots_core.testing.conformance.recovery import Recovery
from chariots_core.testing.conformance.shutdown import Shutdown
from chariots_core.testing.conformance.soak import Soak
from chariots_core.testing.conformance.submit_lookup import SubmitLookup
from chariots_core.testing.conformance.training import Training
from chariots_core.testing.conformance.web_processes import WebProcesses


class WorkerPoolConformance(
    Making,
    SubmitLookup,
    Execution,
    Crash,
    Broker,
    Recovery,
    Shutdown,
    Declared,
    Options,
    Training,
    WebProcesses,
    Soak,
):
    """
    What a worker backend must show. Subclass it as ``Test...`` and give it `settings`.
    """
