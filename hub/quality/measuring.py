"""Measures data sets at a real pair, and records their scores."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Final

import pyarrow as pa

from hub.catalogue.contract import Contract
from hub.client import HubClient
from hub.ingest.exchange import Receipt
from hub.quality.measures import ACCEPTED, OPEN, count_rows, measures, sample_facts
from hub.quality.score import Rules, Scored, score

SCORES: Final = "quality_scores"
_CLASS: Final = "analysis"


def measure(client: HubClient, chosen: Sequence[Contract], rules: Rules, *, centre: str | None) -> Iterator[Scored]:
    """Scores of the data sets to which anything was ever sent, as they are measured. All that was acknowledged before
    is in them. Raises HubError."""
    known = set(client.contracts())
    accepted, rejected = (_counts(client, sql, centre) for sql in (ACCEPTED, OPEN))
    for contract in chosen:
        rows, refused = accepted.get(contract.name, 0), rejected.get(contract.name, 0)
        if rows + refused == 0:
            continue
        held = _row(client, count_rows(contract), centre)["rows"]
        sql = sample_facts(contract, known, rows=held, sample_rows=rules.sample.rows)
        found = measures(contract, _row(client, sql, centre), accepted=rows, rejected=refused)
        yield Scored(
            data_set=contract.name,
            agency=contract.agency,
            rows=rows,
            rows_rejected=refused,
            measures=found,
            score=score(found, rules.weights),
        )


def record(client: HubClient, scored: Sequence[Scored], *, measured_at: datetime) -> Receipt:
    """Appends the scores to `quality_scores`; what a data set does not have counts as 1 there. `measured_at` is naive
    UTC, and names the producer: the same measurement again is recorded once. Raises HubError."""
    contract = client.contract(SCORES)
    rows = [
        {"data_set": one.data_set, "agency": one.agency, "measured_at": measured_at, "rows": one.rows}
        | {"rows_rejected": one.rows_rejected, "score": one.score}
        | {name: 1.0 if share is None else share for name, share in asdict(one.measures).items()}
        for one in scored
    ]
    batch = pa.RecordBatch.from_pylist(rows, schema=contract.schema)
    with client.producer(f"quality-{measured_at.isoformat(timespec='milliseconds')}", log=contract.home) as producer:
        return producer.send(SCORES, batch, sequence=1).result()


def _counts(client: HubClient, sql: str, centre: str | None) -> dict[str, int]:
    answer = client.query(sql, centre=centre, strong=True, query_class=_CLASS).table()
    return dict(zip(answer["data_set"].to_pylist(), answer["rows"].to_pylist(), strict=True))


def _row(client: HubClient, sql: str, centre: str | None) -> dict[str, int]:
    answer = client.query(sql, centre=centre, at_least=client.position, query_class=_CLASS)
    (row,) = answer.table().to_pylist()
    return dict(row)
