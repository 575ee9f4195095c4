"""What became of the rows of a file: read, accepted, rejected and why, put right and how."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from hub.ingest.checks import Rejected

DUPLICATE: Final = "is a duplicate of row"
KINDS_MAX: Final = 1_000
REASONS_SHOWN_MAX: Final = 20
OTHERS: Final = "other reasons"
_QUOTED: Final = re.compile(r"'[^']*'|\"[^\"]*\"")
_ROW: Final = re.compile(rf"^{DUPLICATE} \d+$")
_NUMBER: Final = re.compile(r"^(\w+) -?[\d.][\w.:+-]*(?: [\d:.]+)? (?=[a-z])")


@dataclass(slots=True, kw_only=True)
class Report:
    """Rows read = accepted + rejected. A row that was rejected for several reasons counts under each of their kinds.

    `reasons` are rows by the whole text of their reason; of these and of kinds there are KINDS_MAX at most, the rest is
    counted under OTHERS. `put_right` counts values, of places rows.
    """

    rows_read: int = 0
    rejected: int = 0
    duplicates: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    put_right: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    @property
    def accepted(self) -> int:
        return self.rows_read - self.rejected

    def add(
        self, *, rows_read: int, rejected: Iterable[Rejected], put_right: Mapping[str, int], notes: Iterable[str]
    ) -> None:
        self.rows_read += rows_read
        for one in rejected:
            self.rejected += 1
            self.duplicates += one.reason.startswith(DUPLICATE)
            _count(self.reasons, one.reason)
            for kind in reason_kinds(one.reason):
                _count(self.kinds, kind)
        self.put_right.update(put_right)
        self.notes += notes

    def as_json(self) -> dict[str, Any]:
        return {
            "rows": self.rows_read,
            "rejected": self.rejected,
            "duplicates": self.duplicates,
            "kinds": dict(self.kinds.most_common()),
            "reasons": dict(self.reasons.most_common(REASONS_SHOWN_MAX)),
            "put_right": dict(self.put_right.most_common()),
            "notes": self.notes,
        }


def _count(counts: Counter[str], kind: str) -> None:
    counts[kind if kind in counts or len(counts) < KINDS_MAX else OTHERS] += 1


def reason_kinds(reason: str) -> list[str]:
    """The reasons of a row without the values that are its own: `sex '男' is not one of female, male` and the same
    of another value are of one kind."""
    return [_NUMBER.sub(r"\1 … ", _ROW.sub(f"{DUPLICATE} …", part)) for part in _QUOTED.sub("…", reason).split("; ")]
