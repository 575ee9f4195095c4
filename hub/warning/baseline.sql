-- Median and median absolute deviation of each sensor for the hours from $from to before $until (of less than a day), in
-- steps of the instrument, out of the same hours of so many days before: a part of `spans` each, so that the segments of
-- no other hours are read. $known are sensors that need none.
-- Values are counted before anything else: memory goes by sensors, hours and distinct values, not by readings.
with kinds as (
    select unnest(string_split($kinds, ',')) as kind, unnest(string_split($steps, ','))::double as step
),
known as (
    select unnest(string_split(nullif($known, ''), ','))::integer as sensor_id
),
read as (
    select sensor_id, hour(observed_at) as hour_of_day, value, count(*) as n, min(observed_at) as oldest_at
    from (
{spans}
    ) anti join known using (sensor_id)
    group by all
),
counted as (
    select r.sensor_id, r.hour_of_day, round(r.value / k.step)::integer as steps, sum(r.n) as n,
        min(r.oldest_at) as oldest_at
    from read r
    join sensors s on s.sensor_id = r.sensor_id
    join kinds k on k.kind = s.kind
    group by all
),
summed as (
    select *, sum(n) over (partition by sensor_id, hour_of_day order by steps) as up_to,
        sum(n) over (partition by sensor_id, hour_of_day) as readings
    from counted
),
medians as (
    select sensor_id, hour_of_day, readings,
        (min(steps) filter (where 2 * up_to >= readings) + min(steps) filter (where 2 * up_to > readings)) / 2 as median
    from summed
    where readings >= $readings_min
    group by all
    having min(oldest_at) < $until::timestamp - to_days($aged_days::integer)
),
deviations as (
    select m.sensor_id, m.hour_of_day, m.median, m.readings, abs(c.steps - m.median) as away, sum(c.n) as n
    from medians m
    join counted c on c.sensor_id = m.sensor_id and c.hour_of_day = m.hour_of_day
    group by all
),
summed_deviations as (
    select *, sum(n) over (partition by sensor_id, hour_of_day order by away) as up_to from deviations
)
select sensor_id, hour_of_day, median::double as median, readings::bigint as readings,
    ((min(away) filter (where 2 * up_to >= readings) + min(away) filter (where 2 * up_to > readings)) / 2)::double as mad
from summed_deviations
group by all
