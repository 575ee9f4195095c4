"""What the last run of each registry saw, and whether anything has changed since. Pure.

It is kept in the hub, as data set `linkage_runs` in the same log as the links and their sources: any operator's machine
goes on with it, and if a failover ever loses entries, it loses with them what was remembered of them.

A registry is due when the ledger has an exchange after that position on one of its sources, or on the registry itself
from somebody else than that run: links that were changed by hand, or by two runs at once, are looked at again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

import pyarrow as pa

from hub.catalogue.contract import Contract
from hub.linkage.registries import LinkRegistry
from hub.position import position_of_text, position_to_text

RUNS: Final = "linkage_runs"
LAST_RUN: Final = "select position, held_on, producer from linkage_runs where data_set = $data_set"
FROM_SCRATCH: Final = "everything is compared"


@dataclass(frozen=True, slots=True, kw_only=True)
class LastRun:
    """`position` is below or at what every part of the run was read at."""

    position: Mapping[str, int]
    held_on: date
    producer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked:
    """What became of one registry. `changed` says in words what had changed; empty when nothing had, and then nothing
    was done. `links` and `unlinked` are then unknown (None)."""

    data_set: str
    changed: str
    position: Mapping[str, int]
    upserted: int = 0
    deleted: int = 0
    links: int | None = None
    unlinked: int | None = None


def last_run(row: Mapping[str, object]) -> LastRun:
    """From a row of LAST_RUN."""
    held_on = row["held_on"]
    assert isinstance(held_on, date)
    return LastRun(position=position_of_text(str(row["position"])), held_on=held_on, producer=str(row["producer"]))


def changes_since(links: LinkRegistry, last: LastRun) -> tuple[str, dict[str, object]]:
    """A query for the data sets that have changed since, and its parameters."""
    names = ", ".join(f"'{name}'" for name in (*links.sources, links.name))
    after = " or ".join(f"(log = '{log}' and lsn > ${log})" for log in sorted(last.position))
    sql = (
        "select distinct data_set from exchanges "  # noqa: S608  # names of contracts and logs
        f"where data_set in ({names}) and rows > 0 and ({after or 'true'}) "
        f"and not (data_set = '{links.name}' and producer = $producer) order by data_set"
    )
    return sql, {**last.position, "producer": last.producer}


def reason_to_link(links: LinkRegistry, last: LastRun | None, changed: list[str], held_on: date) -> str:
    """Why a registry is due, in words; empty when it is not."""
    if last is None:
        return FROM_SCRATCH
    reasons = [*changed]
    if links.by_day and last.held_on != held_on:
        reasons.append("the day")
    return ", ".join(reasons)


def run_row(contract: Contract, done: Linked, *, held_on: date, producer: str, linked_at: datetime) -> pa.RecordBatch:
    """What is remembered of a run. `linked_at` is naive UTC."""
    row = {
        "data_set": done.data_set,
        "position": position_to_text(done.position),
        "held_on": held_on,
        "producer": producer,
        "linked_at": linked_at,
        "rows": done.links,
        "unlinked": done.unlinked,
        "upserted": done.upserted,
        "deleted": done.deleted,
    }
    return pa.RecordBatch.from_pylist([row], schema=contract.schema)
