"""Brings the registries of links up to date, one after the other, over the port of a hub.

1. What has changed since the last run? Nothing: done.
2. Each part of a registry: links that differ are computed at the centre, completed here, and sent; links whose row is
   gone are deleted.
3. Once all of it is in the hub, the run is remembered, with the position that its first query was read at: what came
   in later is looked at again next time.

A run that broke off is repeated by the next one: what it sent is not sent again, as it does not differ any more. This
module reads no clock.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime

import numpy as np
import pyarrow as pa

from hub.catalogue.contract import Contract
from hub.ingest.sections import Operation
from hub.linkage import memory
from hub.linkage.cells import CELLS_SQL, with_cells
from hub.linkage.hub_port import Hub, LinkLimits
from hub.linkage.memory import LastRun, Linked
from hub.linkage.registries import BUILDINGS, LinkRegistry, link_registries


def link(
    hub: Hub,
    contracts: Mapping[str, Contract],
    *,
    now: datetime,
    held_on: date,
    from_scratch: bool = False,
    limits: LinkLimits | None = None,
) -> Iterator[Linked]:
    """What became of each registry, as it is done. `from_scratch` compares everything, whatever is remembered. `now` is
    naive UTC; `held_on` is the day whose employments count. Raises HubError."""
    limits = limits or LinkLimits()
    for links in link_registries(dict(contracts)):
        last = None if from_scratch else _last_run(hub, links)
        done = _brought_up_to_date(hub, links, last, held_on, limits)
        if done.changed:
            row = memory.run_row(contracts[memory.RUNS], done, held_on=held_on, producer=hub.producer, linked_at=now)
            hub.send(memory.RUNS, row, Operation.UPSERT)
            hub.settle()
        yield done


def _last_run(hub: Hub, links: LinkRegistry) -> LastRun | None:
    rows = hub.ask(memory.LAST_RUN, {"data_set": links.name}).rows()
    return memory.last_run(rows[0]) if rows else None


def _brought_up_to_date(
    hub: Hub, links: LinkRegistry, last: LastRun | None, held_on: date, limits: LinkLimits
) -> Linked:
    # Of this answer the position is remembered: no later one of the run is older.
    first = hub.ask(f"select count(*) as n from {links.base}", {})  # noqa: S608  # a name of ours
    (counted,) = first.rows()
    changed: list[str] = []
    if last is not None:
        changed = [str(row["data_set"]) for row in hub.ask(*memory.changes_since(links, last)).rows()]
    reason = memory.reason_to_link(links, last, changed, held_on)
    done = Linked(data_set=links.name, changed=reason, position=first.position)
    if not reason:
        return done
    parts = max(1, -(-int(str(counted["n"])) // limits.part_rows_max))
    upserted = deleted = 0
    for part in range(parts):
        upserted += _send_differing(hub, links, {"parts": parts, "part": part}, held_on, limits)
        deleted += _send_gone(hub, links, {"parts": parts, "part": part}, limits)
    hub.settle()
    (counts,) = hub.ask(links.counts, {}).rows()
    return replace(
        done,
        upserted=upserted,
        deleted=deleted,
        links=int(str(counts["links"])),
        unlinked=int(str(counts["unlinked"])),
    )


def _send_differing(
    hub: Hub, links: LinkRegistry, part: Mapping[str, object], held_on: date, limits: LinkLimits
) -> int:
    parameters = {**part, "held_on": held_on} if links.by_day else part
    batches: Iterable[pa.RecordBatch] = hub.ask(links.differing, parameters).batches
    if links.name == BUILDINGS:
        batches = _placed(hub, batches)
    return _send(hub, links, batches, links.contract.schema, Operation.UPSERT, limits)


def _send_gone(hub: Hub, links: LinkRegistry, part: Mapping[str, object], limits: LinkLimits) -> int:
    batches = hub.ask(links.gone, part).batches
    return _send(hub, links, batches, links.contract.key_schema, Operation.DELETE, limits)


def _send(
    hub: Hub,
    links: LinkRegistry,
    batches: Iterable[pa.RecordBatch],
    schema: pa.Schema,
    operation: Operation,
    limits: LinkLimits,
) -> int:
    count = 0
    for batch in batches:
        rows = batch.cast(schema)
        for begin in range(0, rows.num_rows, limits.exchange_rows):
            hub.send(links.name, rows.slice(begin, limits.exchange_rows), operation)
        count += rows.num_rows
    return count


def _placed(hub: Hub, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Rows of buildings that are new or have moved get their grid cell; the cells are fetched when there is one."""
    cells: pa.Table | None = None
    for batch in batches:
        unplaced = batch["grid_id"].is_null()
        new = batch.filter(unplaced)
        if new.num_rows < batch.num_rows:
            yield batch.filter(pa.array(~np.asarray(unplaced)))
        if new.num_rows:
            if cells is None:
                answer = hub.ask(CELLS_SQL, {})
                cells = pa.Table.from_batches(answer.batches, schema=_CELLS_SCHEMA)
            yield with_cells(new, cells)


_CELLS_SCHEMA = pa.schema([(name, pa.string()) for name in ("grid_id", "district", "street")])
