"""
Chariots, by the names of its user guide.

Everything here is held by `chariots_core` or by a plugin, and is fetched when
it is asked for: importing this loads neither a web server nor a database.
"""

from chariots_core import __version__

__all__ = ["__version__"]
