"""Where a function that falls with distance meets a value."""

from collections.abc import Callable
from typing import Final

import numpy as np

from hub.risk.formulas.arrays import Floats, Values, floats

_HALVINGS: Final = 60  # Of the logarithm: from 1e-3 to 1e7 m down to the last digits of a float64.


def distance_where(falling: Callable[[Floats], Floats], value: Values, *, near_m: float, far_m: float) -> Floats:
    """The largest distance from `near_m` to `far_m` at which `falling(distance)` is still `value`, in metres.

    0 where the value is not reached at all, `far_m` where it is exceeded everywhere. `falling` must not rise with
    distance and works on arrays of the shape of `value`.
    """
    wanted = floats(value)
    low, high = (np.full(wanted.shape, np.log(end_m)) for end_m in (near_m, far_m))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        enough = falling(np.exp(middle)) >= wanted
        low, high = np.where(enough, middle, low), np.where(enough, high, middle)
    found = np.where(falling(np.full(wanted.shape, far_m)) >= wanted, far_m, np.exp(low))
    return np.where(falling(np.full(wanted.shape, near_m)) >= wanted, found, 0.0)
