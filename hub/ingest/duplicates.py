"""Which rows of a file came before in the same file, all columns being equal. Pure; no row is looped over.

    hashes of a block's rows → bits (may have been seen?) → runs of sorted hashes → number of the row that came first

Most rows are told to be new by the bits alone. Runs are merged when two of a kind follow each other, so that there are
few. Memory: 20 bytes a row, for at most REMEMBERED_ROWS_MAX rows, twice that for moments, and 32 MiB for the bits. Rows
after those are compared with them, and are not remembered.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hub.ingest.row_hashes import Words, row_hashes

REMEMBERED_ROWS_MAX: Final = 16 << 20
_BITS: Final = 25
_NEW: Final = -1
_Numbers = npt.NDArray[np.int64]
_Run = tuple[Words, Words, npt.NDArray[np.uint32]]  # First hashes, rising; second hashes; row numbers.


class SeenRows:
    """The rows of one file up to a block."""

    def __init__(self, rows_max: int = REMEMBERED_ROWS_MAX) -> None:
        assert rows_max <= REMEMBERED_ROWS_MAX, "row numbers have 32 bits"
        self._room = rows_max
        self._seen = np.zeros(1 << _BITS, np.bool_)
        self._runs: list[_Run] = []

    @property
    def full(self) -> bool:
        return self._room == 0

    def earlier(self, rows: pa.RecordBatch, numbers: _Numbers) -> _Numbers:
        """For each row the number of the first row that is equal to it, or -1; remembers the rows.

        `numbers` are those of `rows` in the file, rising over all calls, shape (n,).
        """
        first, second = row_hashes(rows)
        order = _order(first)
        first, second, numbers = first[order], second[order], numbers[order]
        leader = _leaders(first, second)
        leads = leader == np.arange(len(leader))
        found = np.full(len(leader), _NEW, np.int64)
        suspects = np.flatnonzero(leads & self._seen[first >> np.uint64(64 - _BITS)])
        if len(suspects):
            found[suspects] = self._looked_up(first[suspects], second[suspects])
        self._remember(first, second, numbers, leads & (found == _NEW))
        found = np.where(leads | (found[leader] != _NEW), found[leader], numbers[leader])
        earlier = np.empty_like(found)
        earlier[order] = found
        return earlier

    def _looked_up(self, first: Words, second: Words) -> _Numbers:
        found = np.full(len(first), _NEW, np.int64)
        for run_first, run_second, run_numbers in self._runs:
            places = np.minimum(np.searchsorted(run_first, first), len(run_first) - 1)
            equal = (run_first[places] == first) & (run_second[places] == second)
            found[equal] = run_numbers[places[equal]]
        return found

    def _remember(self, first: Words, second: Words, numbers: _Numbers, new: npt.NDArray[np.bool_]) -> None:
        if not new.all() or len(new) > self._room:
            kept = np.flatnonzero(new)[: self._room]
            first, second, numbers = first[kept], second[kept], numbers[kept]
        if not len(first):
            return
        self._room -= len(first)
        self._seen[first >> np.uint64(64 - _BITS)] = True
        self._runs.append((first, second, numbers.astype(np.uint32)))
        while len(self._runs) > 1 and len(self._runs[-2][0]) < 2 * len(self._runs[-1][0]):
            self._runs.append(_merged(self._runs.pop(-2), self._runs.pop()))


def _order(hashes: Words) -> _Numbers:
    """Of rows with the same hash the first one comes first; a sort that does not see to that takes half the time."""
    order = np.argsort(hashes)
    ranked = hashes[order]
    return np.argsort(hashes, kind="stable") if (ranked[1:] == ranked[:-1]).any() else order


def _leaders(first: Words, second: Words) -> _Numbers:
    """For each row the place of the first one of those that are equal to it and follow each other."""
    places = np.arange(len(first))
    repeats = np.flatnonzero((first[1:] == first[:-1]) & (second[1:] == second[:-1])) + 1
    if not len(repeats):
        return places
    begins = places.copy()
    begins[repeats] = 0
    return np.maximum.accumulate(begins)


def _merged(one: _Run, other: _Run) -> _Run:
    first = np.concatenate((one[0], other[0]))
    order = np.argsort(first, kind="stable")
    return first[order], np.concatenate((one[1], other[1]))[order], np.concatenate((one[2], other[2]))[order]
