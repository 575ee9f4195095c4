"""Goal: what is due is due by what is there, and following it leads somewhere.

Method: Hypothesis makes segments of any size and age; a small interpreter carries the plans out.
"""

import dataclasses
from datetime import UTC, datetime, timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hub.catalogue.contract import Contract
from hub.catalogue.load import builtin_contracts
from hub.config import UpkeepLimits
from hub.segments.descriptor import ColumnRange, Descriptor
from hub.segments.payloads import Change, change_from_json, change_to_json
from hub.store.manifest import Manifest
from hub.store.readers import Readers
from hub.upkeep.plan import compaction_debt, past_retention, seal_through, to_compact

READINGS = builtin_contracts()["readings"]
LIMITS = UpkeepLimits(compact_fan_in=4, compact_rows_max=1000, compact_bytes=10_000)
NEWEST = datetime(2026, 1, 31, 12, tzinfo=UTC)


def segment(number: int, rows: int, *, days_old: float = 0.0, size_bytes: int = 100) -> Descriptor:
    at = (NEWEST - timedelta(days=days_old)).strftime("%Y-%m-%dT%H:%M:%S.000")
    observed_at = ColumnRange(name="observed_at", nulls=0, min=at, max=at)
    return Descriptor(
        data_set="readings",
        contract_version=1,
        id=f"{number:032x}",
        rows=rows,
        size_bytes=size_bytes,
        columns=(observed_at,),
        sorted_by=(),
    )


@given(counts=st.lists(st.integers(1, 50), min_size=1), rows_max=st.integers(1, 500))
def test_sealing_takes_what_fits_and_something_always(counts: list[int], rows_max: int) -> None:
    """Method: against sums by hand."""
    lsns = np.arange(10, 10 + 3 * len(counts), 3)
    through = seal_through(lsns, np.array(counts), rows_max)
    taken = [count for lsn, count in zip(lsns, counts, strict=True) if lsn <= through]
    assert through in lsns
    assert sum(taken) <= rows_max or len(taken) == 1
    rest = counts[len(taken) :]
    assert not rest or sum(taken) + rest[0] > rows_max


@given(st.lists(st.tuples(st.integers(1, 1200), st.floats(0, 100), st.integers(1, 20_000)), max_size=60))
def test_compaction_ends_with_few_segments(made: list[tuple[int, float, int]]) -> None:
    """Goal: rows are never lost, no merged segment is too large, each merge is of one tier, and in the end few small
    segments are left. Method: carry out every plan until there is none."""
    segments = [segment(n, rows, days_old=age, size_bytes=size) for n, (rows, age, size) in enumerate(made)]
    held = {one.id: one for one in segments}
    total = sum(one.rows for one in held.values())
    number = len(held)
    steps = 0
    while len(group := to_compact(held.values(), READINGS, LIMITS)) > 1:
        steps += 1
        assert steps < 1000
        rows = sum(one.rows for one in group)
        assert rows <= LIMITS.compact_rows_max
        assert max(one.rows for one in group) < LIMITS.compact_fan_in * min(one.rows for one in group) * 1.001
        assert [one.columns[0].min for one in group] == sorted(str(one.columns[0].min) for one in group)
        for one in group:
            del held[one.id]
        number += 1
        held[f"{number:032x}"] = segment(number, rows, size_bytes=sum(one.size_bytes for one in group))
    assert sum(one.rows for one in held.values()) == total
    tiers = 1 + int(np.log(LIMITS.compact_rows_max) / np.log(LIMITS.compact_fan_in))
    assert compaction_debt(held.values(), LIMITS) <= tiers * (LIMITS.compact_fan_in - 1) + LIMITS.compact_fan_in


def test_retention_drops_what_is_wholly_older() -> None:
    """Method: segments around the edge; without a retention, and without a time."""
    kept = Contract.model_validate(READINGS.model_dump() | {"retention_days": 30})
    held = [segment(n, 10, days_old=days) for n, days in enumerate((0, 29.99, 30.01, 400))]
    assert past_retention(held, kept, NEWEST) == (held[2].id, held[3].id)
    assert past_retention(held, READINGS, NEWEST) == ()
    timeless = [dataclasses.replace(held[3], columns=())]
    assert past_retention(timeless, kept, NEWEST) == ()


def test_a_change_that_does_not_fit_is_told() -> None:
    """Goal: what was decided on an older manifest changes nothing. Method: each way not to fit."""
    one, two, three = (segment(n, 10) for n in range(3))
    manifest = Manifest.of([one, two], {"readings": 7})
    good = Change(data_set="readings", added=(three,), removed=(one.id,), sealed_after_lsn=7, sealed_lsn=9)
    assert change_from_json(change_to_json(good)) == good
    assert manifest.fits(good)
    after = manifest.with_change(good)
    assert set(after.of_data_set("readings")) == {two.id, three.id}
    assert after.sealed_lsn("readings") == 9
    assert set(manifest.of_data_set("readings")) == {one.id, two.id}
    assert not after.fits(good)
    assert not manifest.fits(Change(data_set="readings", removed=(three.id,)))
    assert not manifest.fits(Change(data_set="incidents", removed=(one.id,)))
    assert not manifest.fits(Change(data_set="readings", sealed_after_lsn=6, sealed_lsn=9))
    assert manifest.fits(Change(data_set="incidents", sealed_lsn=3))


@given(st.lists(st.tuples(st.sampled_from(("enter", "leave", "drop", "free")), st.integers(0, 5))))
def test_what_was_dropped_stays_while_somebody_may_read_it(steps: list[tuple[str, int]]) -> None:
    """Method: against the readers that had entered when each name was dropped."""
    readers = Readers()
    active: list[int] = []
    waits_for: dict[str, set[int]] = {}
    for number, (what, which) in enumerate(steps):
        if what == "enter":
            active.append(readers.enter())
        elif what == "leave" and active:
            readers.leave(active.pop(which % len(active)))
        elif what == "drop":
            readers.drop([str(number)], "ops", number)
            waits_for[str(number)] = set(active)
        elif what == "free":
            free = {name for name, waited in waits_for.items() if not waited & set(active)}
            assert readers.dropped() == set(waits_for)
            assert readers.free(lambda log, lsn: False) == []
            assert set(readers.free(lambda log, lsn: True)) == free
            for name in free:
                del waits_for[name]
            assert readers.free(lambda log, lsn: True) == []
