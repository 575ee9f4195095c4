"""A file as the exchanges that load it. Pure orchestration: it sends nothing and knows no centre.

    read_file → Block → drop repeated rows → convert → put places right → check → look references up
              → collect → Prepared 1, Prepared 2, ...

Exchange k holds what became of the file's rows (k-1)·n to k·n-1, n being `exchange_rows`: the accepted ones in their
order, and each of the others as a rejected row with the number it has in the file. So the same file cut the same way
gives the same exchanges, whatever the size of a block, and the producer's name says what was cut how: loading a file
again sends the same (producer, sequence) pairs, which the hub takes for what they are.
"""

import hashlib
import json
from collections import Counter, deque
from collections.abc import Callable, Iterator
from collections.abc import Mapping as Counts
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hub.catalogue.contract import Contract, Reference
from hub.errors import InputFileError
from hub.ingest.blocks import Block, without
from hub.ingest.checks import Rejected, check, row_contents
from hub.ingest.columns import known_names
from hub.ingest.convert import convert
from hub.ingest.decoding import resolve_encoding
from hub.ingest.duplicates import REMEMBERED_ROWS_MAX, SeenRows
from hub.ingest.mapping import Mapping
from hub.ingest.places import put_places_right
from hub.ingest.readers import BLOCK_BYTES, BLOCK_ROWS, file_format, read_file
from hub.ingest.report import DUPLICATE

EXCHANGE_ROWS: Final = 20_000
_HASH_CHARACTERS: Final = 24

Known = Callable[[Reference, pa.Array], pa.Array]
"""Which of the distinct values, without nulls, the data set that is referred to has: booleans, none of them null."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """How a file is read and cut. None: as the mapping says; if it does not, by the file's name and content."""

    format: str | None = None
    encoding: str | None = None
    sheet: str | None = None
    mapping: Mapping = field(default_factory=Mapping)
    exchange_rows: int | None = None
    block_bytes: int = BLOCK_BYTES
    block_rows: int = BLOCK_ROWS

    def filled(self) -> "LoadOptions":
        """With what the mapping says where nothing else is said."""
        return replace(
            self,
            format=self.format or self.mapping.format,
            encoding=self.encoding or self.mapping.encoding,
            sheet=self.sheet or self.mapping.sheet,
            exchange_rows=self.exchange_rows or self.mapping.exchange_rows or EXCHANGE_ROWS,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """One exchange. `sequence` counts from 1. `rows` are in the contract's schema; there may be none.

    `rejected` are by their row number in the file, rising. `rows_read` is how many of the file's rows this exchange
    accounts for: rows plus rejected. `bytes_read` is how far the file has been read, as it lies on disk. `notes` say
    what the file has that was not loaded, or was changed, each one once in a load; `put_right`, what was done to how
    many values since the exchange before.
    """

    sequence: int
    rows: pa.RecordBatch
    rejected: tuple[Rejected, ...]
    bytes_read: int
    rows_read: int
    put_right: Counts[str, int]
    notes: tuple[str, ...] = ()


def prepare_file(
    path: Path, contract: Contract, options: LoadOptions | None = None, *, known: Known | None = None
) -> Iterator[Prepared]:
    """The exchanges of a file; none for a file without rows. Without `known` no reference is looked up.

    Raises InputFileError and ConfigurationError. What was yielded before an error stands and may have been sent:
    after the file is mended it is another file, with another producer.
    """
    options = (options or LoadOptions()).filled()
    assert options.exchange_rows is not None
    assert options.exchange_rows > 0, options.exchange_rows
    judge = _Judge(contract=contract, mapping=options.mapping, known=known, seen=SeenRows())
    collector = _Collector(contract=contract, exchange_rows=options.exchange_rows)
    blocks = read_file(
        path,
        format=options.format,
        encoding=options.encoding,
        sheet=options.sheet,
        names=known_names(contract, options.mapping),
        block_bytes=options.block_bytes,
        block_rows=options.block_rows,
    )
    for block in blocks:
        collector.add(judge.judged(block))
        while collector.full:
            yield collector.take()
    if collector.rows_waiting:
        yield collector.take()


def file_producer(path: Path, contract: Contract, options: LoadOptions | None = None) -> str:
    """Name of the producer that loads this file this way: `load-` and 24 hexadecimal digits.

    They hash the file's bytes and all that decides what its exchanges hold. Raises InputFileError.
    """
    options = (options or LoadOptions()).filled()
    kind = file_format(path, options.format)
    facts = {
        "data_set": contract.name,
        "format": kind,
        "encoding": "" if kind in ("parquet", "xlsx") else resolve_encoding(path, options.encoding),
        "mapping": options.mapping.recipe(),
        "exchange_rows": options.exchange_rows,
    }
    if kind == "xlsx":
        facts["sheet"] = options.sheet
    try:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise InputFileError(f"{path.name} cannot be read: {error}") from error
    recipe = json.dumps(facts, sort_keys=True, ensure_ascii=False).encode()
    return "load-" + hashlib.sha256(content + recipe).hexdigest()[:_HASH_CHARACTERS]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """A block after its checks. `numbers` are the file's row numbers of `rows`, `end` is the one after the block."""

    rows: pa.RecordBatch
    numbers: npt.NDArray[np.int64]
    rejected: tuple[Rejected, ...]
    end: int
    bytes_read: int
    put_right: Counts[str, int]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judge:
    """What is the same for all blocks of a file, and the rows that were seen."""

    contract: Contract
    mapping: Mapping
    known: Known | None
    seen: SeenRows

    def judged(self, block: Block) -> _Judged:
        notes = block.notes
        if self.seen.full:
            notes += (f"rows after the first {REMEMBERED_ROWS_MAX:,} are not compared with each other",)
        block = self._without_repeated(block)
        numbers = block.row_numbers()
        converted = convert(block.rows, self.contract, self.mapping)
        kept = np.delete(np.arange(len(numbers)), [one.row for one in converted.rejected])
        placed, put_right = put_places_right(converted.rows, self.contract, self.mapping.datum)
        checked = check(self.contract, placed)
        failed = {int(kept[one.row]): one.reason for one in checked.rejected}
        kept = np.delete(kept, [one.row for one in checked.rejected])
        rows, lost = self._without_unknown(checked.accepted)
        failed |= {int(kept[row]): reason for row, reason in lost.items()}
        kept = np.delete(kept, list(lost))
        # What is refused goes to quarantine as it came, not as it was converted.
        rejected = [
            *block.malformed,
            *(replace(one, row=int(numbers[one.row])) for one in converted.rejected),
            *(
                Rejected(row=int(numbers[place]), reason=reason, content=content)
                for (place, reason), content in zip(failed.items(), row_contents(block.rows, list(failed)), strict=True)
            ),
        ]
        return _Judged(
            rows=rows,
            numbers=numbers[kept],
            rejected=tuple(sorted(rejected, key=lambda one: one.row)),
            end=block.first_row + len(numbers) + len(block.malformed),
            bytes_read=block.bytes_read,
            put_right=Counter(converted.put_right) + put_right,
            notes=(*notes, *converted.notes),
        )

    def _without_repeated(self, block: Block) -> Block:
        if not block.rows.num_columns:  # JSON lines without any key.
            return block
        earlier = self.seen.earlier(block.rows, block.row_numbers())
        repeated = earlier >= 0
        reasons = [f"{DUPLICATE} {row}" for row in earlier[repeated].tolist()]
        return without(block, repeated, reasons)

    def _without_unknown(self, rows: pa.RecordBatch) -> tuple[pa.RecordBatch, dict[int, str]]:
        """The rows whose enforced references lead somewhere, and the others' places with their reasons."""
        reasons: dict[int, list[str]] = {}
        for column in self.contract.columns:
            reference = column.reference
            if self.known is None or reference is None or not reference.enforced or not rows.num_rows:
                continue
            values = rows[column.name]
            distinct = values.unique().drop_null()
            unknown = distinct.filter(pc.invert(self.known(reference, distinct)))
            if not len(unknown):
                continue
            bad = np.flatnonzero(pc.is_in(values, value_set=unknown).to_numpy(zero_copy_only=False))
            for place, value in zip(bad.tolist(), values.take(pa.array(bad)).to_pylist(), strict=True):
                reasons.setdefault(place, []).append(f"{column.name} {value!r} is not in {reference.data_set}")
        if reasons:
            keep = np.ones(rows.num_rows, np.bool_)
            keep[list(reasons)] = False
            rows = rows.filter(pa.array(keep))
        return rows, {place: "; ".join(reasons[place]) for place in sorted(reasons)}


@dataclass(slots=True, kw_only=True)
class _Collector:
    """Cuts judged blocks at every `exchange_rows` rows of the file."""

    contract: Contract
    exchange_rows: int
    _parts: list[tuple[pa.RecordBatch, npt.NDArray[np.int64]]] = field(default_factory=list)
    _rejected: deque[Rejected] = field(default_factory=deque)
    _put_right: Counter[str] = field(default_factory=Counter)
    _notes: dict[str, bool] = field(default_factory=dict)  # note → told
    _begin: int = 0
    _end: int = 0
    _bytes_read: int = 0
    _sequence: int = 0

    @property
    def full(self) -> bool:
        return self.rows_waiting >= self.exchange_rows

    @property
    def rows_waiting(self) -> int:
        return self._end - self._begin

    def add(self, judged: _Judged) -> None:
        if judged.rows.num_rows:
            self._parts.append((judged.rows, judged.numbers))
        self._rejected.extend(judged.rejected)
        for note in judged.notes:
            self._notes.setdefault(note, False)
        self._put_right.update(judged.put_right)
        self._end = judged.end
        self._bytes_read = judged.bytes_read

    def take(self) -> Prepared:
        """The next exchange: a full one, or what is left."""
        end = min(self._begin + self.exchange_rows, self._end)
        taken = self._take_rows(end)
        rejected = []
        while self._rejected and self._rejected[0].row < end:
            rejected.append(self._rejected.popleft())
        rows = taken[0] if len(taken) == 1 else pa.concat_batches(taken) if taken else self._no_rows()
        rows_read = end - self._begin
        assert rows.num_rows + len(rejected) == rows_read, "a row of the file was lost"
        put_right, self._put_right = self._put_right, Counter()
        self._begin = end
        self._sequence += 1
        return Prepared(
            sequence=self._sequence,
            rows=rows,
            rejected=tuple(rejected),
            bytes_read=self._bytes_read,
            rows_read=rows_read,
            put_right=put_right,
            notes=self._take_notes(),
        )

    def _take_rows(self, end: int) -> list[pa.RecordBatch]:
        taken: list[pa.RecordBatch] = []
        while self._parts:
            rows, numbers = self._parts[0]
            count = int(np.searchsorted(numbers, end))
            if count == len(numbers):
                self._parts.pop(0)
                taken.append(rows)
                continue
            if count:
                taken.append(rows.slice(0, count))
                self._parts[0] = (rows.slice(count), numbers[count:])
            break
        return taken

    def _take_notes(self) -> tuple[str, ...]:
        new = tuple(note for note, told in self._notes.items() if not told)
        self._notes.update(dict.fromkeys(new, True))
        return new

    def _no_rows(self) -> pa.RecordBatch:
        return pa.RecordBatch.from_pylist([], schema=self.contract.schema)
