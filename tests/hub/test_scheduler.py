"""Goal: a class runs so many queries at a time, in order, with a bounded queue; the mode of operation changes the room.

Method: turns asked and left by hand, without threads but where waiting is the point.
"""

import threading

import pytest

from hub.config import AnalysisLimits, QueryClassLimits, SystemLimits
from hub.errors import BadRequestError, OverloadedError, UnavailableError
from hub.mode import DAILY, ModeName, mode_now
from hub.query.scheduler import QueryClass, Scheduler, Turn
from hub.query.share import running_max

ANALYSIS = QueryClass.ANALYSIS
LIMITS = {
    QueryClass.INTERACTIVE: QueryClassLimits(running_max=4),
    ANALYSIS: AnalysisLimits(running_max=2, queue_max=3),
    QueryClass.SYSTEM: SystemLimits(),
}


def asked(scheduler: Scheduler, count: int, query_class: QueryClass = ANALYSIS) -> list[Turn]:
    return [scheduler.ask(query_class, f"select {number}", "somebody") for number in range(count)]


def running(turns: list[Turn]) -> list[int]:
    return [number for number, turn in enumerate(turns) if turn.granted.done()]


def test_turns_come_in_order() -> None:
    scheduler = Scheduler(LIMITS, centre="ops")
    turns = asked(scheduler, 5)
    assert running(turns) == [0, 1]
    turns[1].leave()
    turns[1].leave()
    assert running(turns) == [0, 1, 2]
    turns[3].leave()  # It waited, and gave up.
    turns[0].leave()
    assert running(turns) == [0, 1, 2, 4]


def test_what_is_beyond_the_queue_is_refused_with_a_delay() -> None:
    scheduler = Scheduler(LIMITS, centre="ops")
    turns = asked(scheduler, 5)
    with pytest.raises(OverloadedError, match="3 analysis queries wait") as refused:
        scheduler.ask(ANALYSIS, "select 6", "somebody")
    assert refused.value.retry_s > 0
    assert asked(scheduler, 1, QueryClass.INTERACTIVE)[0].granted.done()
    turns[0].leave()
    scheduler.ask(ANALYSIS, "select 6", "somebody")


def test_killing_ends_what_waits_and_what_runs() -> None:
    scheduler = Scheduler(LIMITS, centre="ops")
    turns = asked(scheduler, 3)
    stopped: list[str] = []
    turns[0].stop = lambda: stopped.append("0")
    assert [one.id for one in scheduler.queries()] == ["ops-1", "ops-2", "ops-3"]
    assert scheduler.kill("ops-1")
    assert stopped == ["0"]
    assert scheduler.kill("ops-3")
    with pytest.raises(UnavailableError, match="killed"):
        turns[2].granted.result()
    assert not scheduler.kill("ops-9")
    for turn in turns:
        turn.leave()
    assert scheduler.queries() == []


def test_any_number_of_threads() -> None:
    """Method: more threads than places; never more than the limit at once, and all come to their turn."""
    scheduler = Scheduler({**LIMITS, ANALYSIS: AnalysisLimits(running_max=3)}, centre="ops")
    at_once: list[int] = []
    inside: set[int] = set()

    def work(number: int) -> None:
        for _ in range(20):
            turn = scheduler.ask(ANALYSIS, "x", "y")
            turn.granted.result(10)
            inside.add(number)
            at_once.append(len(inside))
            inside.discard(number)
            turn.leave()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(at_once) == 240
    assert max(at_once) <= 3


def test_an_emergency_gives_the_command_centre_more_room() -> None:
    """Method: the rooms of both centres in both modes; what waits is let in when the mode changes."""
    emergency = mode_now(ModeName.EMERGENCY, "typhoon", "duty")
    mode = DAILY
    rooms = {
        (centre, one, which.name): running_max(which, centre, one, 4, 2)
        for centre in ("ops", "ecc")
        for one in QueryClass
        for which in (DAILY, emergency)
    }
    assert {key for key, room in rooms.items() if room == 8} == {("ecc", "interactive", "emergency")}
    assert {key for key, room in rooms.items() if room == 2} == {
        (centre, "analysis", "emergency") for centre in ("ops", "ecc")
    }
    scheduler = Scheduler(
        LIMITS, centre="ecc", running_max=lambda one, configured: running_max(mode, "ecc", one, configured, 2)
    )
    turns = asked(scheduler, 6, QueryClass.INTERACTIVE)
    assert running(turns) == [0, 1, 2, 3]
    mode = emergency
    scheduler.changed()
    assert running(turns) == [0, 1, 2, 3, 4, 5]


def test_classes_have_names() -> None:
    assert QueryClass.of("") is QueryClass.INTERACTIVE
    with pytest.raises(BadRequestError, match="no class"):
        QueryClass.of("fast")
