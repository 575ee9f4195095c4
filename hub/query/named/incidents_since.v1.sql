/*
title = { zh = "近期突发事件", en = "Incidents since a moment" }
description = "Incidents as they were reported, the newest first, with the units sent to each."
data_sets = ["incidents", "dispatches"]
parameters = [
    { name = "since", type = "timestamp", description = "The earliest moment, UTC." },
    { name = "district", type = "string", description = "District; all when not given.", optional = true },
]
*/
select i.incident_id, i.reported_at, i.category, i.level, i.district, i.summary, count(d.dispatch_id) as units_sent
from incidents i
left join dispatches d using (incident_id)
where i.reported_at >= $since and ($district is null or i.district = $district)
group by all
order by i.reported_at desc
