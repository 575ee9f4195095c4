/*
title = { zh = "附近建筑物", en = "Buildings near a place" }
description = "Buildings within a radius, the nearest first."
data_sets = ["buildings"]
parameters = [
    { name = "lon", type = "float64", description = "Longitude of the place, WGS 84, degrees." },
    { name = "lat", type = "float64", description = "Latitude of the place, WGS 84, degrees." },
    { name = "radius_m", type = "float64", description = "Distance from the place, metres.", default = 500 },
]
*/
select * from (
    select b.building_code, b.name, b.address, b.use, b.floors, b.height,
        round(2 * 6371008.8 * asin(sqrt(power(sin(radians(b.lat - $lat) / 2), 2)
        + cos(radians($lat)) * cos(radians(b.lat)) * power(sin(radians(b.lon - $lon) / 2), 2))), 1) as distance_m
    from buildings b
    where b.lat between $lat - $radius_m / 110574 and $lat + $radius_m / 110574
    and b.lon between $lon - $radius_m / (111320 * cos(radians($lat))) and $lon + $radius_m / (111320 * cos(radians($lat)))
)
where distance_m <= $radius_m
order by distance_m
