-- Stretches of each geological point from $shown on: the rain at the wettest of its nearest stations, as a share of what
-- the point is to be warned of, within an hour and within a day. Sums look a day and the time of quiet back; they are
-- rounded to 0.01 mm, as rain is kept in single precision.
with fallen as (
    select station, observed_at,
        round(sum(rain::double) over (partition by station order by observed_at
            range between interval 3599999 milliseconds preceding and current row), 2) as rain_1h,
        round(sum(rain::double) over (partition by station order by observed_at
            range between interval 86399999 milliseconds preceding and current row), 2) as rain_24h
    from rainfall
    where observed_at >= $from::timestamp - interval 1 day and observed_at < $until::timestamp
),
near as (
    select p.*, s.station,
        111.195 * sqrt(power(s.lat - p.lat, 2) + power((s.lon - p.lon) * cos(radians(p.lat)), 2)) as km
    from geological_points p, weather_stations s
    where coalesce(p.warning_rain_1h, p.warning_rain_24h) is not null
    qualify row_number() over (partition by p.point_id order by km, s.station) <= $stations and km <= $reach_km
),
shares as (
    select n.point_id, f.observed_at, n.station, n.km, f.rain_1h, f.rain_24h, n.warning_rain_1h, n.warning_rain_24h,
        greatest(coalesce(f.rain_1h / nullif(n.warning_rain_1h, 0), 0),
            coalesce(f.rain_24h / nullif(n.warning_rain_24h, 0), 0)) as share
    from near n
    join fallen f on f.station = n.station
    where f.observed_at >= $from::timestamp
    qualify row_number() over (partition by n.point_id, f.observed_at order by share desc, n.station) = 1
),
graded as (
    select *,
        case when share >= $g4 then 4 when share >= $g3 then 3 when share >= $g2 then 2 when share >= $g1 then 1
            else 0 end as reached
    from shares
),
judged as (
    select *,
        case when reached > 0 then reached
            when last_at is null or last_at <= observed_at - to_seconds($quiet_s::integer) then -1
            else 0 end as grade
    from (
        select *, max(case when reached > 0 then observed_at end)
            over (partition by point_id order by observed_at rows unbounded preceding) as last_at
        from graded
    )
),
numbered as (
    select *, observed_at < $begins::timestamp as before,
        sum(changed) over (partition by point_id order by observed_at rows unbounded preceding) as stretch
    from (
        select *,
            (grade is distinct from lag(grade) over (partition by point_id order by observed_at))::integer as changed
        from judged
        where observed_at >= $shown::timestamp
    )
)
select n.point_id as place, any_value(n.grade) as grade, min(n.observed_at) as begins, max(n.observed_at) as ends,
    count(*) as moments, arg_min(n.station, n.observed_at) as station, arg_min(n.km, n.observed_at) as km,
    arg_min(n.rain_1h, n.observed_at) as rain_1h, arg_min(n.rain_24h, n.observed_at) as rain_24h,
    arg_min(n.share, n.observed_at) as share, any_value(n.warning_rain_1h::double) as warning_rain_1h,
    any_value(n.warning_rain_24h::double) as warning_rain_24h, any_value(p.kind) as kind,
    any_value(p.threatened_people) as threatened_people, any_value(p.street) as street,
    any_value(p.district) as district, any_value(p.lon) as lon, any_value(p.lat) as lat
from numbered n
join geological_points p on p.point_id = n.point_id
group by n.point_id, n.before, n.stretch
order by n.point_id, begins
