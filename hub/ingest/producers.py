"""Which sequences of each producer were accepted through one log, as intervals: exactly once, over any retry."""

from bisect import bisect_right
from collections.abc import Iterable


class Sequences:
    """A set of (producer, sequence). A producer that numbers its exchanges 1, 2, 3 … costs one interval.

    Deliberately no limit: a sequence that was accepted must be known for ever.
    """

    def __init__(self) -> None:
        # Per producer: low₀, high₀, low₁, high₁ … rising, with a gap between each high and the next low.
        self._bounds: dict[str, list[int]] = {}

    def add(self, producer: str, sequence: int) -> None:
        bounds = self._bounds.setdefault(producer, [])
        if bounds and sequence == bounds[-1] + 1:  # The usual case.
            bounds[-1] = sequence
            return
        index = bisect_right(bounds, sequence)
        if index % 2 or (index and bounds[index - 1] == sequence):
            return  # Inside an interval, or its last one.
        joins_left = index > 0 and bounds[index - 1] == sequence - 1
        joins_right = index < len(bounds) and bounds[index] == sequence + 1
        if joins_left and joins_right:
            del bounds[index - 1 : index + 1]
        elif joins_left:
            bounds[index - 1] = sequence
        elif joins_right:
            bounds[index] = sequence
        else:
            bounds[index:index] = [sequence, sequence]

    def contains(self, producer: str, sequence: int) -> bool:
        bounds = self._bounds.get(producer)
        if not bounds:
            return False
        index = bisect_right(bounds, sequence)
        return bool(index % 2) or (index > 0 and bounds[index - 1] == sequence)

    def bounds(self, producer: str) -> list[int]:
        """low₀, high₀, low₁, high₁ … of a producer."""
        return self._bounds.get(producer, [])

    def restore(self, rows: Iterable[tuple[str, list[int]]]) -> None:
        """Takes back what `bounds` gave."""
        for producer, bounds in rows:
            self._bounds[producer] = list(bounds)

    def copy(self) -> "Sequences":
        other = Sequences()
        other.restore(self._bounds.items())
        return other
