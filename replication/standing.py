"""What a replica's state means to others: why it cannot be written, what the witness is told of it. Pure."""

from replication.core.state import Leader, Replica, members
from replication.core.types import Configuration
from replication.observation import LogReport


def blocked(state: Replica, *, connected: bool, disk_full: str) -> str:
    """Why nothing can be written through this centre now, or an empty string."""
    if state.halted or disk_full:
        return state.halted or disk_full
    if state.blank:
        return "this centre's disk was lost: it leads nothing until it holds everything again"
    if connected:
        return ""
    if isinstance(state.role, Leader) and state.peer in members(state):
        return f"{state.peer} is in sync and cannot be reached"
    if state.centre not in state.configuration.in_sync:
        return (
            f"{state.peer} leads epoch {state.configuration.epoch} alone and cannot be reached: this centre may lack "
            "entries and must not lead"
        )
    return ""


def report(state: Replica) -> LogReport:
    return LogReport(
        log=state.log,
        configuration=state.configuration,
        end_lsn=state.end.lsn,
        commit_lsn=state.commit_lsn,
        fit=not (state.halted or state.blank),
    )


def reason_to_ask(state: Replica, asked: Configuration, alone: str) -> str:
    """Why a configuration is asked of the witness, for its history; `alone` is why a centre wants to lead alone."""
    if asked.in_sync > state.configuration.in_sync:
        return f"{state.peer} holds everything again"
    if asked.leader != state.centre:
        return f"the disk at {state.centre} was lost" if state.blank else "handed over"
    return alone
