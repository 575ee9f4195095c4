"""Whether the peer is missing, as far as one log at this centre is concerned.

There are two channels, this centre's own and the witness's, and both must miss the peer: at once when its process is
gone (a connection ended and new ones are refused), else after a time of silence. A leader needs the witness only to
answer, not to miss the standby: when just the link between the centres is cut, the leader wins.

1. Nothing is concluded from what was heard before a pause of this process's own: such time does not count as silence.
2. A view of the witness counts while it is fresh.
3. After a change of leader, silence makes no other one until the hold-down is over.

Being wrong costs a change of roles and never an entry: the witness's compare-and-swap decides. This module never reads
a clock; times are seconds of the caller's.
"""

from typing import Final

from replication.limits import ReplicationLimits
from replication.observation import PeerReport

_FRESH_BEATS: Final = 4
_PAUSE_BEATS: Final = 4


class Suspicion:
    """Made when the log's driver starts; `tick` must be called about every heartbeat."""

    def __init__(self, log: str, limits: ReplicationLimits, now_s: float) -> None:
        self._log = log
        self._limits = limits
        self._heard_s = now_s
        self._ticked_s = now_s
        self._gone_s = float("-inf")
        self._view_s = float("-inf")
        self._peer: PeerReport | None = None
        self._maintenance = False
        self._held_until_s = float("-inf")

    # --- What happens -------------------------------------------------------------------------------------------

    def tick(self, now_s: float) -> None:
        late_s = now_s - self._ticked_s - self._beats_s(1)
        if late_s > self._beats_s(_PAUSE_BEATS):
            self._heard_s += late_s
            self._view_s = float("-inf")  # It may have waited in a socket all along.
        self._ticked_s = now_s

    def heard(self, now_s: float) -> None:
        """A message of the peer about this log."""
        self._heard_s = now_s

    def gone(self, now_s: float) -> None:
        """A connection to the peer ended and new ones were refused."""
        self._gone_s = now_s

    def observed(self, peer: PeerReport | None, now_s: float, *, maintenance: bool) -> None:
        """The witness's view of the peer."""
        self._peer = peer
        self._view_s = now_s
        self._maintenance = maintenance

    def witness_lost(self) -> None:
        self._view_s = float("-inf")

    def leader_changed(self, now_s: float) -> None:
        self._held_until_s = now_s + self._limits.hold_down_ms / 1000
        self._heard_s = now_s

    # --- What follows -------------------------------------------------------------------------------------------

    def verdict(self, now_s: float, *, leads: bool) -> str:
        """Why the peer is taken for missing, or an empty string."""
        if self._maintenance or not self.witness_answers(now_s):
            return ""
        here, gone_here = self.here(now_s)
        if not here:
            return ""
        at_witness, gone_at_witness = ("the witness answers", True) if leads else self.at_witness(now_s)
        if not at_witness or (now_s < self._held_until_s and not (gone_here and gone_at_witness)):
            return ""
        return f"{here}; {at_witness}"

    def here(self, now_s: float) -> tuple[str, bool]:
        """(what this centre misses, whether the peer's process is gone)."""
        if self._gone_s > self._heard_s:
            return "connections to it are refused", True
        silent_s = now_s - self._heard_s
        if silent_s * 1000 >= self._limits.suspect_after_ms:
            return f"it has been silent for {silent_s:.1f} s", False
        return "", False

    def at_witness(self, now_s: float) -> tuple[str, bool]:
        """(what the witness misses, whether the peer's process is gone)."""
        if self._peer is None:
            return "", False
        if self._peer.gone:
            return "its process is gone, says the witness", True
        if any(report.log == self._log and not report.fit for report in self._peer.logs):
            return "its log cannot be written, says the witness", True
        silent_ms = self._peer.silent_ms + (now_s - self._view_s) * 1000
        if silent_ms >= self._limits.suspect_after_ms:
            return f"the witness has not heard it for {silent_ms / 1000:.1f} s", False
        return "", False

    def witness_answers(self, now_s: float) -> bool:
        return now_s - self._view_s <= self._beats_s(_FRESH_BEATS)

    def _beats_s(self, beats: int) -> float:
        return beats * self._limits.heartbeat_ms / 1000
