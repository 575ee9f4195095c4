"""Which sensors are healthy, and in how many hours of the last day what they read was beyond alarm or baseline.

readings, one pass → (sensor, hour): counts, exact sums, highest → baseline of the same hour of the days before
"""

from typing import Final

import duckdb
import pyarrow as pa

from hub.catalogue.contract import Contract
from hub.risk.extract import source
from hub.risk.tasks import Task, merged, parts_of_files
from hub.risk.weighing import Sensors

HOUR_MS: Final = 3_600_000
_STEP: Final = 100  # Readings are summed as whole hundredths (see _STATES): sums of floats depend on their order.
_MERGE: Final = (
    "select sensor_id, hour, sum(n)::bigint as n, sum(good)::bigint as good, sum(total)::bigint as total, "
    "max(highest) as highest from parts group by all"
)


def hour_tasks(contract: Contract, files: tuple[tuple[str, int], ...], parts: int, before_ms: int | None) -> list[Task]:
    """Of `readings`: one row a sensor and hour. `before_ms`: only what was observed before that."""
    until = f"where epoch_ms(observed_at) < {before_ms}" if before_ms is not None else ""
    columns = ("sensor_id", "observed_at", "value", "quality")
    return [
        Task(
            sql=f"select sensor_id, epoch_ms(observed_at) // {HOUR_MS} as hour, count(*) as n, "
            "count(*) filter (where quality = 0) as good, "
            f"coalesce(sum(round(value * {_STEP})::bigint) filter (where quality = 0), 0)::bigint as total, "
            "max(value) filter (where quality = 0) as highest "
            f"from {source(contract, paths, columns)} {until} group by all"
        )
        for paths in parts_of_files(files, parts)
    ]


def merge_hours(parts: list[pa.Table]) -> pa.Table:
    return merged(parts, _MERGE)


def newest_hour_end_ms(hours: pa.Table) -> int | None:
    """When the last hour with readings ends; None without readings."""
    newest = pa.compute.max(hours["hour"]).as_py()
    return None if newest is None else (newest + 1) * HOUR_MS


def sensor_states(hours: pa.Table, sensors: pa.Table, at_ms: int, by: Sensors) -> pa.Table:
    """(sensor_id, healthy 0 or 1, anomalies: hours of the day before `at_ms`), one row a sensor.

    A baseline is the mean of the hourly means at the same hour of the days before, and the deviation of these, at least
    one step; each has `days_min` days at least.
    """
    with duckdb.connect() as connection:
        connection.register("hours", hours)
        connection.register("sensors", sensors)
        connection.register("alarms", pa.table({"kind": list(by.alarms), "alarm": list(by.alarms.values())}))
        return connection.sql(
            _STATES, params=[at_ms // HOUR_MS, by.deviations, by.days_min, by.healthy_share]
        ).to_arrow_table()


_STATES: Final = """
with hourly as (
    select sensor_id, hour, n, good, highest, total / nullif(good, 0)::double / 100 as mean,
        hour >= $1 - 24 as today
    from hours
    where hour < $1
),
baseline as (
    select sensor_id, hour % 24 as of_day, avg(mean) as usual, greatest(stddev_pop(mean), 0.01) as spread,
        count(mean) as days
    from (select * from hourly where not today order by sensor_id, hour)
    group by all
),
today as (
    select h.sensor_id,
        count(*) filter (
            where h.highest >= a.alarm or (b.days >= $3 and abs(h.mean - b.usual) > $2 * b.spread)
        ) as anomalies,
        sum(h.n) as n, sum(h.good) as good
    from hourly h
    join sensors s using (sensor_id)
    left join alarms a on a.kind = s.kind
    left join baseline b on b.sensor_id = h.sensor_id and b.of_day = h.hour % 24
    where h.today
    group by all
),
usual as (select sensor_id, max(n) * 24 as most from hourly group by all)
select s.sensor_id, coalesce(t.good >= $4 * u.most, false)::integer as healthy, coalesce(t.anomalies, 0) as anomalies
from sensors s
left join today t using (sensor_id)
left join usual u using (sensor_id)
order by s.sensor_id
"""
