"""What begins, rises and ends at a place, out of stretches: moments, one after the other, that have one grade. Pure.

    stretches, in order → step(spell, stretch) → the spell after it, and what happened

A grade is QUIET (nothing within the time of quiet), RESTLESS (something a moment ago, or not yet for long enough), or
that of a level, 1 to 4. A spell begins with a level's grade, rises with a higher one or by its length, and ends with
QUIET. Every moment follows from the stretches, and a stretch that is cut in two gives what it gives as one: so it does
not matter into how many passes a time is cut.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from hub.warning.rules import LEVELS, Lasting

QUIET: Final = -1
RESTLESS: Final = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """`begins` and `ends` are its first and last moment, naive UTC; `facts` are those of the first one."""

    cause: str
    place: str
    grade: int
    begins: datetime
    ends: datetime
    moments: int
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spell:
    """`grade` is the highest it has reached, `at` when. `closed_by_people` says that its alert was closed while it may
    still go on: it raises no other one of that level."""

    cause: str
    place: str
    begins: datetime
    grade: int
    at: datetime
    closed_by_people: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """The spell reached the level of `spell.grade` at `spell.at`; `before` is the level's grade it had, 0 if none."""

    spell: Spell
    before: int
    stretch: Stretch


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    spell: Spell
    at: datetime


Event = Raised | Ended
Step = tuple[Spell | None, tuple[Event, ...]]


def step(spell: Spell | None, stretch: Stretch, lasting: Sequence[Lasting]) -> Step:
    if stretch.grade == QUIET:
        return None, () if spell is None else (Ended(spell=spell, at=stretch.begins),)
    if stretch.grade == RESTLESS:
        return spell, ()
    if spell is None:
        spell = Spell(cause=stretch.cause, place=stretch.place, begins=stretch.begins, grade=0, at=stretch.begins)
    events: list[Event] = []
    for at, grade in sorted(_reached(spell, stretch, lasting)):
        if grade > spell.grade:
            before, spell = spell.grade, replace(spell, grade=grade, at=at, closed_by_people=False)
            events.append(Raised(spell=spell, before=before, stretch=stretch))
    return spell, tuple(events)


def before_the_pass(spell: Spell | None, stretch: Stretch) -> Spell | None:
    """What a stretch before the time of a pass says of a spell: it was over if it was quiet then, and nobody wrote
    it down as people had closed its alert before."""
    if spell is not None and spell.closed_by_people and stretch.grade == QUIET and stretch.begins > spell.at:
        return None
    return spell


def _reached(spell: Spell, stretch: Stretch, lasting: Sequence[Lasting]) -> list[tuple[datetime, int]]:
    """(when, grade) of all that the stretch reaches. What is reached by length has the moment that follows from the
    spell's beginning, whichever stretch showed it."""
    reached = [(stretch.begins, stretch.grade)]
    for one in lasting:
        at = spell.begins + timedelta(seconds=one.after_s)
        if stretch.ends >= at:
            reached.append((max(at, spell.at), LEVELS.index(one.level) + 1))
    return reached
