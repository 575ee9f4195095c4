/*
title = { zh = "各区人口热力", en = "People present by district" }
description = "Telephones present in each district in the hour that begins at a moment, and where most of them are."
data_sets = ["presence", "grid_cells"]
parameters = [
    { name = "since", type = "timestamp", description = "Beginning of the time, UTC." },
    { name = "hours", type = "int32", description = "How many hours.", default = 1 },
]
*/
select g.district, sum(p.people)::bigint as people, count(distinct p.grid_id) as grid_cells,
    arg_max(p.grid_id, p.people) as fullest_grid_id, max(p.people) as people_there
from presence p
join grid_cells g using (grid_id)
where p.observed_at >= $since::timestamp and p.observed_at < $since::timestamp + to_hours($hours::integer)
group by all
order by people desc
