"""The witness's book: which configuration of each log stands, and how the centres are. Decides, and nothing else.

Facts that must not be forgotten change in steps, and their order is the caller's duty:
1. A method returns a `Decision`; the book is as it was.
2. The caller saves it (`replication.witness_store`).
3. The caller hands it to `adopt`, and only then tells anybody.
No other decision may be asked for between 1 and 3. What was heard of the centres is volatile: `heard`, `disconnected`,
`gone` and `tick` change it at once.

An empty witness forms only when both centres say that they never met one and hold the same configurations of
version 1. So a witness that lost its files stays silent until it is rebuilt, and no version or epoch is given twice.

This module never reads a clock, never waits and draws no randomness.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from replication.core.types import Configuration
from replication.errors import WitnessRefusedError
from replication.observation import Beat, PeerReport, View, WitnessIdentity
from replication.witness_trust import name_of

FIRST_VERSION: Final = 1
NUMBER_MAX: Final = (1 << 63) - 1  # What a column of the store holds.
_PAUSE_BEATS: Final = 4
_SILENT_MS_MAX: Final = (1 << 32) - 1  # What a view holds.


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the witness must not forget. Before it is formed, `identity` is None and `standings` is empty."""

    identity: WitnessIdentity | None = None
    standings: Mapping[str, Configuration] = field(default_factory=dict)
    maintenance: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A change of facts, to be saved before anybody is told. `centre` asked for it; empty when no centre did."""

    before: Facts
    after: Facts
    centre: str
    reason: str

    @property
    def changed(self) -> dict[str, Configuration]:
        """The logs whose configuration changes."""
        old = self.before.standings
        return {log: new for log, new in self.after.standings.items() if new != old.get(log)}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Heard:
    """A centre's newest beat, and what became of its stream since."""

    beat: Beat
    at_s: float
    connected: bool
    gone: bool


class WitnessBook:
    """`new_id` makes the identity of a witness that forms. `now_s` of each call is the caller's monotonic time."""

    def __init__(
        self,
        facts: Facts,
        *,
        centres: tuple[str, str],
        logs: tuple[str, ...],
        heartbeat_ms: int,
        new_id: Callable[[], str],
        now_s: float,
    ) -> None:
        first, second = centres
        self._peers = {first: second, second: first}
        self._logs = frozenset(logs)
        self._facts = facts
        self._heard: dict[str, _Heard] = {}
        self._beat_s = heartbeat_ms / 1000
        self._new_id = new_id
        self._now_s = self._started_s = now_s

    @property
    def facts(self) -> Facts:
        return self._facts

    @property
    def overview(self) -> View:
        """A view that is no centre's: without a peer."""
        return View(
            identity=self._facts.identity,
            maintenance=self._facts.maintenance,
            standings=tuple(sorted(self._facts.standings.items())),
            peer=None,
        )

    # --- How the centres are ------------------------------------------------------------------------------------

    def tick(self, now_s: float) -> None:
        """To be called every heartbeat: a pause of the witness itself does not count as silence of the centres."""
        late_s = now_s - self._now_s - self._beat_s
        if late_s > _PAUSE_BEATS * self._beat_s:
            self._heard = {name: replace(heard, at_s=heard.at_s + late_s) for name, heard in self._heard.items()}
            self._started_s += late_s
        self._now_s = now_s

    def heard(self, beat: Beat, now_s: float) -> bool:
        """Takes a beat in; whether the other centre must know at once. Raises WitnessRefusedError."""
        self._check_beat(beat)
        self.tick(now_s)
        before = self._heard.get(beat.centre)
        self._heard[beat.centre] = _Heard(beat=beat, at_s=now_s, connected=True, gone=False)
        return before is None or not before.connected or _essence(before.beat) != _essence(beat)

    def disconnected(self, centre: str) -> None:
        """The centre's stream ended."""
        if centre in self._heard:
            self._heard[centre] = replace(self._heard[centre], connected=False)

    def gone(self, centre: str) -> bool:
        """New connections to the centre are refused; whether that is news. A centre that came back stays back."""
        heard = self._heard.get(centre)
        if heard is None or heard.connected or heard.gone:
            return False
        self._heard[centre] = replace(heard, gone=True)
        return True

    def peer_of(self, centre: str) -> str:
        """Raises WitnessRefusedError for a name that is no centre's."""
        if centre not in self._peers:
            raise WitnessRefusedError(f"there is no centre {centre!r}")
        return self._peers[centre]

    def view_for(self, centre: str, now_s: float) -> View:
        """What a centre is told now. Raises WitnessRefusedError for a name that is no centre's."""
        peer = self.peer_of(centre)
        self.tick(now_s)
        return replace(self.overview, peer=self._report_of(peer, now_s))

    def _report_of(self, centre: str, now_s: float) -> PeerReport | None:
        """A formed witness knows that there are two centres: one that never came has been silent from the start."""
        heard = self._heard.get(centre)
        if heard is None and self._facts.identity is None:
            return None
        silent_ms = round((now_s - (heard.at_s if heard else self._started_s)) * 1000)
        return PeerReport(
            silent_ms=min(max(silent_ms, 0), _SILENT_MS_MAX),
            gone=heard.gone if heard else False,
            logs=heard.beat.logs if heard else (),
        )

    # --- Decisions ----------------------------------------------------------------------------------------------

    def form(self) -> Decision | None:
        """The beginning of this witness, once both centres are there and agree; None while they are not or do not."""
        if self._facts.identity is not None or self._heard.keys() != self._peers.keys():
            return None
        reports = []
        for heard in self._heard.values():
            if not heard.connected or heard.beat.identity is not None:
                return None
            reports.append({report.log: report.configuration for report in heard.beat.logs})
        standings = reports[0]
        if reports[1] != standings or standings.keys() != self._logs:
            return None
        if any(one.version != FIRST_VERSION or self._complaint(one) for one in standings.values()):
            return None
        identity = WitnessIdentity(id=self._new_id(), generation=1)
        after = replace(self._facts, identity=identity, standings=standings)
        return Decision(before=self._facts, after=after, centre="", reason="formed")

    def compare_and_swap(
        self, log: str, configuration: Configuration, *, identity: WitnessIdentity, centre: str, reason: str
    ) -> Decision | None:
        """None when another version stands than the one before `configuration`.

        Raises WitnessRefusedError for a request that no centre makes which knows this witness and its own log.
        """
        self.peer_of(centre)
        if self._facts.identity is None:
            raise WitnessRefusedError("it has not met both centres")
        if self._facts.identity != identity:
            raise WitnessRefusedError(f"it is {name_of(self._facts.identity)}, and {centre} asks {name_of(identity)}")
        standing = self._facts.standings.get(log)
        if standing is None:
            raise WitnessRefusedError(f"there is no log {log!r}")
        self._check_not_rolled_back(log, standing)
        if configuration.version != standing.version + 1:
            return None
        complaint = self._complaint(configuration) or _step_complaint(standing, configuration)
        if complaint:
            raise WitnessRefusedError(f"version {configuration.version} of log {log}: {complaint}")
        after = replace(self._facts, standings={**self._facts.standings, log: configuration})
        return Decision(before=self._facts, after=after, centre=centre, reason=reason)

    def set_maintenance(self, *, on: bool) -> Decision | None:
        """None when it is so already."""
        if on == self._facts.maintenance:
            return None
        return Decision(before=self._facts, after=replace(self._facts, maintenance=on), centre="", reason="maintenance")

    def rebuild(self, standings: Mapping[str, Configuration], generation: int) -> Decision:
        """Takes the configurations that the centres hold and gives the witness a new generation.

        `generation` is the highest that any centre knows. Raises WitnessRefusedError when a configuration is older
        than, or contradicts, one that stands here or that a centre reported.
        """
        if standings.keys() != self._logs:
            raise WitnessRefusedError(f"exactly one configuration is needed of each log: {', '.join(self._names)}")
        own = self._facts.identity
        generation = max(generation, own.generation if own else 0) + 1
        if generation > NUMBER_MAX:
            raise WitnessRefusedError("there is no such generation")
        for log, given in standings.items():
            if complaint := self._complaint(given):
                raise WitnessRefusedError(f"version {given.version} of log {log}: {complaint}")
            for holder, held in self._known(log):
                if given.version < held.version or (given.version == held.version and given != held):
                    raise WitnessRefusedError(
                        f"version {given.version} of log {log} is not a successor of version {held.version}, {holder}"
                    )
        identity = WitnessIdentity(id=own.id if own else self._new_id(), generation=generation)
        after = replace(self._facts, identity=identity, standings=dict(standings))
        return Decision(before=self._facts, after=after, centre="", reason=f"rebuilt as generation {generation}")

    def adopt(self, decision: Decision) -> None:
        """Makes a saved decision the book's own."""
        assert decision.before is self._facts, "two decisions at a time"
        self._facts = decision.after

    # --- Checks -------------------------------------------------------------------------------------------------

    @property
    def _names(self) -> list[str]:
        return sorted(self._logs)

    def _known(self, log: str) -> list[tuple[str, Configuration]]:
        """(where it is held, configuration), as far as the witness knows."""
        standing = self._facts.standings.get(log)
        reported = [
            (f"which {centre} holds", report.configuration)
            for centre, heard in self._heard.items()
            for report in heard.beat.logs
            if report.log == log
        ]
        return [("which stands here", standing), *reported] if standing else reported

    def _complaint(self, configuration: Configuration) -> str:
        """Why this can be no configuration in this city; empty when it can."""
        if not configuration.in_sync <= self._peers.keys():
            return f"in_sync names others than {' and '.join(self._peers)}"
        if configuration.leader not in configuration.in_sync:
            return f"its leader {configuration.leader!r} is not in in_sync"
        if not (1 <= configuration.version <= NUMBER_MAX and 1 <= configuration.epoch <= NUMBER_MAX):
            return "version or epoch is out of range"
        return ""

    def _check_not_rolled_back(self, log: str, standing: Configuration) -> None:
        """What a centre has of this witness and this one does not know was forgotten: its files are an old copy."""
        for centre, heard in self._heard.items():
            for report in heard.beat.logs:
                later = report.log == log and report.configuration.version > standing.version
                if later and heard.beat.identity == self._facts.identity:
                    raise WitnessRefusedError(
                        f"version {standing.version} of log {log} stands here, and {centre} holds version "
                        f"{report.configuration.version}: rebuild it"
                    )

    def _check_beat(self, beat: Beat) -> None:
        self.peer_of(beat.centre)
        logs = [report.log for report in beat.logs]
        if len(logs) != len(set(logs)) or not self._logs >= set(logs):
            raise WitnessRefusedError(f"{beat.centre} reports other logs than {', '.join(self._names)}")


def _step_complaint(standing: Configuration, wanted: Configuration) -> str:
    if wanted.epoch - standing.epoch not in (0, 1):
        return f"epoch {wanted.epoch} does not follow epoch {standing.epoch}"
    if wanted.epoch == standing.epoch and wanted.leader != standing.leader:
        return f"epoch {wanted.epoch} is led by {standing.leader}"
    return ""


def _essence(beat: Beat) -> tuple[tuple[str, Configuration, bool], ...]:
    """What of a beat the other centre cannot wait for."""
    return tuple((report.log, report.configuration, report.fit) for report in beat.logs)
