/*
title = { zh = "生效中的气象预警", en = "Weather warnings in force" }
description = "Warnings in force at a moment, the gravest first."
data_sets = ["weather_warnings"]
parameters = [
    { name = "at", type = "timestamp", description = "The moment, UTC." },
]
*/
select warning_id, level, hazard, coalesce(district, '全市') as district, issued_at, ends_at
from weather_warnings
where issued_at <= $at and (ends_at is null or ends_at > $at)
order by list_position(['red', 'orange', 'yellow', 'blue'], level), issued_at
