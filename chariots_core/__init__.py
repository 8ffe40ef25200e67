"""
Chariots: machine-learning pipelines over HTTP, in the request or on workers.
"""

__all__ = ["__version__"]

__version__ = "0.3.0.dev0"
