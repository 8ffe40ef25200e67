"""
Where jobs run: supervised child processes, or threads.
"""

from chariots_core.workers.isolation.executors import (
    Ending,
    Execution,
    Executor,
    make_executor,
)
from chariots_core.workers.isolation.failures import Failure

__all__ = ["Ending", "Execution", "Executor", "Failure", "make_executor"]
