/*
title = { zh = "半径内居民", en = "Residents within a radius" }
description = "How many people live in each building near a place, and how many of them are children or old."
data_sets = ["residents", "buildings"]
parameters = [
    { name = "lon", type = "float64", description = "Longitude of the place, WGS 84, degrees." },
    { name = "lat", type = "float64", description = "Latitude of the place, WGS 84, degrees." },
    { name = "radius_m", type = "float64", description = "Distance from the place, metres.", default = 500 },
]
*/
with near as (
    select b.building_code, b.name, b.address,
        2 * 6371008.8 * asin(sqrt(power(sin(radians(b.lat - $lat) / 2), 2)
        + cos(radians($lat)) * cos(radians(b.lat)) * power(sin(radians(b.lon - $lon) / 2), 2))) as distance_m
    from buildings b
    where b.lat between $lat - $radius_m / 110574 and $lat + $radius_m / 110574
    and b.lon between $lon - $radius_m / (111320 * cos(radians($lat))) and $lon + $radius_m / (111320 * cos(radians($lat)))
)
select n.building_code, n.name, n.address, round(n.distance_m, 1) as distance_m,
    count(r.resident_id) as residents,
    count(*) filter (where r.birth_date > current_date - interval 14 year) as children,
    count(*) filter (where r.birth_date <= current_date - interval 65 year) as aged_65_or_more
from near n
left join residents r using (building_code)
where n.distance_m <= $radius_m
group by all
order by distance_m
