"""Which segments each data set consists of, beside its hot rows. Pure.

Both centres apply the same entries in the same order, so at equal positions their manifests are equal, and every
segment is in a manifest once. A change that does not fit what is held is passed over, whole: its leader had not seen
another one.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from hub.segments.descriptor import Descriptor
from hub.segments.payloads import Change

_NOTHING: Final[Mapping[str, Descriptor]] = {}


class Manifest:
    """Immutable: what is held of each data set, by id, and through which lsn its hot rows are sealed."""

    def __init__(
        self, segments: Mapping[str, Mapping[str, Descriptor]] | None = None, sealed: Mapping[str, int] | None = None
    ) -> None:
        self._segments = segments or {}
        self._sealed = sealed or {}

    @classmethod
    def of(cls, descriptors: Iterable[Descriptor], sealed: Mapping[str, int]) -> "Manifest":
        segments: dict[str, dict[str, Descriptor]] = {}
        for one in descriptors:
            segments.setdefault(one.data_set, {})[one.id] = one
        return cls(segments, sealed)

    def of_data_set(self, name: str) -> Mapping[str, Descriptor]:
        return self._segments.get(name, _NOTHING)

    def all(self) -> Iterable[Descriptor]:
        return (one for held in self._segments.values() for one in held.values())

    def ids(self) -> frozenset[str]:
        return frozenset(one.id for one in self.all())

    def sealed_lsn(self, data_set: str) -> int:
        return self._sealed.get(data_set, 0)

    def fits(self, change: Change) -> bool:
        held = self.of_data_set(change.data_set)
        sealed = not change.sealed_lsn or change.sealed_after_lsn == self.sealed_lsn(change.data_set)
        return sealed and all(one in held for one in change.removed)

    def with_change(self, change: Change) -> "Manifest":
        assert self.fits(change), "a change that does not fit"
        held = {one: found for one, found in self.of_data_set(change.data_set).items() if one not in change.removed}
        held |= {one.id: one for one in change.added}
        sealed = {**self._sealed, change.data_set: change.sealed_lsn} if change.sealed_lsn else self._sealed
        return Manifest({**self._segments, change.data_set: held}, sealed)
