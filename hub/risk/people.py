"""Residents and legal persons by building, people present by grid cell: each a stage over the files of its data set."""

from typing import Final

import pyarrow as pa

from hub.risk.files import Files
from hub.risk.tasks import Engine, Task, merged

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS


class People:
    """Tables (building_code, n) of `residents` and `firms`, (grid_id, people) of those `present` at a mean hour of the
    newest day before `at_ms`."""

    def __init__(self, engine: Engine, read: Files, parts: int, at_ms: int) -> None:
        def counted(data_set: str, where: str) -> pa.Table:
            tasks = [
                Task(sql=f"select building_code, count(*) as n from {source} where {where} group by 1")
                for source in read.parts(data_set, parts)
            ]
            return merged(engine.run(data_set, tasks), _SUMMED)

        self.residents = counted("residents", "building_code is not null")
        self.firms = counted("legal_persons", "building_code is not null and status <> 'deregistered'")
        moment = "epoch_ms(observed_at)"
        newest = read.ask(f"select max({moment}) from {read.source('presence')} where {moment} < {at_ms}")
        end_ms = (newest[0][0].as_py() or at_ms - 1) // HOUR_MS * HOUR_MS + HOUR_MS
        tasks = [
            Task(
                sql=f"select grid_id, sum(people)::bigint as people, count(*) as n from {source} "
                f"where {moment} >= {end_ms - DAY_MS} and {moment} < {end_ms} group by 1"
            )
            for source in read.parts("presence", parts)
        ]
        self.present = merged(engine.run("presence", tasks), _PRESENT)


_SUMMED: Final = "select building_code, sum(n)::bigint as n from parts group by 1"
_PRESENT: Final = "select grid_id, (sum(people) // sum(n))::bigint as people from parts group by 1"
