/*
title = { zh = "各街道未整改隐患", en = "Open hidden dangers by street" }
description = "How many hidden dangers are open in each street, the gravest level and the oldest."
data_sets = ["hidden_dangers"]
parameters = [
    { name = "district", type = "string", description = "District; all when not given.", optional = true },
]
*/
select district, street, count(*) as open_dangers,
    count(*) filter (where level = 'major') as major, min(found_at) as oldest_found_at
from hidden_dangers
where closed_at is null and ($district is null or district = $district)
group by all
order by major desc, open_dangers desc, district, street
