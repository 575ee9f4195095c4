"""Readiness and recovery, from statuses made by hand.

Goal: each thing that can be wrong fails exactly its own check, with its value, its limit and what to do; the estimates
say when nobody takes over, why, and what would be lost.
Method: a pair where all is well, and one change of it a case.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from hub.config import Centre, City
from hub.errors import HubError, UnavailableError
from hub.readiness import checks
from hub.recovery import MARGIN_MS, WITNESS_CALL_MS, Recovery, estimate
from hub.status import CentreStatus, LogStatus, StoreStatus, WitnessStatus

CITY = City(
    data=Path("data"),
    centres={name: Centre(grpc="127.0.0.1:1", flight="127.0.0.1:2", http="127.0.0.1:3") for name in ("ops", "ecc")},
)
Pair = dict[str, CentreStatus | HubError]


def log(centre: str, name: str) -> LogStatus:
    return LogStatus(
        log=name,
        role="leader" if centre == name else "standby",
        leader=name,
        configuration_version=1,
        epoch=1,
        in_sync=["ecc", "ops"],
        pending=[],
        end_lsn=100,
        durable_lsn=100,
        commit_lsn=100,
        applied_lsn=100,
        peer_connected=True,
        lag_entries=0,
        lag_bytes=0,
        lag_s=0.0,
        waiting=0,
        log_bytes=1 << 20,
        blocked="",
        suspected="",
        apply_lag_entries=0,
        pending_ms=0.0,
    )


def centre(name: str) -> CentreStatus:
    return CentreStatus(
        centre=name,
        version="0.1.0",
        uptime_s=10.0,
        logs=[log(name, "ops"), log(name, "ecc")],
        store=StoreStatus(
            store_bytes=1 << 20, disk_free_bytes=1 << 40, data_sets=8, streams=0, queries=0, resident_bytes=1 << 28
        ),
        witness=WitnessStatus(
            address="127.0.0.1:3",
            seen=True,
            identity="a" * 32,
            generation=1,
            maintenance=False,
            last_view_ms_ago=50.0,
            problem="",
            peer_silent_ms=50.0,
            peer_gone=False,
        ),
    )


class Statuses:
    """Both centres; `ops` and `ecc` are they, `at_ops` and `at_ecc` are the log `ops` there."""

    def __init__(self) -> None:
        self.ops, self.ecc = centre("ops"), centre("ecc")
        self.at_ops, self.at_ecc = self.ops.logs[0], self.ecc.logs[0]

    @property
    def pair(self) -> Pair:
        return {"ops": self.ops, "ecc": self.ecc}

    def ops_alone(self, entries: int = 7) -> None:
        """ops leads its log alone, and ecc knows it."""
        for one in (self.at_ops, self.at_ecc):
            one.in_sync, one.configuration_version = ["ops"], 2
        self.at_ops.lag_entries = entries


def failing(pair: Pair) -> dict[str, str]:
    """Remedies of the checks that fail, by name."""
    return {one.name: one.remedy for one in checks(pair, CITY) if not one.ok}


def test_a_pair_where_all_is_well() -> None:
    found = checks(Statuses().pair, CITY)
    assert [one for one in found if not one.ok] == []
    assert all(one.name and one.value and one.limit and one.remedy for one in found)
    assert len({one.name for one in found}) == len(found) == 37


def refuse(witness: WitnessStatus, problem: str) -> None:
    witness.seen, witness.problem = False, problem


CASES: list[tuple[str, str, Callable[[Statuses], object]]] = [
    ("ops sees the witness", "witness rebuild", lambda it: refuse(it.ops.witness, "refused: another witness")),
    ("ecc: witness's newest view", "load and the disk", lambda it: setattr(it.ecc.witness, "last_view_ms_ago", 401.0)),
    ("ecc: witness's newest view", "cityhub witness", lambda it: setattr(it.ecc.witness, "last_view_ms_ago", -1.0)),
    ("same witness", "one witness", lambda it: setattr(it.ecc.witness, "identity", "b" * 32)),
    ("same witness", "witness rebuild", lambda it: setattr(it.ecc.witness, "generation", 2)),
    ("maintenance", "maintenance off", lambda it: setattr(it.ecc.witness, "maintenance", True)),
    ("software version", "one version", lambda it: setattr(it.ecc, "version", "0.2.0")),
    ("log ops: one leader", "moments", lambda it: setattr(it.at_ecc, "leader", "ecc")),
    ("log ops: one leader", "moments", lambda it: setattr(it.at_ecc, "role", "leader")),
    ("log ops: configuration", "moments", lambda it: setattr(it.at_ecc, "configuration_version", 2)),
    ("log ops: configuration", "moments", lambda it: setattr(it.at_ecc, "epoch", 2)),
    ("log ops: in sync", "start ecc", lambda it: setattr(it.at_ops, "in_sync", ["ops"])),
    ("log ops: request pending", "the witness", lambda it: setattr(it.at_ops, "pending_ms", 2001.0)),
    ("log ops: suspicion", "network", lambda it: setattr(it.at_ecc, "suspected", "it has been silent for 2.0 s")),
    ("log ops: connected", "firewall", lambda it: setattr(it.at_ecc, "peer_connected", False)),
    ("log ops: writable", "seeded anew", lambda it: setattr(it.at_ecc, "blocked", "entry 7 differs")),
    ("log ops: lag, entries", "too slow", lambda it: setattr(it.at_ops, "lag_entries", 1001)),
    ("log ops: lag, MiB", "too slow", lambda it: setattr(it.at_ops, "lag_bytes", (64 << 20) + 1)),
    ("log ops: lag, s", "too slow", lambda it: setattr(it.at_ops, "lag_s", 1.1)),
    ("log ops: apply lag, entries", "[store]", lambda it: setattr(it.at_ecc, "apply_lag_entries", 1001)),
    ("ecc: disk free", "free disk space", lambda it: setattr(it.ecc.store, "disk_free_bytes", (512 << 20) - 1)),
    ("ecc: store", "larger disk", lambda it: setattr(it.ecc.store, "store_bytes", (256 << 30) + 1)),
    ("ecc: log files", "larger disk", lambda it: setattr(it.at_ecc, "log_bytes", 256 << 30)),
]


@pytest.mark.parametrize(("name", "remedy", "spoil"), CASES)
def test_each_check_fails_alone_and_says_what_to_do(
    name: str, remedy: str, spoil: Callable[[Statuses], object]
) -> None:
    statuses = Statuses()
    spoil(statuses)
    found = failing(statuses.pair)
    assert list(found) == [name]
    assert remedy in found[name]


def test_every_kind_of_check_has_a_case() -> None:
    """Goal: a new check gets its own trial. Method: compare names, whichever centre or log they are about."""
    kinds = {one.name.replace("ecc", "ops") for one in checks(Statuses().pair, CITY)}
    assert kinds - {name.replace("ecc", "ops") for name, _, _ in CASES} == {"ops answers"}


def test_a_witness_that_is_away_is_unobserved() -> None:
    statuses = Statuses()
    refuse(statuses.ops.witness, "it is not reached: connection refused")
    statuses.ops.witness.last_view_ms_ago = 9_000.0
    found = {one.name: one for one in checks(statuses.pair, CITY) if not one.ok}
    assert list(found) == ["ops sees the witness", "ops: witness's newest view"]
    assert found["ops sees the witness"].value == "UNOBSERVED: it is not reached: connection refused"
    assert "127.0.0.1:3" in found["ops sees the witness"].remedy


def test_a_centre_that_does_not_answer_fails_one_check() -> None:
    """Method: what only both could say is not held against the one that answers."""
    pair = {**Statuses().pair, "ecc": UnavailableError("ecc: connection refused")}
    assert list(failing(pair)) == ["ecc answers"]
    assert "cityhub serve ecc" in failing(pair)["ecc answers"]
    nobody: Pair = {name: UnavailableError("connection refused") for name in ("ops", "ecc")}
    assert list(failing(nobody)) == ["ops answers", "ecc answers"]
    assert estimate(nobody, CITY) == []


# --- Recovery -------------------------------------------------------------------------------------------------------


def of_ops(pair: Pair) -> Recovery:
    return next(one for one in estimate(pair, CITY) if one.log == "ops")


def test_recovery_of_a_pair_in_sync() -> None:
    """Method: the limits of suspicion, the witness's call and the measured margin."""
    found = of_ops(Statuses().pair)
    assert (found.leader, found.reason, found.loss_entries, found.loss) == ("ops", "", 0, "0 records")
    assert found.after_crash_ms == 120 + WITNESS_CALL_MS + MARGIN_MS
    assert found.after_silence_ms == 1200 + WITNESS_CALL_MS + MARGIN_MS


@pytest.mark.parametrize(
    ("reason", "spoil"),
    [
        ("ecc is not in sync", Statuses.ops_alone),
        ("ecc does not see the witness: it is away", lambda it: refuse(it.ecc.witness, "it is away")),
        ("maintenance is on", lambda it: setattr(it.ecc.witness, "maintenance", True)),
        ("its disk was lost", lambda it: setattr(it.at_ecc, "blocked", "its disk was lost")),
        ("ecc does not answer", lambda it: setattr(it, "ecc", UnavailableError("connection refused"))),
    ],
)
def test_nobody_takes_over_for_a_reason(reason: str, spoil: Callable[[Statuses], object]) -> None:
    statuses = Statuses()
    spoil(statuses)
    found = of_ops(statuses.pair)
    assert (found.after_crash_ms, found.after_silence_ms, found.reason) == (None, None, reason)


def test_the_leader_s_sight_of_the_witness_is_not_needed() -> None:
    statuses = Statuses()
    refuse(statuses.ops.witness, "it is away")
    assert of_ops(statuses.pair).reason == ""


def test_loss_of_a_leader_that_is_alone() -> None:
    statuses = Statuses()
    statuses.ops_alone(entries=7)
    assert (of_ops(statuses.pair).loss_entries, of_ops(statuses.pair).loss) == (
        7,
        "all since ops went alone: up to 7 entries",
    )
    without_leader: Pair = {**statuses.pair, "ops": UnavailableError("connection refused")}
    assert of_ops(without_leader).loss_entries is None
    assert "only ops knows" in of_ops(without_leader).loss
    statuses.at_ops.lag_entries = 0
    assert of_ops(statuses.pair).loss == "0 records since ops went alone"


def test_loss_with_a_standby_that_cannot_lead_is_unknown() -> None:
    statuses = Statuses()
    statuses.at_ecc.blocked = "its disk was lost"
    assert (of_ops(statuses.pair).loss_entries, of_ops(statuses.pair).loss) == (None, "unknown: its disk was lost")


def test_the_newest_configuration_counts() -> None:
    """Method: ecc leads since version 2, and ops does not know it yet."""
    statuses = Statuses()
    statuses.at_ecc.leader, statuses.at_ecc.role = "ecc", "leader"
    statuses.at_ecc.configuration_version = 2
    assert of_ops(statuses.pair).leader == "ecc"
