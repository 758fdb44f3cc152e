"""The types of arrays that all rooms exchange."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Float32s = NDArray[np.float32]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

LIMIT = 10.0
"""Bound of every feature that a policy reads, so that observation spaces are finite."""
