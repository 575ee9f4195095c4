/*
title = { zh = "附近传感器", en = "Sensors near a point" }
description = "Sensors within a radius, the nearest first."
data_sets = ["sensors"]
parameters = [
    { name = "lon", type = "float64", description = "Longitude of the place, WGS 84, degrees." },
    { name = "lat", type = "float64", description = "Latitude of the place, WGS 84, degrees." },
    { name = "radius_m", type = "float64", description = "Distance from the place, metres.", default = 500 },
    { name = "kind", type = "string", description = "What they measure; all kinds when not given.", optional = true },
]
*/
select * from (
    select s.sensor_id, s.kind, s.unit, s.district, s.lon, s.lat,
        round(2 * 6371008.8 * asin(sqrt(power(sin(radians(s.lat - $lat) / 2), 2)
        + cos(radians($lat)) * cos(radians(s.lat)) * power(sin(radians(s.lon - $lon) / 2), 2))), 1) as distance_m
    from sensors s
    where s.lat between $lat - $radius_m / 110574 and $lat + $radius_m / 110574
    and s.lon between $lon - $radius_m / (111320 * cos(radians($lat))) and $lon + $radius_m / (111320 * cos(radians($lat)))
)
where distance_m <= $radius_m and ($kind is null or kind = $kind)
order by distance_m
