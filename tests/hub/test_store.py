"""The store against a plain model.

Goal: whatever the grouping of entries, the restarts and the failures in between, the store holds exactly what the
applied entries say, and stores at one lsn have equal digests.
Method: Hypothesis appends to two logs and applies pieces of them to a real DuckDB file, to be compared with dicts after
every step, whether rows are hot, came as segments, were sealed, merged or retired, and wherever an apply was killed;
then damage, a full disk and single cases by
hand.
"""

import resource
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from unittest.mock import patch

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from hub.catalogue.contract import Contract
from hub.catalogue.contract import Kind as DataKind
from hub.catalogue.load import contract_to_json
from hub.config import StoreLimits
from hub.errors import ContractError, StoreDamagedError, UnavailableError
from hub.ingest.exchange import Exchange
from hub.ingest.group import build_group, known_contract
from hub.ingest.sections import Operation, Section, SectionError, encode_sections
from hub.segments.descriptor import Descriptor
from hub.segments.encoder import encode
from hub.segments.payloads import Change, change_to_json
from hub.snapshots.description import snapshot_from_json, snapshot_to_json
from hub.snapshots.install import install
from hub.snapshots.take import take
from hub.status import Digest
from hub.store.manifest import Manifest
from hub.store.store import LOGS, Outcome, Store
from replication.codec import make_entry
from replication.core.types import ORIGIN, Entry, EntryId, Kind
from replication.disk import FileDisk
from replication.segments import SegmentFiles

NOW = datetime(2026, 1, 2, 3, 4, 5)
TITLE = {"zh": "某", "en": "Something"}
DATA_SETS = {
    "passages": ("ops", DataKind.EVENT),
    "pumps": ("ops", DataKind.REGISTRY),
    "notes": ("ecc", DataKind.EVENT),
    "crews": ("ecc", DataKind.REGISTRY),
}
VERSION_MAX = 3
VALUE_MAX = 90  # What is above it goes to quarantine.
FAILURES = (SectionError, ContractError, KeyError, duckdb.Error, pa.ArrowException)

PAIRS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 99)), max_size=4)
"""Keys and values of rows."""

Row = dict[str, Any]
Sent = tuple[str, Operation, list[Row]]


def contract(name: str, version: int = 1, description: str = "") -> Contract:
    """A data set of DATA_SETS; each version adds a column."""
    home, kind = DATA_SETS[name]
    columns: list[dict[str, Any]] = [
        {"name": "site", "type": "string", "required": True},
        {"name": "pump", "type": "int32", "required": True},
        {"name": "level", "type": "float64", "domain": {"max": VALUE_MAX}},
        {"name": "price", "type": "decimal(9,2)"},
        {"name": "seen_at", "type": "timestamp"},
        {"name": "note", "type": "string"},
        {"name": "more_2", "type": "int64"},
        {"name": "more_3", "type": "string"},
    ]
    facts = {"name": name, "version": version, "agency": "test", "home": home, "kind": kind, "title": TITLE}
    shown = columns[: 5 + version]
    return Contract.model_validate(
        facts
        | {"key": ("site", "pump"), "description": description, "columns": [{"title": TITLE} | one for one in shown]}
    )


def row(key: int, value: int) -> Row:
    """A row with every column of every version."""
    return {
        "site": "甲乙丙"[key % 3],
        "pump": key // 3,
        "level": float(value),
        "price": Decimal(value) / 100,
        "seen_at": NOW + timedelta(hours=value),
        "note": None if value % 3 == 0 else f"第{value}次",
        "more_2": value or None,
        "more_3": f"{value}",
    }


def without_nulls(one: Row) -> Row:
    return {name: value for name, value in one.items() if value is not None}


def key_of(one: Row) -> tuple[Any, ...]:
    return one["site"], one["pump"]


def batch(schema: pa.Schema, rows: list[Row]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([{name: one[name] for name in schema.names} for one in rows], schema=schema)


def section(name: str, rows: pa.RecordBatch) -> Section:
    return Section(data_set=name, operation=Operation.APPEND, contract_version=1, rows=rows)


def open_store(path: Path, files: SegmentFiles | None = None) -> Store:
    files = files or SegmentFiles.open(path.parent / "segments")
    return Store.open(path, files, memory_bytes_max=256 << 20, threads=1, temp_bytes_max=1 << 30)


def seen(store: Store, name: str) -> "Counter[tuple[Any, ...]]":
    cursor = store.cursor()
    try:
        return Counter(cursor.execute(f'select * from "{name}"').fetchall())
    finally:
        cursor.close()


def event_of(log: str) -> str:
    return next(name for name, (home, kind) in DATA_SETS.items() if home == log and kind is DataKind.EVENT)


@dataclass(slots=True)
class Model:
    """What a store should hold, in dicts. Rows are by column; a column that a row lacks is null."""

    contracts: dict[str, Contract] = field(default_factory=dict)
    events: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    registries: dict[str, dict[tuple[Any, ...], Row]] = field(default_factory=lambda: defaultdict(dict))
    ledger: dict[str, dict[tuple[str, int], Outcome]] = field(default_factory=lambda: {log: {} for log in LOGS})
    quarantined: "Counter[tuple[Any, ...]]" = field(default_factory=Counter)
    manifest: Manifest = field(default_factory=Manifest)
    segment_rows: dict[str, list[Row]] = field(default_factory=dict)

    def put_in_force(self, new: Contract) -> None:
        held = self.contracts.get(new.name)
        if new.version == (held.version + 1 if held else 1):
            self.contracts[new.name] = new

    def take(self, log: str, lsn: int, key: tuple[str, int], sent: Sent) -> None:
        name, operation, rows = sent
        rejected = [n for n, one in enumerate(rows) if operation is not Operation.DELETE and one["level"] > VALUE_MAX]
        for n, one in enumerate(rows):
            if n in rejected:
                self.quarantined[(log, lsn, *key, name, n)] += 1
            elif operation is Operation.APPEND:
                self.events[name].append(one)
            elif operation is Operation.UPSERT:
                self.registries[name][key_of(one)] = one
            else:
                self.registries[name].pop(key_of(one), None)
        self.ledger[log][key] = Outcome(lsn=lsn, rows=len(rows) - len(rejected), rows_rejected=len(rejected))

    def arrange(self, change: Change, rows: list[Row]) -> None:
        """`rows` are those of the segment that is added, which are held already; where none is, rows are retired."""
        if self.manifest.fits(change):
            self.manifest = self.manifest.with_change(change)
            self.segment_rows |= {one.id: rows for one in change.added}
            held = self.events[change.data_set]
            for gone in [] if change.added else change.removed:
                for one in self.segment_rows[gone]:
                    held.remove(next(other for other in held if without_nulls(other) == without_nulls(one)))

    def rows(self, name: str) -> "Counter[tuple[Any, ...]]":
        known = self.contracts[name]
        rows = self.events[name] if known.kind is DataKind.EVENT else self.registries[name].values()
        return Counter(tuple(one.get(column.name) for column in known.columns) for one in rows)

    def bounds(self, log: str, producer: str) -> list[int]:
        """low, high, low, high … of a producer's sequences."""
        numbers = sorted(sequence for name, sequence in self.ledger[log] if name == producer)
        lows = [one for one in numbers if one - 1 not in numbers]
        highs = [one for one in numbers if one + 1 not in numbers]
        return [bound for pair in zip(lows, highs, strict=True) for bound in pair]


@dataclass(slots=True)
class Log:
    """A log's entries, and what each does to a model."""

    name: str
    entries: list[Entry] = field(default_factory=list)
    effects: list[Callable[[Model], None]] = field(default_factory=list)
    head: Model = field(default_factory=Model)

    def append(self, kind: Kind, payload: bytes, effect: Callable[[Model], None] = lambda model: None) -> None:
        self.entries.append(make_entry(after=self.id_at(len(self.entries)), epoch=1, kind=kind, payload=payload))
        self.effects.append(effect)
        effect(self.head)

    def change(self, new: Contract) -> None:
        self.append(Kind.CONTRACT, contract_to_json(new).encode(), lambda model: model.put_in_force(new))

    def exchange(
        self, producer: str, sent: Sequence[Sent], *, first: int, contracts: dict[str, Contract], entry_bytes_max: int
    ) -> None:
        """Sequences rise from `first`; `contracts` are those that the sender knows."""
        exchanges = [
            self._exchange(producer, first + number, one, contracts[one[0]]) for number, one in enumerate(sent)
        ]
        described = {one.key: what for one, what in zip(exchanges, sent, strict=True)}
        contract_of = known_contract(contracts, self.name)
        group = build_group(exchanges, contract_of, received_at=NOW, entry_bytes_max=entry_bytes_max)
        assert not group.refused, group.refused
        for entry in group.entries:
            keys = [accepted.exchange.key for accepted in entry.accepted]
            lsn = len(self.entries) + 1

            def effect(model: Model, lsn: int = lsn, keys: list[tuple[str, int]] = keys) -> None:
                for key in keys:
                    model.take(self.name, lsn, key, described[key])

            self.append(Kind.ROWS, entry.payload, effect)

    def bulk(self, producer: str, sequence: int, sent: Sent, known: Contract, made: Descriptor) -> None:
        """An exchange that came as a segment."""
        exchange = Exchange(
            producer=producer,
            sequence=sequence,
            data_set=known.name,
            operation=Operation.APPEND,
            payload=b"",
            bare=False,
            contract_version=known.version,
            quarantine=b"",
            segments=(made,),
            reply=lambda receipt: None,
        )
        contract_of = known_contract({known.name: known}, self.name)
        (entry,) = build_group([exchange], contract_of, received_at=NOW, entry_bytes_max=1 << 20).entries
        lsn = len(self.entries) + 1

        def effect(model: Model) -> None:
            model.take(self.name, lsn, exchange.key, sent)
            model.arrange(Change(data_set=known.name, added=(made,)), sent[2])

        self.append(entry.kind, entry.payload, effect)

    def arrange(self, kind: Kind, change: Change, rows: pa.Table | None = None) -> None:
        """`rows` are those of the segment that is added."""
        listed = rows.to_pylist() if rows is not None else []
        self.append(kind, change_to_json(change), lambda model: model.arrange(change, listed))

    def id_at(self, lsn: int) -> EntryId:
        return self.entries[lsn - 1].id if lsn else ORIGIN

    def last_mark(self, start: int, end: int) -> int:
        """Lsn of the last mark among entries start + 1 … end, or 0."""
        marks = (one.lsn for one in self.entries[start:end] if one.kind is Kind.MARK)
        return max(marks, default=0)

    def _exchange(self, producer: str, sequence: int, sent: Sent, known: Contract) -> Exchange:
        schema = known.key_schema if sent[1] is Operation.DELETE else known.schema
        return Exchange(
            producer=producer,
            sequence=sequence,
            data_set=known.name,
            operation=sent[1],
            payload=batch(schema, sent[2]).serialize().to_pybytes(),
            bare=True,
            contract_version=known.version,
            quarantine=b"",
            reply=lambda receipt: None,
        )


def check(store: Store, model: Model, applied: dict[str, int]) -> None:
    """The store holds what the model holds: rows, contracts, ledger, quarantine, sequences, applied lsns."""
    assert store.applied() == applied
    assert {name: one for name, one in store.contracts().items() if name in DATA_SETS} == model.contracts
    assert store.manifest().ids() == model.manifest.ids()
    for name in model.contracts:
        assert seen(store, name) == model.rows(name)
    quarantined = Counter(one[:6] for one in seen(store, "quarantine").elements())
    assert quarantined == model.quarantined
    for log in LOGS:
        keys = model.ledger[log].keys()
        assert sum(one[0] == log for one in seen(store, "exchanges")) == len(keys)
        assert not keys or store.outcomes(log, keys) == model.ledger[log]
        sequences = store.sequences(log)
        for producer in ("p", "q"):
            assert sequences.bounds(producer) == model.bounds(log, producer)


def replay(path: Path, logs: Collection[Log], *, at_once: int) -> dict[tuple[str, int], list[Digest]]:
    """Digests at each log's marks in a new store that applies `at_once` entries at a time."""
    found = {}
    store = open_store(path)
    for log in logs:
        for start in range(0, len(log.entries), at_once):
            store.apply(log.name, log.entries[start : start + at_once])
            if mark := log.last_mark(start, start + at_once):
                found[log.name, mark] = store.digests_at_mark(log.name, mark)
    store.close()
    return found


class Killed(BaseException):
    """No code may go on after it."""


class Dying:
    """A connection that ends after so many statements."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, steps: int) -> None:
        self._connection = connection
        self._steps = steps

    def execute(self, *arguments: Any) -> duckdb.DuckDBPyConnection:
        self._steps -= 1
        if self._steps < 0:
            raise Killed
        return self._connection.execute(*arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


class Mixtures(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(mkdtemp())
        self.path = self.folder / "store.duckdb"
        self.files = SegmentFiles.open(self.folder / "segments")
        self.store = open_store(self.path, self.files)
        self.segments_made = 0
        self.logs = {name: Log(name) for name in LOGS}
        self.model = Model()
        self.applied = dict.fromkeys(LOGS, 0)
        self.opened_at = dict(self.applied)
        self.next_sequence = 1
        self.held: dict[str, int] = {}
        self.digests: dict[tuple[str, int], list[Digest]] = {}

    # --- The logs grow --------------------------------------------------------------------------------------------

    @initialize()
    def create(self) -> None:
        for name in DATA_SETS:
            self.change(name, False)

    @rule(name=st.sampled_from(sorted(DATA_SETS)), stale=st.booleans())
    def change(self, name: str, stale: bool) -> None:
        """Creates a data set or adds a column; a stale change was proposed at once with the one in force."""
        log = self.logs[DATA_SETS[name][0]]
        held = log.head.contracts.get(name)
        if held is None:
            log.change(contract(name))
        elif stale:
            log.change(contract(name, held.version, "the second"))
        elif held.version < VERSION_MAX:
            log.change(contract(name, held.version + 1))

    @rule(
        log=st.sampled_from(LOGS),
        sent=st.lists(st.tuples(st.booleans(), st.booleans(), PAIRS), min_size=1, max_size=6),
        producer=st.sampled_from("pq"),
        gap=st.integers(0, 2),
        old=st.booleans(),
        entry_bytes_max=st.sampled_from((1, 1 << 20)),
    )
    def exchange(
        self,
        log: str,
        sent: list[tuple[bool, bool, list[tuple[int, int]]]],
        producer: str,
        gap: int,
        old: bool,
        entry_bytes_max: int,
    ) -> None:
        """Rows for the log's event data set, or upserts and deletes in its registry. With `old`, the sender's contracts
        are one version behind."""
        event, registry = (name for name, (home, _) in DATA_SETS.items() if home == log)
        versions = {name: self.logs[log].head.contracts[name].version for name in (event, registry)}
        known = {name: contract(name, max(1, version - old)) for name, version in versions.items()}
        described = []
        for to_registry, delete, pairs in sent:
            name = registry if to_registry else event
            change = Operation.DELETE if delete else Operation.UPSERT
            rows = [{column: row(*pair)[column] for column in known[name].schema.names} for pair in pairs]
            described.append((name, change if to_registry else Operation.APPEND, rows))
        first = self.next_sequence + gap
        self.next_sequence = first + len(described)
        self.logs[log].exchange(producer, described, first=first, contracts=known, entry_bytes_max=entry_bytes_max)

    @rule(log=st.sampled_from(LOGS), kind=st.sampled_from((Kind.MARK, Kind.EPOCH)))
    def bare_entry(self, log: str, kind: Kind) -> None:
        self.logs[log].append(kind, b"")

    @rule(log=st.sampled_from(LOGS), pairs=PAIRS.filter(bool), old=st.booleans())
    def bulk(self, log: str, pairs: list[tuple[int, int]], old: bool) -> None:
        """Rows that come as a segment; with `old`, of the contract before."""
        event = event_of(log)
        known = contract(event, max(1, self.logs[log].head.contracts[event].version - old))
        rows = [{name: row(*pair)[name] for name in known.schema.names} for pair in pairs if pair[1] <= VALUE_MAX]
        if rows:
            made = self._make(known, pa.Table.from_batches([batch(known.schema, rows)]))
            self.logs[log].bulk("p", self.next_sequence, (event, Operation.APPEND, rows), known, made)
            self.next_sequence += 1

    @rule(log=st.sampled_from(LOGS), share=st.floats(0, 1))
    def seal(self, log: str, share: float) -> None:
        """As a leader whose store is this one; where the log has sealed on meanwhile, the change does not fit."""
        event = event_of(log)
        known = self.store.contracts().get(event)
        if known is None:
            return
        lsns, counts = self.store.hot_lsns(known)
        if len(lsns):
            through = int(lsns[int(share * (len(lsns) - 1))])
            rows = self.store.hot_rows(known, through)
            assert rows.num_rows == sum(counts[lsns <= through])
            change = Change(
                data_set=event,
                added=(self._make(known, rows),),
                sealed_after_lsn=self.store.manifest().sealed_lsn(event),
                sealed_lsn=through,
            )
            self.logs[log].arrange(Kind.SEAL, change, rows)

    @rule(log=st.sampled_from(LOGS), data=st.data())
    def compact(self, log: str, data: st.DataObject) -> None:
        """Some segments become one."""
        event = event_of(log)
        held = self.store.manifest().of_data_set(event)
        if len(held) > 1:
            removed = data.draw(st.lists(st.sampled_from(sorted(held)), min_size=2, unique=True))
            known = self.store.contracts()[event]
            parts = [pq.read_table(self.files.path(one)) for one in removed]
            rows = pa.concat_tables([known.schema.empty_table(), *parts], promote_options="default")
            change = Change(data_set=event, added=(self._make(known, rows),), removed=tuple(removed))
            self.logs[log].arrange(Kind.COMPACT, change, rows)

    @rule(log=st.sampled_from(LOGS), data=st.data())
    def retire(self, log: str, data: st.DataObject) -> None:
        """Some segments go with their rows; where one of them was merged meanwhile, none does."""
        event = event_of(log)
        if held := sorted(self.store.manifest().of_data_set(event)):
            removed = data.draw(st.lists(st.sampled_from(held), min_size=1, max_size=2, unique=True))
            self.logs[log].arrange(Kind.RETIRE, Change(data_set=event, removed=tuple(removed)))

    @precondition(lambda self: any(self.applied.values()))
    @rule()
    def snapshot(self) -> None:
        """Installed elsewhere, on empty logs, it is the same store."""
        there = self.folder / "there"
        shutil.rmtree(there, ignore_errors=True)
        taken = take(
            self.store,
            self.files,
            centre="ops",
            id_at=lambda log, lsn: self.logs[log].id_at(lsn),
            told=lambda at: None,
        )
        files = SegmentFiles.open(there / "segments")
        for one in taken.sizes_bytes:
            files.write([self.files.path(one).read_bytes()])
        disks = {log: FileDisk.open(there / log, file_bytes_max=1 << 20) for log in LOGS}
        kept = install(there, snapshot_from_json(snapshot_to_json(taken)), files, disks, StoreLimits(threads=1))
        for log, lsn in self.applied.items():
            assert disks[log].end == self.logs[log].id_at(lsn)
            assert kept[log] == (lsn == 0)
            disks[log].close()
        store = open_store(there / "store.duckdb", files)
        check(store, self.model, self.applied)
        for log in LOGS:
            store.apply(log, self.logs[log].entries[self.applied[log] :])  # It goes on from there.
            assert store.applied()[log] == len(self.logs[log].entries)
        store.close()

    @rule(log=st.sampled_from(LOGS))
    def lose_a_file(self, log: str) -> None:
        """Its data set is closed to queries, and no other one; once the file is back all is as before."""
        event = event_of(log)
        for lost in list(self.store.manifest().of_data_set(event))[:1]:
            data = self.files.path(lost).read_bytes()
            self.files.delete([lost])
            self.store.reopen([event])
            assert self.store.closed() == {event}
            for sql in (
                f"select * from {event}",
                f"select count(*) from {event}",
                f"select 1 from {event} where pump = 7",
            ):
                with pytest.raises(duckdb.Error, match=f"missing of data set {event}"):
                    self.store.cursor().execute(sql).fetchall()
            assert self.files.write([data]) == (lost, len(data))
            self.store.reopen([event])
            assert self.store.closed() == frozenset()
            check(self.store, self.model, self.applied)

    # --- The store follows ----------------------------------------------------------------------------------------

    @rule(
        log=st.sampled_from(LOGS),
        count=st.integers(0, 8),
        again=st.integers(0, 4),
        saves=st.booleans(),
        asks=st.booleans(),
    )
    def apply(self, log: str, count: int, again: int, saves: bool, asks: bool) -> None:
        """`again` entries were applied before; producers are saved or left to the ledger."""
        start = self.applied[log]
        with patch("hub.store.store._PRODUCERS_S", 0.0 if saves else float("inf")):
            self.store.apply(log, self.logs[log].entries[max(0, start - again) : start + count])
        self._advance(log, min(start + count, len(self.logs[log].entries)))
        check(self.store, self.model, self.applied)
        if asks:
            self.ask(log)

    @rule(log=st.sampled_from(LOGS), count=st.integers(0, 3), after=st.booleans(), bad=st.integers(0, 3))
    def fail(self, log: str, count: int, after: bool, bad: int) -> None:
        """Entries around a bad one: what follows the last mark before it is rolled back."""
        start = self.applied[log]
        good = self.logs[log].entries[start : start + count]
        entries = [*good, self._bad_entry(log, self.logs[log].id_at(start + len(good)), bad)]
        if after:
            entries.append(make_entry(after=entries[-1].id, epoch=1, kind=Kind.MARK, payload=b""))
        with pytest.raises(FAILURES):
            self.store.apply(log, entries)
        self._advance(log, self.logs[log].last_mark(start, start + len(good)) or start)
        check(self.store, self.model, self.applied)

    @rule(log=st.sampled_from(LOGS), count=st.integers(1, 8), steps=st.integers(0, 40))
    def crash(self, log: str, count: int, steps: int) -> None:
        """Killed before a statement of DuckDB: the files as they are then hold whole groups of entries."""
        start = self.applied[log]
        connection = self.store._connection
        left = self.folder / "left"
        with patch.object(self.store, "_connection", Dying(connection, steps)), suppress(Killed):
            self.store.apply(log, self.logs[log].entries[start : start + count])
        left.mkdir()
        for path in (self.path, self.path.with_name(self.path.name + ".wal")):
            if path.exists():
                shutil.copy(path, left)
        self.store.close()
        self.path.with_name(self.path.name + ".wal").unlink(missing_ok=True)
        for path in left.iterdir():
            path.replace(self.folder / path.name)
        left.rmdir()
        self.files = SegmentFiles.open(self.folder / "segments")
        self.store = open_store(self.path, self.files)
        lsn = self.store.applied()[log]
        entries = self.logs[log].entries[start : start + count]
        assert lsn in {start, start + len(entries)} | {one.lsn for one in entries if one.kind is Kind.MARK}
        self._advance(log, lsn)
        self._opened()

    @precondition(lambda self: self.opened_at != self.applied)
    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.files = SegmentFiles.open(self.folder / "segments")
        self.store = open_store(self.path, self.files)
        self._opened()

    @rule(log=st.sampled_from(LOGS))
    def ask(self, log: str) -> None:
        """The latest mark since the start is held, whatever was applied after it; no other one is."""
        mark = self.held.get(log, 0)
        if mark:
            digests = self.store.digests_at_mark(log, mark)
            assert self.digests.setdefault((log, mark), digests) == digests
        for other in (mark - 1, mark + 1):
            with pytest.raises(UnavailableError):
                self.store.digests_at_mark(log, other)

    def teardown(self) -> None:
        """Stores that apply the same entries otherwise, one of them in place of the deleted file, agree at every mark;
        the sequences of a store that is opened again are those of its ledger."""
        logs = self.logs.values()
        for log in logs:
            self.bare_entry(log.name, Kind.MARK)
            self.apply(log.name, len(log.entries), 0, False, True)
        self.store.close()
        self.path.unlink()
        whole = max(len(log.entries) for log in logs)
        for path, at_once in ((self.path, whole), (self.folder / "other.duckdb", 1)):
            found = replay(path, logs, at_once=at_once)
            for key in found.keys() & self.digests.keys():
                assert found[key] == self.digests[key], f"{key}, {at_once} at once"
            assert {(log.name, len(log.entries)) for log in logs} <= found.keys() & self.digests.keys()
        self.reopen()
        self.store.close()
        shutil.rmtree(self.folder)

    def _make(self, known: Contract, rows: pa.Table) -> Descriptor:
        self.segments_made += 1
        made = encode(known, rows.select(known.schema.names).cast(known.schema), origin=str(self.segments_made))
        self.files.write([memoryview(made.buffer)])
        return made.descriptor

    def _opened(self) -> None:
        self.opened_at = dict(self.applied)
        self.held.clear()
        check(self.store, self.model, self.applied)

    def _advance(self, log: str, lsn: int) -> None:
        start = self.applied[log]
        for effect in self.logs[log].effects[start:lsn]:
            effect(self.model)
        self.applied[log] = lsn
        if mark := self.logs[log].last_mark(start, lsn):
            self.held[log] = mark

    def _bad_entry(self, log: str, after: EntryId, bad: int) -> Entry:
        """No sections, sections of no data set, no contract, rows of the wrong type after good ones."""
        known = self.logs[log].head.contracts
        one = batch(contract("notes").schema, [row(1, 1)])
        kind, payload = Kind.ROWS, b"no sections"
        if bad == 1:
            payload = encode_sections([section("nothing", one)])
        elif bad == 2:
            kind, payload = Kind.CONTRACT, b'{"name": "x"}'
        elif bad == 3 and (names := [name for name in known if known[name].kind is DataKind.EVENT]):
            wrong = pa.record_batch({"pump": ["no number"]})
            payload = encode_sections([section(names[0], one), section(names[0], wrong)])
        return make_entry(after=after, epoch=1, kind=kind, payload=payload)


Mixtures.TestCase.settings = settings(max_examples=12, stateful_step_count=40, deadline=None)
TestMixtures = pytest.mark.timeout(900)(Mixtures.TestCase)  # A failure is made small for minutes.


# --- Digests and marks ------------------------------------------------------------------------------------------------


def passages(*pairs: tuple[int, int]) -> Sent:
    return "passages", Operation.APPEND, [row(*pair) for pair in pairs]


def started() -> Log:
    """A log with the data set `passages` and two exchanges of ten rows."""
    log = Log("ops")
    log.change(contract("passages"))
    for number in (1, 2):
        sent = [passages(*((one % 6, one * number) for one in range(10)))]
        log.exchange("p", sent, first=number, contracts=log.head.contracts, entry_bytes_max=1)
    return log


def test_different_rows_have_different_digests(tmp_path: Path) -> None:
    """Goal: no fault of a store hides behind a digest. Method: contents that differ in one value, one null, one column,
    one row more, one row twice; and two orders of the same rows, which are equal."""
    contents = [
        [],
        [row(0, 1)],
        [row(1, 1)],
        [row(0, 2)],
        [row(0, 1) | {"level": None}],
        [row(0, 1) | {"note": None}],
        [row(0, 1) | {"note": ""}],
        [row(0, 1) | {"level": 0.0, "price": Decimal(1)}],
        [row(0, 1) | {"level": 1.0, "price": Decimal(0)}],
        [row(0, 1), row(0, 1)],
        [row(0, 1), row(0, 1), row(0, 1)],
        [row(0, 1), row(0, 2)],
        [row(0, 2), row(0, 1)],
    ]
    found = []
    for number, rows in enumerate(contents):
        log = Log("ops")
        log.change(contract("passages"))
        log.append(Kind.ROWS, encode_sections([section("passages", batch(contract("passages").schema, rows))]))
        log.append(Kind.MARK, b"")
        (digests,) = replay(tmp_path / f"{number}.duckdb", [log], at_once=3).values()
        (one,) = (digest for digest in digests if digest.data_set == "passages")
        assert one.rows == len(rows)
        assert len(one.digest) == 32
        assert not rows or one.digest[:16] != one.digest[16:]  # Two hashes, not one twice.
        found.append(one)
    assert found[-1] == found[-2]
    assert len({one.digest for one in found}) == len(contents) - 1


def test_a_mark_stands_while_the_log_goes_on(tmp_path: Path) -> None:
    """Goal: two centres compare one lsn, whatever else they have applied when they are asked.
    Method: rows, a new column, a new data set and the other log's rows follow the mark; one store is asked before, one
    after."""
    log = started()
    log.append(Kind.MARK, b"")
    mark = len(log.entries)
    log.change(contract("passages", 2))
    log.change(contract("pumps"))
    log.exchange("p", [passages((1, 1))], first=9, contracts=log.head.contracts, entry_bytes_max=1)
    other = Log("ecc")
    other.change(contract("notes"))
    early, late = open_store(tmp_path / "early.duckdb"), open_store(tmp_path / "late.duckdb")
    early.apply("ops", log.entries[:mark])
    expected = early.digests_at_mark("ops", mark)
    assert [one.data_set for one in expected] == ["exchanges", "modes", "passages", "quarantine"]
    late.apply("ops", log.entries)
    late.apply("ecc", other.entries)
    assert late.digests_at_mark("ops", mark) == expected
    early.close()
    late.close()


def test_a_mark_is_held_for_a_while(tmp_path: Path) -> None:
    """Goal: a forgotten mark does not keep DuckDB from reclaiming space. Method: its time is set to nothing."""
    log = started()
    log.append(Kind.MARK, b"")
    mark = len(log.entries)
    log.append(Kind.EPOCH, b"")
    store = open_store(tmp_path / "store.duckdb")
    store.apply("ops", log.entries[:mark])
    with patch("hub.store.store._SNAPSHOT_S_MAX", 0.0):
        store.apply("ops", log.entries[mark:])
    with pytest.raises(UnavailableError) as caught:
        store.digests_at_mark("ops", mark)
    assert caught.value.hint == "verify again"
    store.close()


# --- Damage -----------------------------------------------------------------------------------------------------------


def test_full_disk_rolls_back_and_applying_goes_on(tmp_path: Path) -> None:
    """Goal: a commit that fails leaves no trace, in the file or in memory. Method: the operating system refuses a
    larger file; then it does not."""
    log = started()
    store = open_store(tmp_path / "store.duckdb")
    store.apply("ops", log.entries[:2])
    before = store.sequences("ops").bounds("p")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    wal = tmp_path / "store.duckdb.wal"
    resource.setrlimit(resource.RLIMIT_FSIZE, (wal.stat().st_size + 1, limits[1]))
    try:
        with pytest.raises(duckdb.Error, match="commit"):
            store.apply("ops", log.entries)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert store.applied()["ops"] == 2
    assert store.sequences("ops").bounds("p") == before == [1, 1]
    store.apply("ops", log.entries)
    check(store, log.head, {"ops": 3, "ecc": 0})
    store.close()


def test_a_torn_write_ahead_log_ends_at_a_whole_entry(tmp_path: Path) -> None:
    """Goal: a power loss costs whole transactions, never parts of one, and the log's entries bring them back.
    Method: a copy of the running store's files, cut short within, at and beside the end of each transaction, is opened
    and follows the log again."""
    log = started()
    log.append(Kind.MARK, b"")
    running = open_store(tmp_path / "running.duckdb")
    wal = tmp_path / "running.duckdb.wal"
    ends = []
    for entry in log.entries:
        running.apply("ops", [entry])
        ends.append(wal.stat().st_size)
    expected = running.digests_at_mark("ops", len(log.entries))
    copy = tmp_path / "copy.duckdb"
    for length in {end + beside for end in ends for beside in (-40, -1, 0, 1, 40)}:
        shutil.copy(tmp_path / "running.duckdb", copy)
        copy.with_name("copy.duckdb.wal").write_bytes(wal.read_bytes()[:length])
        store = open_store(copy)
        model = Model()
        lsn = sum(end <= length for end in ends)
        for effect in log.effects[:lsn]:
            effect(model)
        check(store, model, {"ops": lsn, "ecc": 0})
        store.apply("ops", log.entries)
        if lsn < len(log.entries):
            assert store.digests_at_mark("ops", len(log.entries)) == expected
        store.close()
    running.close()


@pytest.mark.parametrize("damage", ["half a file", "other bytes", "first bytes"])
def test_a_damaged_file_is_told_with_its_remedy(tmp_path: Path, damage: str) -> None:
    """Goal: whoever runs a centre learns which file and what to do, and doing it helps.
    Method: a damaged file is opened, moved away as the hint says, and the log applied anew."""
    log = started()
    log.append(Kind.MARK, b"")
    path = tmp_path / "store.duckdb"
    (expected,) = replay(path, [log], at_once=9).values()
    data = path.read_bytes()
    path.write_bytes(
        {
            "half a file": data[: len(data) // 2],
            "other bytes": b"cityhub" * 1000,
            "first bytes": bytes(4096) + data[4096:],
        }[damage]
    )
    with pytest.raises(StoreDamagedError) as caught:
        open_store(path)
    assert str(path) in caught.value.message
    assert "move store.duckdb and store.duckdb.wal away" in caught.value.hint
    path.rename(tmp_path / "moved")
    assert list(replay(path, [log], at_once=9).values()) == [expected]


def test_a_damaged_byte_is_never_read_as_data(tmp_path: Path) -> None:
    """Goal: rows that DuckDB gives are the rows that were stored. Method: one bit flipped in each of many places."""
    log = started()
    path = tmp_path / "store.duckdb"
    replay(path, [log], at_once=9)
    data = path.read_bytes()
    damaged = 0
    for place in range(7, len(data), len(data) // 40):
        path.write_bytes(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
        try:
            store = open_store(path)
        except StoreDamagedError:
            damaged += 1
            continue
        try:
            check(store, log.head, {"ops": len(log.entries), "ecc": 0})
        except duckdb.Error:  # Rows are read at the first query.
            damaged += 1
        finally:
            store.close()
    assert damaged > 20


def test_retired_segments_go_once_nobody_reads_them(tmp_path: Path) -> None:
    """Method: two segments, one of them retired while a query that began before goes on; again, which does not fit."""
    files = SegmentFiles.open(tmp_path / "segments")
    store = open_store(tmp_path / "store.duckdb", files)
    log = Log("ops")
    known = contract("passages")
    log.change(known)
    ids = []
    for number, pairs in enumerate(([(0, 1)], [(1, 2), (2, 3)]), start=1):
        rows = [{name: row(*pair)[name] for name in known.schema.names} for pair in pairs]
        made = encode(known, batch(known.schema, rows), origin=str(number))
        files.write([memoryview(made.buffer)])
        ids.append(made.descriptor.id)
        log.bulk("p", number, ("passages", Operation.APPEND, rows), known, made.descriptor)
    store.apply("ops", log.entries)
    assert sum(seen(store, "passages").values()) == 3
    reading = store.readers.enter()
    for _ in range(2):
        log.append(Kind.RETIRE, change_to_json(Change(data_set="passages", removed=(ids[1],))))
    store.apply("ops", log.entries[-2:])
    assert sum(seen(store, "passages").values()) == 1
    assert store.readers.free(lambda log, lsn: True) == []
    store.readers.leave(reading)
    assert store.readers.free(lambda log, lsn: False) == []  # A standby may still ask for it.
    assert store.readers.free(lambda log, lsn: True) == [ids[1]]
    assert store.manifest().ids() == {ids[0]}
    store.close()
