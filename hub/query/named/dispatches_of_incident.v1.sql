/*
title = { zh = "事件出动记录", en = "Units sent to an incident" }
description = "Who was sent to an incident, and how far they are."
data_sets = ["dispatches"]
parameters = [
    { name = "incident_id", type = "string", description = "Incident." },
]
*/
select dispatch_id, unit_name, people, status, dispatched_at, arrived_at, closed_at
from dispatches
where incident_id = $incident_id
order by dispatched_at
