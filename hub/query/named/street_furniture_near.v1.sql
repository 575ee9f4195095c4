/*
title = { zh = "附近市政部件", en = "Street furniture near a place" }
description = "What stands within a radius, and who answers for it, the nearest first."
data_sets = ["street_furniture"]
parameters = [
    { name = "lon", type = "float64", description = "Longitude of the place, WGS 84, degrees." },
    { name = "lat", type = "float64", description = "Latitude of the place, WGS 84, degrees." },
    { name = "radius_m", type = "float64", description = "Distance from the place, metres.", default = 500 },
]
*/
select * from (
    select furniture_id, kind, street, responsible,
        round(111195 * sqrt(power(lat - $lat, 2) + power((lon - $lon) * cos(radians($lat)), 2)), 1) as distance_m
    from street_furniture
    where lat between $lat - $radius_m / 110574 and $lat + $radius_m / 110574
)
where distance_m <= $radius_m
order by distance_m, furniture_id
