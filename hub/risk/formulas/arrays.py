"""Arrays as the formulas take and give them."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Values = npt.ArrayLike
"""A number or an array of numbers."""


def floats(values: Values) -> Floats:
    return np.asarray(values, np.float64)
