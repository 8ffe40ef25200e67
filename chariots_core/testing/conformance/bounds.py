"""
How long things may take.
"""

from __future__ import annotations

import attrs


@attrs.frozen
class Bounds:
    """
    How long things may take, in seconds.

    Attributes:
        scale: what the backend's own slowness multiplies everything by.
    """

    scale: float = 1.0

    @property
    def lease(self) -> float:
        """
        The lease of a running job.
        """
        return 1.0 * self.scale

    @property
    def crash_detection(self) -> float:
        """
        From the death of a worker to a record that tells of it: the lease, the
        next tick of whoever is alive, and slack for a loaded machine.
        """
        return self.lease + 4.0 * self.scale

    @property
    def deadline(self) -> float:
        """
        For what has no bound of its own: a test that hangs ends here.
        """
        return 20.0 * self.scale
