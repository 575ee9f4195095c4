"""Chance by name: each table, and each block of its rows, has a stream of its own, which no other one disturbs."""

import zlib
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

SEED: Final = 20170082
_GOLDEN: Final = 0.6180339887498949
_MASK: Final = 2**64 - 1


def stream(seed: int, name: str, block: int = 0) -> np.random.Generator:
    """A generator that only these three decide."""
    return np.random.default_rng((seed, zlib.crc32(name.encode()), block))


def shuffled(numbers: Ints, size: int) -> Ints:
    """A permutation of 0 to `size` - 1, applied to numbers among them; `size` is below 10¹¹."""
    factor = int(size * _GOLDEN) | 1
    while np.gcd(factor, size) != 1:
        factor += 2
    high, low = np.divmod(numbers, 1 << 20)  # So that no product is beyond 64 bits.
    result: Ints = (high * (factor * (1 << 20) % size) + low * factor) % size
    return result


def apportioned(weights: Floats, total: int) -> Ints:
    """Whole numbers in the proportions of the weights, their sum `total`: largest remainders."""
    exact = weights * (total / weights.sum())
    counts: Ints = np.floor(exact).astype(np.int64)
    short = total - int(counts.sum())
    if short:
        counts[np.argsort(counts - exact, kind="stable")[:short]] += 1
    return counts


class Dice:
    """Chance by index: the same number for the same row, however rows are cut into blocks."""

    def __init__(self, seed: int, name: str, rows: Ints) -> None:
        self._key = np.uint64(zlib.crc32(f"{seed} {name}".encode())) << np.uint64(32)
        self._rows = rows.astype(np.uint64)

    def unit(self, salt: int) -> Floats:
        """Uniform in [0, 1), shape of the rows: the finaliser of SplitMix64 (Steele et al. 2014) over a counter."""
        x = (self._rows + self._key) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(salt * 0x632BE59BD9B4E019 & _MASK)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return (x ^ (x >> np.uint64(31))) * 2.0**-64

    def below(self, limit: int, salt: int) -> Ints:
        result: Ints = (self.unit(salt) * limit).astype(np.int64).clip(0, limit - 1)
        return result

    def bell(self, salt: int) -> Floats:
        """Roughly normal, mean 0 and deviation 1: three uniform ones."""
        return (self.unit(salt) + self.unit(salt + 1_000) + self.unit(salt + 2_000) - 1.5) * 2.0
