"""
Errors of others, told with the keys that an operator has written.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from chariots_core.errors import BackendMisconfigured


@contextmanager
def options_named(section: str) -> Iterator[None]:
    """
    Say in the error of a backend that does not like its options where they stand.
    """
    try:
        yield
    except BackendMisconfigured as error:
        # Only an error that names options is about them; others are about the name.
        where = f"{section}.worker_pool_kwargs" if error.problems else section
        raise BackendMisconfigured(
            f"{where}: {error.message}",
            backend=error.backend,
            problems=[f"{where}: {problem}" for problem in error.problems],
        ) from error
