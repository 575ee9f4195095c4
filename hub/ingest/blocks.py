"""A block of a file's rows, as every reader hands it on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hub.ingest.checks import Rejected, row_contents


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Rows of a file that follow each other, and those between them that cannot be read.

    `first_row` and the rows in `malformed` count the file's rows from 0, without header and blank lines.
    `bytes_read` counts bytes of the file as it lies on disk. `encoding` is what text was decoded from.
    `notes` say what is to be known of the file as a whole.
    """

    rows: pa.RecordBatch
    first_row: int
    bytes_read: int
    malformed: tuple[Rejected, ...] = ()
    encoding: str = ""
    notes: tuple[str, ...] = ()

    def row_numbers(self) -> npt.NDArray[np.int64]:
        """The file's row number of each of `rows`."""
        numbers = np.arange(self.first_row, self.first_row + self.rows.num_rows + len(self.malformed))
        return np.delete(numbers, [one.row - self.first_row for one in self.malformed])


def without(
    block: Block,
    bad: npt.NDArray[np.bool_],
    reason: str | Sequence[str],
    contents_of: Callable[[pa.RecordBatch, list[int]], list[str]] = row_contents,
) -> Block:
    """The block with its bad rows moved to the malformed ones; each may have a reason of its own."""
    indices = np.flatnonzero(bad)
    if not len(indices):
        return block
    reasons = [reason] * len(indices) if isinstance(reason, str) else reason
    contents = contents_of(block.rows, indices.tolist())
    moved = [
        Rejected(row=row, reason=why, content=content)
        for row, why, content in zip(block.row_numbers()[indices].tolist(), reasons, contents, strict=True)
    ]
    malformed = tuple(sorted((*block.malformed, *moved), key=lambda one: one.row))
    return replace(block, rows=block.rows.filter(pa.array(~bad)), malformed=malformed)
