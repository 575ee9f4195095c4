"""The witness's book, without any I/O.

Goal: one configuration a version and one leader an epoch, for ever, whatever happens to the witness and its files; a
centre is called gone or silent only when it is.
Method: single decisions, and random walks through beats, requests, lost answers, crashes, wipes and rebuilds.
"""

import random
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

import pytest

from replication.core.types import Configuration
from replication.errors import WitnessRefusedError
from replication.observation import Beat, LogReport, WitnessIdentity
from replication.witness import Decision, Facts, WitnessBook
from replication.witness_trust import objection

CENTRES = ("ops", "ecc")
BOTH = frozenset(CENTRES)
FIRST = {log: Configuration(version=1, epoch=1, leader=log, in_sync=BOTH) for log in CENTRES}
OPS_ALONE = Configuration(version=2, epoch=1, leader="ops", in_sync=frozenset({"ops"}))
ECC_LEADS = Configuration(version=2, epoch=2, leader="ecc", in_sync=frozenset({"ecc"}))
OWN = WitnessIdentity(id="own", generation=1)
BEAT_MS = 100


def book(facts: Facts | None = None, now_s: float = 0.0) -> WitnessBook:
    return WitnessBook(
        Facts(identity=OWN, standings=FIRST) if facts is None else facts,
        centres=CENTRES,
        logs=CENTRES,
        heartbeat_ms=BEAT_MS,
        new_id=lambda: "new",
        now_s=now_s,
    )


def beat(centre: str, identity: WitnessIdentity | None = OWN, configurations: dict[str, Configuration] = FIRST) -> Beat:
    reports = [
        LogReport(log=log, configuration=one, end_lsn=0, commit_lsn=0, fit=True) for log, one in configurations.items()
    ]
    return Beat(centre=centre, address=f"{centre}:1", identity=identity, logs=tuple(reports))


def swapped(witness: WitnessBook, log: str, configuration: Configuration) -> bool:
    decision = witness.compare_and_swap(log, configuration, identity=OWN, centre="ops", reason="test")
    if decision is not None:
        witness.adopt(decision)
    return decision is not None


# --- Forming --------------------------------------------------------------------------------------------------------


def test_forms_with_two_that_never_met_a_witness() -> None:
    witness = book(Facts())
    witness.heard(beat("ops", None), 0.0)
    assert witness.form() is None
    witness.heard(beat("ecc", None), 0.1)
    decision = witness.form()
    assert decision is not None
    assert witness.view_for("ops", 0.1).identity is None, "not before it is saved"
    witness.adopt(decision)
    view = witness.view_for("ops", 0.1)
    assert view.identity == WitnessIdentity(id="new", generation=1)
    assert dict(view.standings) == FIRST
    assert witness.form() is None


@pytest.mark.parametrize(
    "other",
    [
        beat("ecc", WitnessIdentity(id="lost", generation=1)),
        beat("ecc", None, {**FIRST, "ops": OPS_ALONE}),
        beat("ecc", None, {**FIRST, "ops": replace(FIRST["ops"], in_sync=frozenset({"ops"}))}),
        beat("ecc", None, {"ecc": FIRST["ecc"]}),
    ],
)
def test_does_not_form(other: Beat) -> None:
    """Method: the second centre knows a witness, or another configuration, or lacks a log."""
    witness = book(Facts())
    witness.heard(beat("ops", None), 0.0)
    witness.heard(other, 0.0)
    assert witness.form() is None


def test_does_not_form_of_later_versions_or_of_the_absent() -> None:
    """Method: both agree on a version that some witness must have given; one of the two has left."""
    later = {**FIRST, "ops": OPS_ALONE}
    witness = book(Facts())
    for centre in CENTRES:
        witness.heard(beat(centre, None, later), 0.0)
    assert witness.form() is None
    for centre in CENTRES:
        witness.heard(beat(centre, None), 0.0)
    witness.disconnected("ecc")
    assert witness.form() is None


# --- Compare-and-swap -----------------------------------------------------------------------------------------------


def test_the_first_of_two_wins() -> None:
    witness = book()
    assert swapped(witness, "ops", OPS_ALONE)
    assert not swapped(witness, "ops", ECC_LEADS)
    assert not swapped(witness, "ops", OPS_ALONE)
    assert witness.facts.standings == {**FIRST, "ops": OPS_ALONE}


@pytest.mark.parametrize("version", [0, 1, 3, 1 << 64])
def test_only_the_next_version_is_granted(version: int) -> None:
    assert not swapped(book(), "ops", replace(OPS_ALONE, version=version))


@pytest.mark.parametrize(
    "wrong",
    [
        {"epoch": 0},
        {"epoch": 3},
        {"leader": "ecc", "in_sync": BOTH},
        {"leader": "ecc"},
        {"in_sync": frozenset()},
        {"in_sync": frozenset({"ops", "mars"})},
        {"leader": "mars", "in_sync": frozenset({"mars"})},
    ],
)
def test_senseless_configurations_are_refused(wrong: dict[str, object]) -> None:
    """Method: the next version, with an epoch that falls or jumps, a leader that no epoch brought, or is not in sync,
    or strangers."""
    with pytest.raises(WitnessRefusedError):
        swapped(book(), "ops", replace(OPS_ALONE, **wrong))  # type: ignore[arg-type]


def test_who_may_not_ask() -> None:
    """Method: an unformed witness; another id; another generation; a stranger; an unknown log."""
    ask = {"identity": OWN, "centre": "ops", "reason": ""}
    for witness, changed in (
        (book(Facts()), {}),
        (book(), {"identity": replace(OWN, id="other")}),
        (book(), {"identity": replace(OWN, generation=2)}),
        (book(), {"centre": "mars"}),
    ):
        with pytest.raises(WitnessRefusedError):
            witness.compare_and_swap("ops", OPS_ALONE, **{**ask, **changed})  # type: ignore[arg-type]
    with pytest.raises(WitnessRefusedError, match="no log"):
        swapped(book(), "mars", OPS_ALONE)


def test_a_report_of_a_later_version_stops_decisions() -> None:
    """Goal: a witness put back to an old copy grants nothing once a centre shows that it forgot.
    Method: reports of its own centre, and of one that knows another witness and proves nothing."""
    forgotten = {**FIRST, "ops": OPS_ALONE}
    witness = book()
    witness.heard(beat("ops", replace(OWN, generation=7), forgotten), 0.0)
    assert swapped(witness, "ecc", replace(FIRST["ecc"], version=2))
    witness.heard(beat("ops", OWN, forgotten), 0.0)
    with pytest.raises(WitnessRefusedError, match="rebuild it"):
        swapped(witness, "ops", ECC_LEADS)
    assert swapped(witness, "ecc", replace(FIRST["ecc"], version=3))


def test_one_decision_at_a_time() -> None:
    witness = book()
    first = witness.compare_and_swap("ops", OPS_ALONE, identity=OWN, centre="ops", reason="")
    second = witness.set_maintenance(on=True)
    assert first is not None
    assert second is not None
    witness.adopt(first)
    with pytest.raises(AssertionError, match="two decisions"):
        witness.adopt(second)


def test_maintenance() -> None:
    witness = book()
    decision = witness.set_maintenance(on=True)
    assert decision is not None
    assert decision.changed == {}
    witness.adopt(decision)
    assert witness.view_for("ecc", 0.0).maintenance
    assert witness.set_maintenance(on=True) is None


# --- Rebuilding -----------------------------------------------------------------------------------------------------


def test_rebuild_of_an_empty_witness() -> None:
    witness = book(Facts())
    decision = witness.rebuild({**FIRST, "ops": OPS_ALONE}, 4)
    witness.adopt(decision)
    assert witness.facts.identity == WitnessIdentity(id="new", generation=5)
    assert witness.facts.standings["ops"] == OPS_ALONE


def test_rebuild_keeps_the_id_and_rises_above_its_own_generation() -> None:
    witness = book(Facts(identity=replace(OWN, generation=9), standings=FIRST))
    witness.adopt(witness.rebuild(FIRST, 4))
    assert witness.facts.identity == replace(OWN, generation=10)


def test_rebuild_never_goes_back() -> None:
    """Method: less than what stands, than what a centre reports, a contradiction, a missing log, a stranger in sync."""
    standing = book(Facts(identity=OWN, standings={**FIRST, "ops": OPS_ALONE}))
    reported = book(Facts())
    reported.heard(beat("ecc", OWN, {**FIRST, "ops": OPS_ALONE}), 0.0)
    for witness in (standing, reported):
        for given in (FIRST["ops"], ECC_LEADS):
            with pytest.raises(WitnessRefusedError, match="not a successor"):
                witness.rebuild({**FIRST, "ops": given}, 1)
        witness.rebuild({**FIRST, "ops": OPS_ALONE}, 1)
    with pytest.raises(WitnessRefusedError, match="each log"):
        standing.rebuild({"ops": OPS_ALONE}, 1)
    with pytest.raises(WitnessRefusedError, match="in_sync"):
        standing.rebuild({**FIRST, "ops": replace(OPS_ALONE, in_sync=BOTH | {"mars"})}, 1)
    with pytest.raises(WitnessRefusedError, match="generation"):
        standing.rebuild({**FIRST, "ops": OPS_ALONE}, (1 << 63) - 1)


# --- How the centres are --------------------------------------------------------------------------------------------


def test_silent_gone_and_back() -> None:
    """Method: no beat yet, beats, an end of the stream, refused connections, a beat again."""
    witness = book()
    peer = witness.view_for("ops", 0.3).peer
    assert peer is not None
    assert (peer.silent_ms, peer.gone) == (300, False), "one that never came is silent from the witness's start"
    witness = book()
    assert witness.heard(beat("ecc"), 0.0), "its first is news"
    assert not witness.heard(beat("ecc"), 0.1)
    peer = witness.view_for("ops", 0.35).peer
    assert peer is not None
    assert (peer.silent_ms, peer.gone) == (250, False)
    assert not witness.gone("ecc"), "its stream is open"
    witness.disconnected("ecc")
    assert not witness.view_for("ops", 0.4).peer.gone  # type: ignore[union-attr]
    assert witness.gone("ecc")
    assert not witness.gone("ecc"), "no news"
    assert witness.view_for("ops", 0.4).peer.gone  # type: ignore[union-attr]
    assert witness.heard(beat("ecc"), 0.5)
    peer = witness.view_for("ops", 0.5).peer
    assert peer is not None
    assert (peer.silent_ms, peer.gone) == (0, False)
    assert not witness.gone("ops"), "it was never heard"


def test_what_the_other_must_know_at_once() -> None:
    """Method: reports that change fitness, configuration, or only how far a log is."""
    witness = book()
    witness.heard(beat("ecc"), 0.0)
    first, *rest = beat("ecc").logs
    assert not witness.heard(replace(beat("ecc"), logs=(replace(first, end_lsn=9), *rest)), 0.1)
    assert witness.heard(replace(beat("ecc"), logs=(replace(first, fit=False), *rest)), 0.2)
    assert witness.heard(beat("ecc", OWN, {**FIRST, "ops": OPS_ALONE}), 0.3)


def test_a_pause_of_the_witness_is_no_silence() -> None:
    """Method: the witness stands still for five seconds, then for less than it notices."""
    witness = book()
    witness.heard(beat("ecc"), 0.0)
    witness.tick(0.1)
    assert witness.view_for("ops", 5.2).peer.silent_ms == pytest.approx(200, abs=1)  # type: ignore[union-attr]
    for tenth in range(53, 64):
        witness.tick(tenth / 10)
    assert witness.view_for("ops", 6.4).peer.silent_ms == pytest.approx(1400, abs=1)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "wrong",
    [
        replace(beat("ecc"), centre="mars"),
        replace(beat("ecc"), logs=beat("ecc").logs * 2),
        beat("ecc", OWN, {"mars": FIRST["ops"]}),
    ],
)
def test_wrong_beats_are_refused(wrong: Beat) -> None:
    witness = book()
    with pytest.raises(WitnessRefusedError):
        witness.heard(wrong, 0.0)
    peer = witness.view_for("ops", 0.2).peer
    assert peer is not None
    assert peer.silent_ms == 200


# --- Whatever happens -----------------------------------------------------------------------------------------------


@dataclass
class Centre:
    """A centre's durable side."""

    name: str
    identity: WitnessIdentity | None = None
    configurations: dict[str, Configuration] = field(default_factory=lambda: dict(FIRST))


class Walk:
    """One random history of a witness, two centres and an operator.

    The witness crashes around its saves and loses its files; answers and views get lost; requests are repeated, late
    and out of date. An operator rebuilds it from what both centres hold, or by mistake from what they held once.
    """

    def __init__(self, seed: int, kind: type[WitnessBook] = WitnessBook) -> None:
        self.rng = random.Random(seed)
        self.kind = kind
        self.centres = {name: Centre(name) for name in CENTRES}
        self.disk = Facts()
        self.ids = 0
        self.adopted: dict[tuple[str, int], Configuration] = {}
        self.leaders: dict[tuple[str, int], str] = {}
        self.sent: list[tuple[str, Configuration, WitnessIdentity, str]] = []
        self.restart()

    def run(self, steps: int) -> None:
        actions = (self.talk, self.ask, self.arrive, self.leave, self.fall, self.rebuild)
        for action in self.rng.choices(actions, weights=(10, 8, 5, 1, 1, 1), k=steps):
            action()

    def talk(self) -> None:
        """A beat, and the view that answers it, if it arrives."""
        known = self.centres[self.rng.choice(CENTRES)]
        self.book.heard(beat(known.name, known.identity, known.configurations), 0.0)
        self.settle(self.book.form())
        view = self.book.view_for(known.name, 0.0)
        if self.rng.random() < 0.2 or objection(view, known=known.identity, own=known.configurations):
            return
        known.identity = view.identity
        for log, standing in view.standings:
            self.adopt(known, log, standing)

    def ask(self) -> None:
        """A leader asks to be alone or for both, a standby to lead; the request arrives at once or later."""
        known = self.centres[self.rng.choice(CENTRES)]
        log = self.rng.choice(CENTRES)
        own = known.configurations[log]
        if known.identity is None or known.name not in own.in_sync:
            return
        leads = own.leader == known.name
        wanted = replace(
            own,
            version=own.version + 1,
            epoch=own.epoch + (not leads or self.rng.random() < 0.1),
            leader=known.name,
            in_sync=BOTH if leads and self.rng.random() < 0.5 else frozenset({known.name}),
        )
        self.sent.append((log, wanted, known.identity, known.name))
        if self.rng.random() < 0.5:
            self.deliver(*self.sent[-1])

    def arrive(self) -> None:
        """A request comes late, or again."""
        if self.sent:
            index = self.rng.randrange(len(self.sent))
            self.deliver(*(self.sent[index] if self.rng.random() < 0.5 else self.sent.pop(index)))

    def deliver(self, log: str, wanted: Configuration, identity: WitnessIdentity, centre: str) -> None:
        try:
            decision = self.book.compare_and_swap(log, wanted, identity=identity, centre=centre, reason="")
        except WitnessRefusedError:
            return
        if self.settle(decision) and self.rng.random() < 0.7:
            self.adopt(self.centres[centre], log, wanted)

    def leave(self) -> None:
        self.book.disconnected(self.rng.choice(CENTRES))

    def fall(self) -> None:
        if self.rng.random() < 0.5:
            self.disk = Facts()
        self.restart()

    def rebuild(self) -> None:
        both = self.centres.values()
        newest = {log: max((one.configurations[log] for one in both), key=lambda one: one.version) for log in CENTRES}
        stale = self.disk.identity is not None and self.rng.random() < 0.5
        generation = max(one.identity.generation if one.identity else 0 for one in both)
        with suppress(WitnessRefusedError):
            self.settle(self.book.rebuild(FIRST if stale else newest, generation))

    def settle(self, decision: Decision | None) -> bool:
        """Whether the decision was made and the witness lives to tell it."""
        if decision is None:
            return False
        crash = self.rng.random()
        if crash > 0.1:
            self.disk = decision.after
        if crash < 0.2:
            self.restart()
            return False
        self.book.adopt(decision)
        return True

    def restart(self) -> None:
        self.book = self.kind(
            self.disk, centres=CENTRES, logs=CENTRES, heartbeat_ms=BEAT_MS, new_id=self.new_id, now_s=0.0
        )

    def adopt(self, centre: Centre, log: str, configuration: Configuration) -> None:
        seen = self.adopted.setdefault((log, configuration.version), configuration)
        assert seen == configuration, f"{log}: two configurations of one version"
        leader = self.leaders.setdefault((log, configuration.epoch), configuration.leader)
        assert leader == configuration.leader, f"{log}: two leaders of one epoch"
        if configuration.version > centre.configurations[log].version:
            centre.configurations[log] = configuration

    def new_id(self) -> str:
        self.ids += 1
        return f"witness {self.ids}"


@pytest.mark.parametrize("first_seed", range(0, 3000, 300))
def test_no_version_and_no_epoch_is_given_twice(first_seed: int) -> None:
    """Goal: no two configurations of one version and no two leaders of one epoch are ever adopted; the walks get far.
    Method: 300 random walks."""
    assert run_walks(range(first_seed, first_seed + 300)) >= 8


def run_walks(seeds: range, kind: type[WitnessBook] = WitnessBook) -> int:
    """The highest version that any of them reached."""
    highest = 0
    for seed in seeds:
        walk = Walk(seed, kind)
        try:
            walk.run(80)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        highest = max(highest, *(version for _, version in walk.adopted), 0)
    return highest


class Generous(WitnessBook):
    """Grants whatever version it is asked for."""

    def compare_and_swap(
        self, log: str, configuration: Configuration, *, identity: WitnessIdentity, centre: str, reason: str
    ) -> Decision | None:
        facts = self.facts
        if facts.identity != identity:
            return None
        after = replace(facts, standings={**facts.standings, log: configuration})
        return Decision(before=facts, after=after, centre=centre, reason=reason)


class Obedient(WitnessBook):
    """Lets itself be rebuilt of older configurations than it knows of."""

    def rebuild(self, standings: Mapping[str, Configuration], generation: int) -> Decision:
        identity = WitnessIdentity(id="rebuilt", generation=generation + 1)
        after = replace(self.facts, identity=identity, standings=standings)
        return Decision(before=self.facts, after=after, centre="", reason="")


@pytest.mark.parametrize("relaxed", [Generous, Obedient])
def test_the_walks_see_relaxed_rules(relaxed: type[WitnessBook]) -> None:
    """Goal: the walks are not blind. Method: the same walks with a witness that breaks a rule."""
    with pytest.raises(AssertionError, match=r"two (configurations|leaders)"):
        run_walks(range(3000), relaxed)
