"""
The contract of job stores as tests, for any implementation.

Subclass `JobStoreContract` (and `QueueJobStoreContract` for a store that is
its own queue) in a test module, and give it the fixture ``harness``:

.. code-block:: python

    class TestMyStore(JobStoreContract):
        @pytest.fixture
        def harness(self, tmp_path):
            harness = MyHarness(tmp_path)
            yield harness
            harness.close()
"""

from chariots_core.testing.job_store_contract.concurrency import ConcurrencyContract
from chariots_core.testing.job_store_contract.creation import CreationContract
from chariots_core.testing.job_store_contract.endings import EndingContract
from chariots_core.testing.job_store_contract.events import EventContract
from chariots_core.testing.job_store_contract.harness import StoreHarness
from chariots_core.testing.job_store_contract.lifecycle import LifecycleContract
from chariots_core.testing.job_store_contract.lists import ListContract
from chariots_core.testing.job_store_contract.losses import LossContract
from chariots_core.testing.job_store_contract.outages import OutageContract
from chariots_core.testing.job_store_contract.processes import ProcessContract
from chariots_core.testing.job_store_contract.queue import QueueJobStoreContract
from chariots_core.testing.job_store_contract.records import RecordContract
from chariots_core.testing.job_store_contract.retries import RetryContract
from chariots_core.testing.job_store_contract.texts import TextContract
from chariots_core.testing.job_store_contract.ticks import TickContract
from chariots_core.testing.job_store_contract.time import TimeContract

__all__ = ["JobStoreContract", "QueueJobStoreContract", "StoreHarness"]


class JobStoreContract(
    CreationContract,
    RecordContract,
    ListContract,
    EventContract,
    ProcessContract,
    TextContract,
    TimeContract,
    LifecycleContract,
    RetryContract,
    EndingContract,
    TickContract,
    LossContract,
    OutageContract,
    ConcurrencyContract,
):
    """
    Everything that a job store promises.
    """
