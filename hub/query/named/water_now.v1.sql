/*
title = { zh = "最新水位", en = "Water levels now" }
description = "The newest level and flow of each station, those above their warning level first."
data_sets = ["water_levels", "water_stations"]
parameters = [
    { name = "district", type = "string", description = "District; all when not given.", optional = true },
]
*/
select s.station, s.class, s.name, s.district, n.observed_at, n.level, n.flow, s.warning_level,
    n.level >= s.warning_level as above_warning_level
from (
    select station, max(observed_at) as observed_at, arg_max(level, observed_at) as level,
        arg_max(flow, observed_at) as flow
    from water_levels
    group by station
) n
join water_stations s using (station)
where $district is null or s.district = $district
order by above_warning_level desc, s.station
