/*
title = { zh = "楼内居民", en = "Who lives in this building" }
description = "Residents registered in a building, by dwelling."
data_sets = ["residents", "buildings"]
parameters = [
    { name = "building_code", type = "string", description = "Building code, 25 digits." },
]
*/
select r.resident_id, r.name, r.sex, r.birth_date, r.dwelling, b.name as building, b.address
from residents r
join buildings b using (building_code)
where b.building_code = $building_code
order by r.dwelling, r.resident_id
