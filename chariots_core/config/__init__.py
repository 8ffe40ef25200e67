"""
The configuration: what an operator writes in a file, and what is made of it.

Importing this loads neither a web server nor a database, and no YAML.
"""

from chariots_core.config.config import ChariotsConfig
from chariots_core.config.sections import OpStoreConfig, PipelinesConfig, WorkersConfig

__all__ = ["ChariotsConfig", "OpStoreConfig", "PipelinesConfig", "WorkersConfig"]
