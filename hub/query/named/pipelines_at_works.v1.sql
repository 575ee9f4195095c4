/*
title = { zh = "施工影响管线", en = "Pipelines at construction works" }
description = "Pipelines that pass through the ground of works under way, and how near: who has to protect them."
data_sets = ["pipelines", "construction_works"]
parameters = [
    { name = "today", type = "date", description = "Day on which the works are under way." },
    { name = "margin_m", type = "float64", description = "Beyond the works' own radius, metres.", default = 50 },
]
*/
select works_id, works, pipeline_id, medium, owner, depth, pressure, round(distance_m, 1) as distance_m
from (
    select works_id, works, pipeline_id, medium, owner, depth, pressure, radius,
        sqrt(power(x1 + share * (x2 - x1), 2) + power(y1 + share * (y2 - y1), 2)) as distance_m
    from (
        select *, greatest(0, least(1, -(x1 * (x2 - x1) + y1 * (y2 - y1))
            / nullif(power(x2 - x1, 2) + power(y2 - y1, 2), 0))) as share
        from (
            select w.works_id, w.name as works, w.radius, p.pipeline_id, p.medium, p.owner, p.depth, p.pressure,
                (p.from_lon - w.lon) * 111195 * cos(radians(w.lat)) as x1, (p.from_lat - w.lat) * 111195 as y1,
                (p.to_lon - w.lon) * 111195 * cos(radians(w.lat)) as x2, (p.to_lat - w.lat) * 111195 as y2
            from construction_works w
            join pipelines p on p.from_lon between w.lon - 0.03 and w.lon + 0.03
                and p.from_lat between w.lat - 0.03 and w.lat + 0.03
            where w.begins_on <= $today and (w.ends_on is null or w.ends_on >= $today)
        )
    )
)
where distance_m <= radius + $margin_m
order by works_id, distance_m, pipeline_id
