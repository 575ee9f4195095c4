/*
title = { zh = "传感器读数", en = "Readings of a sensor" }
description = "Readings of one sensor since a moment, the newest first."
data_sets = ["readings", "sensors"]
parameters = [
    { name = "sensor_id", type = "int32", description = "Sensor." },
    { name = "since", type = "timestamp", description = "The earliest moment, UTC.", default = "1970-01-01" },
    { name = "rows", type = "int32", description = "At most so many.", default = 1000 },
]
*/
select r.observed_at, r.value, s.unit, r.quality
from readings r
left join sensors s using (sensor_id)
where r.sensor_id = $sensor_id and r.observed_at >= $since
order by r.observed_at desc
limit $rows
