"""
How models become bytes, and bytes models again.

What a process trusts is its own configuration: never what the bytes say.
"""

from chariots_ml.serializers.base import BaseSerializer
from chariots_ml.serializers.dill import DillSerializer
from chariots_ml.serializers.skops import SkopsSerializer
from chariots_ml.serializers.text import CSVSerializer, JSONSerializer

__all__ = [
    "BaseSerializer",
    "CSVSerializer",
    "DillSerializer",
    "JSONSerializer",
    "SkopsSerializer",
]
