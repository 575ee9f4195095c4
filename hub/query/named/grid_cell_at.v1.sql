/*
title = { zh = "位置所在网格", en = "Grid cell at a place" }
description = "Which grid cell, street office and district a place lies in: the cell whose centre is nearest."
data_sets = ["grid_cells"]
parameters = [
    { name = "lon", type = "float64", description = "Longitude of the place, WGS 84, degrees." },
    { name = "lat", type = "float64", description = "Latitude of the place, WGS 84, degrees." },
]
*/
select grid_id, street, district, round(distance_m, 1) as centre_m
from (
    select *, 111195 * sqrt(power(lat - $lat, 2) + power((lon - $lon) * cos(radians($lat)), 2)) as distance_m
    from grid_cells
    where lat between $lat - 0.01 and $lat + 0.01 and lon between $lon - 0.01 and $lon + 0.01
)
order by distance_m
limit 1
