"""What must hold of every state, whatever happened. Cheap enough to be checked after every step."""

from itertools import pairwise

from replication.core.state import Leader, Replica


def violations(state: Replica) -> list[str]:
    """Sentences about what is wrong with one replica; empty when nothing is."""
    rules = {
        "something is committed that is not durable": state.commit_lsn <= state.durable_lsn,
        "something is durable that is not in the log": state.durable_lsn <= state.end.lsn,
        "the epochs of the log do not rise": _rising([start.epoch for start in state.epochs]),
        "the epochs of the log do not start in order": _rising([start.first_lsn for start in state.epochs]),
        "the log is of an epoch later than its configuration": state.end.epoch <= state.configuration.epoch,
        "the role contradicts the configuration": isinstance(state.role, Leader)
        == (state.configuration.leader == state.centre),
    }
    if isinstance(state.role, Leader):
        rules["shipped what is not durable"] = state.role.sent_lsn <= state.durable_lsn or not state.role.streaming
    return [sentence for sentence, holds in rules.items() if not holds]


def _rising(numbers: list[int]) -> bool:
    return all(left < right for left, right in pairwise(numbers))
