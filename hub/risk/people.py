"""Residents and legal persons by building, people present by grid cell: each a stage over the files of its data set."""

from typing import Final

import pyarrow as pa

from hub.risk.files import Files
from hub.risk.tasks import Engine, Task, merged

DAY_MS: Final = 86_400_000


class People:
    """Residents and firms by building, people present by cell."""

    def __init__(self, engine: Engine, read: Files, parts: int, at_ms: int) -> None:
        def counted(data_set: str, where: str) -> pa.Table:
            tasks = [
                Task(
                    sql=f"select building_code, count(*) as n from {read.source(data_set, paths)} where {where} group by 1"
                )
                for paths in read.parts(data_set, parts)
            ]
            return merged(engine.run(data_set, tasks), _SUMMED)

        self.residents = counted("residents", "building_code is not null")
        self.firms = counted("legal_persons", "building_code is not null and status <> 'deregistered'")
        day = f"epoch_ms(observed_at) >= {at_ms - DAY_MS} and epoch_ms(observed_at) < {at_ms}"
        tasks = [
            Task(
                sql=f"select grid_id, sum(people)::bigint as people, count(*) as n from {read.source('presence', paths)} where {day} group by 1"
            )
            for paths in read.parts("presence", parts)
        ]
        self.present = merged(engine.run("presence", tasks), _PRESENT)


_SUMMED: Final = "select building_code, sum(n)::bigint as n from parts group by 1"
_PRESENT: Final = "select grid_id, (sum(people) // sum(n))::bigint as people from parts group by 1"
