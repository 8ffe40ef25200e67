"""
Ops and serializers for machine-learning libraries.
"""

from chariots_ml.errors import OpNotFitted
from chariots_ml.ops import BaseMLOp, MLMode

__all__ = ["BaseMLOp", "MLMode", "OpNotFitted"]
