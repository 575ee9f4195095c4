"""The witness's facts on disk.

Goal: what `save` returned for stands, all of a decision or nothing; the file itself holds the compare-and-swap; damage
is found instead of believed.
Method: files that are reopened, damaged byte by byte, filled up, or left by a process that is killed.
"""

import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from replication.core.types import Configuration
from replication.errors import WitnessDamagedError, WitnessRefusedError
from replication.observation import Change, WitnessIdentity
from replication.witness import Decision, Facts
from replication.witness_store import SqliteWitnessStore

BOTH = frozenset({"ops", "ecc"})
FIRST = {log: Configuration(version=1, epoch=1, leader=log, in_sync=BOTH) for log in ("ops", "ecc")}
FORMED = Facts(identity=WitnessIdentity(id="own", generation=1), standings=FIRST)
FORMING = Decision(before=Facts(), after=FORMED, centre="", reason="formed")

SWAPS_UNTIL_KILLED = """
import sys
from dataclasses import replace
from pathlib import Path
from replication.witness import Decision
from replication.witness_store import SqliteWitnessStore

store = SqliteWitnessStore.open(Path(sys.argv[1]), changes_max=50)
facts = store.load()
while True:
    standing = facts.standings["ops"]
    wanted = replace(standing, version=standing.version + 1)
    after = replace(facts, standings={**facts.standings, "ops": wanted})
    store.save(Decision(before=facts, after=after, centre="ops", reason="loop"), at_unix_ms=wanted.version)
    facts = after
    print(wanted.version, flush=True)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "witness" / "witness.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteWitnessStore]:
    with closing(opened(path)) as store:
        store.save(FORMING, at_unix_ms=1)
        yield store


def opened(path: Path, changes_max: int = 100) -> SqliteWitnessStore:
    return SqliteWitnessStore.open(path, changes_max=changes_max)


def alone(facts: Facts, log: str = "ops") -> Decision:
    """The next version of a log's configuration."""
    standing = facts.standings[log]
    wanted = replace(standing, version=standing.version + 1, in_sync=frozenset({standing.leader}))
    return Decision(
        before=facts, after=replace(facts, standings={**facts.standings, log: wanted}), centre=log, reason="alone"
    )


# --- Saving ---------------------------------------------------------------------------------------------------------


def test_facts_and_history_outlive_the_process(path: Path) -> None:
    """Method: nothing, forming, a change, maintenance, a rebuild; after each the file is opened anew."""
    with closing(opened(path)) as store:
        assert store.load() == Facts()
    swap = alone(FORMED)
    upkeep = Decision(before=swap.after, after=replace(swap.after, maintenance=True), centre="", reason="maintenance")
    identity = WitnessIdentity(id="own", generation=7)
    jump = replace(FIRST["ecc"], version=9, epoch=4, leader="ops")
    standings = {**upkeep.after.standings, "ecc": jump}
    rebuild = Decision(
        before=upkeep.after,
        after=replace(upkeep.after, identity=identity, standings=standings),
        centre="",
        reason="rebuilt",
    )
    for number, decision in enumerate((FORMING, swap, upkeep, rebuild)):
        with closing(opened(path)) as store:
            assert store.load() == decision.before
            store.save(decision, at_unix_ms=1000 + number)
            assert store.load() == decision.after
    with closing(opened(path)) as store:
        assert store.load() == rebuild.after
        *formed, second, third = store.history()
    assert {change.log: change.configuration for change in formed} == FIRST
    assert second == Change(
        log="ops", configuration=swap.after.standings["ops"], centre="ops", reason="alone", at_unix_ms=1001
    )
    assert (third.configuration, third.reason, third.at_unix_ms) == (jump, "rebuilt", 1003)


def test_the_file_holds_the_compare_and_swap(store: SqliteWitnessStore) -> None:
    """Goal: a decision about a version that does not stand is not saved, nor any part of it.
    Method: the same decision twice, together with a change of the other log and of maintenance."""
    swap = alone(FORMED)
    store.save(swap, at_unix_ms=2)
    late = alone(FORMED, "ecc").after
    both = replace(FORMED, maintenance=True, standings={**late.standings, "ops": swap.after.standings["ops"]})
    with pytest.raises(WitnessDamagedError, match="version 1 of log ops does not stand"):
        store.save(Decision(before=FORMED, after=both, centre="ecc", reason="late"), at_unix_ms=3)
    assert store.load() == swap.after
    assert len(store.history()) == 3


def test_history_is_limited(path: Path) -> None:
    """Goal: the oldest changes go, the newest of each log stays. Method: one log changes often, the other never."""
    facts = FORMED
    with closing(opened(path, changes_max=10)) as store:
        store.save(FORMING, at_unix_ms=0)
        for _ in range(30):
            decision = alone(facts)
            store.save(decision, at_unix_ms=0)
            facts = decision.after
    with closing(opened(path, changes_max=10)) as store:
        assert store.load() == facts
        changes = store.history()
    assert [change.configuration.version for change in changes if change.log == "ops"] == list(range(22, 32))
    assert [change.configuration for change in changes if change.log == "ecc"] == [FIRST["ecc"]]


def test_full_disk_leaves_all_as_it_was(store: SqliteWitnessStore) -> None:
    """Method: SQLite is told that its file may not grow, until a long reason needs a page; then it may again."""
    connection = store._connection
    (pages,) = connection.execute("pragma page_count").fetchone()
    connection.execute(f"pragma max_page_count = {pages}")
    large = replace(alone(FORMED), reason="x" * 10_000)
    with pytest.raises(WitnessRefusedError, match="no space left"):
        store.save(large, at_unix_ms=2)
    assert store.load() == FORMED
    connection.execute("pragma max_page_count = 1000000")
    store.save(large, at_unix_ms=2)
    assert store.load() == large.after


def test_what_was_answered_stands_after_kill_9(path: Path) -> None:
    """Method: a process saves change after change and tells each; it is killed at many moments, four times over."""
    with closing(opened(path)) as store:
        store.save(FORMING, at_unix_ms=0)
    rng = random.Random(4)
    before = 1
    for _ in range(4):
        with subprocess.Popen(
            [sys.executable, "-c", SWAPS_UNTIL_KILLED, str(path)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(rng.randrange(20, 300))]
            process.kill()
            lines += process.stdout.readlines()
        told = max(int(line) for line in lines if line.endswith("\n"))
        with closing(opened(path)) as store:
            standing = store.load().standings["ops"]
            newest = store.history()[-1]
        assert before + 20 <= told <= standing.version <= told + 1
        assert newest.configuration == standing
        before = standing.version


# --- Opening --------------------------------------------------------------------------------------------------------


def test_one_process_at_a_time(store: SqliteWitnessStore, path: Path) -> None:
    with pytest.raises(WitnessRefusedError, match="another process"):
        opened(path)
    assert store.load() == FORMED


def test_safe_settings_are_in_force(store: SqliteWitnessStore) -> None:
    """Goal: each commit is fsynced. Method: ask SQLite."""
    connection = store._connection
    assert connection.execute("pragma synchronous").fetchone() == (2,)
    assert connection.execute("pragma journal_mode").fetchone() == ("wal",)


def _by_sql(*statements: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection:
            for statement in statements:
                connection.execute(statement)
            connection.commit()

    return change


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b"not SQLite" * 1000),
        lambda path: path.write_bytes(path.read_bytes()[:5000]),
        lambda path: path.write_bytes(path.read_bytes()[:4096] + bytes(path.stat().st_size - 4096)),
        _by_sql("pragma application_id = 7"),
        _by_sql("pragma user_version = 2"),
        _by_sql("update standings set version = 5 where log = 'ops'"),
        _by_sql("""update standings set in_sync = '["ops"]'"""),
        _by_sql("update standings set in_sync = 'ops'", "update changes set in_sync = 'ops'"),
        _by_sql("delete from standings where log = 'ecc'"),
        _by_sql("delete from changes"),
        _by_sql("delete from identity"),
        _by_sql("delete from maintenance"),
        _by_sql("drop table changes"),
    ],
)
def test_damage_is_found(path: Path, damage: Callable[[Path], None]) -> None:
    """Method: another file, cut and zeroed ones, another format, rows that contradict each other or are missing."""
    with closing(opened(path)) as store:
        store.save(FORMING, at_unix_ms=1)
    damage(path)
    with pytest.raises(WitnessDamagedError) as caught:
        opened(path)
    assert caught.value.file == path


def test_no_flipped_bit_changes_a_configuration(path: Path) -> None:
    """Method: single bits all over the file; it is found damaged, or the configurations are read as they were."""
    with closing(opened(path)) as store:
        store.save(FORMING, at_unix_ms=1)
        store.save(alone(FORMED), at_unix_ms=2)
    sound = path.read_bytes()
    used = [offset for offset in range(len(sound)) if sound[offset]]
    rng = random.Random(9)
    found: list[int] = []
    for offset in rng.sample(used, 500) + rng.sample(range(len(sound)), 100):
        bits = bytearray(sound)
        bits[offset] ^= 1 << rng.randrange(8)
        path.write_bytes(bits)
        for suffix in ("-wal", "-shm", "-journal"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        try:
            with closing(opened(path)) as store:
                assert store.load().standings == alone(FORMED).after.standings, f"byte {offset}"
        except WitnessDamagedError:
            found.append(offset)
    assert len(found) > 300, "most of the bytes in use are watched"
