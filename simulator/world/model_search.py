"""Ways through the model's states: all of them breadth first within limits, or one at random beyond them.

`explore` returns the shortest way to a violation. Randomness comes from the caller's seed.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from simulator.world.model import steps
from simulator.world.model_state import PROTOCOL, START, Kind, Limits, Rules, State, violation


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """What is wrong, and the steps that lead there."""

    sentence: str
    steps: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join([self.sentence, *(f"{number:3}. {label}" for number, label in enumerate(self.steps, 1))])


@dataclass(frozen=True, slots=True, kw_only=True)
class Exploration:
    """`depth`: levels of steps taken. `complete`: every state within the limits was visited."""

    states: int
    depth: int
    complete: bool
    violation: Violation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    end: State
    violation: Violation | None = None


Parents = dict[State, State | None]


def explore(
    limits: Limits, rules: Rules = PROTOCOL, *, start: State = START, wrong: Callable[[State], str] = violation
) -> Exploration:
    """Breadth first from `start`, until nothing is new, something is wrong, or `states_max` is reached.

    `wrong` may as well look for what must be possible: the shortest way there is returned the same.
    """
    parents: Parents = {start: None}
    level, depth = [start], 0
    while level and len(parents) < limits.states_max:
        level, depth = _next_level(level, parents, limits, rules), depth + 1
        for state in level:
            if sentence := wrong(state):
                found = Violation(sentence=sentence, steps=_way(state, parents, limits, rules))
                return Exploration(states=len(parents), depth=depth, complete=False, violation=found)
    return Exploration(states=len(parents), depth=depth, complete=not level)


def _next_level(level: list[State], parents: Parents, limits: Limits, rules: Rules) -> list[State]:
    found = []
    for state in level:
        for step in steps(state, limits, rules):
            if step.state not in parents:
                parents[step.state] = state
                found.append(step.state)
    return found


def _way(state: State, parents: Parents, limits: Limits, rules: Rules) -> tuple[str, ...]:
    """Finds the labels by taking the steps again: to keep them would double the memory."""
    labels: list[str] = []
    while (parent := parents[state]) is not None:
        label = next(step.label for step in steps(parent, limits, rules) if step.state == state)
        labels.append(label + _told(parent, state))
        state = parent
    return tuple(reversed(labels))


def walk(seed: int, steps_max: int, limits: Limits, rules: Rules = PROTOCOL) -> Walk:
    """One random way, checked after every step. Each walk weighs the kinds of steps anew (swarm testing)."""
    rng = random.Random(seed)
    weights = {kind: 0.01 + rng.random() ** 2 for kind in Kind}
    state = START
    labels: list[str] = []
    for _ in range(steps_max):
        choices = list(steps(state, limits, rules))
        if not choices:
            break
        step = rng.choices(choices, [weights[choice.kind] for choice in choices])[0]
        labels.append(step.label + _told(state, step.state))
        state = step.state
        if sentence := violation(state):
            return Walk(end=state, violation=Violation(sentence=sentence, steps=tuple(labels)))
    return Walk(end=state)


def _told(before: State, after: State) -> str:
    told = sorted(after.acknowledged - before.acknowledged)
    return "".join(f"; acknowledges lsn {lsn} (value {entry.value})" for lsn, entry in told)
