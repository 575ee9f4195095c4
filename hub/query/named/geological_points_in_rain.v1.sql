/*
title = { zh = "降雨触发的地质灾害隐患点", en = "Geological points in heavy rain" }
description = "Points at which the rain of the nearest station within an hour reached what is to be warned of."
data_sets = ["geological_points", "weather_stations", "rainfall"]
parameters = [
    { name = "until", type = "timestamp", description = "End of the time that is looked at, UTC; the newest observation when not given.", optional = true },
    { name = "share", type = "float64", description = "Share of the warning threshold that is enough.", default = 1 },
]
*/
with fallen as (
    select station, sum(rain::double) as rain_1h
    from rainfall
    where observed_at > coalesce($until, (select max(observed_at) from rainfall)) - interval 1 hour
        and observed_at <= coalesce($until, (select max(observed_at) from rainfall))
    group by station
),
nearest as (
    select p.*, f.station, f.rain_1h,
        row_number() over (partition by p.point_id
            order by power(s.lat - p.lat, 2) + power((s.lon - p.lon) * cos(radians(p.lat)), 2)) as place
    from geological_points p, weather_stations s
    join fallen f using (station)
)
select point_id, kind, district, street, threatened_people, station, round(rain_1h, 1) as rain_1h, warning_rain_1h
from nearest
where place = 1 and rain_1h >= $share * warning_rain_1h
order by rain_1h / warning_rain_1h desc, point_id
