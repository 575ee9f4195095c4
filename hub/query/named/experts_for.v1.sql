/*
title = { zh = "应召专家", en = "Experts to call" }
description = "Experts for a hazard, by field; those who can be called now first."
data_sets = ["experts"]
parameters = [
    { name = "hazard", type = "string", description = "Hazard, for example gas_leak, explosion, flood." },
]
*/
select expert_id, name, field, hazards, organisation, phone, available
from experts
where list_contains(string_split(hazards, ';'), $hazard)
order by available desc, field, expert_id
