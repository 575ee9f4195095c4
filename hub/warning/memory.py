"""Until when the last pass has looked: an exchange without rows in the ledger, whose sequence is that moment.

The moment is counted in steps of some minutes since 1970, rounded down, so that passes that follow each other number
their exchanges one by one, and the hub keeps them as one interval. What lies after the step is looked at once more,
which changes nothing. It stands in the log of the alerts: any machine goes on with it, and a failover that loses alerts
loses with them that they were sent. Pure.
"""

from datetime import datetime, timedelta
from typing import Final

import pyarrow as pa

from hub.catalogue.contract import Contract
from hub.warning.hub_port import Sending

PRODUCER: Final = "warning-passes"
LAST: Final = "select max(sequence)::bigint as step from exchanges where producer = $producer"
_FIRST: Final = datetime(1970, 1, 1)  # moments are naive UTC


def remembered(step: int | None, step_s: int) -> datetime | None:
    return None if step is None else _FIRST + timedelta(seconds=step * step_s)


def to_remember(contract: Contract, until: datetime, step_s: int) -> Sending:
    empty = pa.RecordBatch.from_pylist([], schema=contract.schema)
    return Sending(producer=PRODUCER, sequence=int((until - _FIRST).total_seconds()) // step_s, rows=empty)
