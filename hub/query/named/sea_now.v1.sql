/*
title = { zh = "最新海况", en = "The sea now" }
description = "The newest observation of each buoy and tide gauge."
data_sets = ["ocean_observations", "ocean_stations"]
parameters = []
*/
select s.station, s.kind, s.name, s.lon, s.lat, o.observed_at, o.tide, o.wave_height, o.sea_temperature, o.wind_speed
from ocean_observations o
join ocean_stations s using (station)
qualify row_number() over (partition by o.station order by o.observed_at desc) = 1
order by s.kind, s.station
