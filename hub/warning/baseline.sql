-- Median and median absolute deviation of each sensor for the hours from $from to before $until (of less than a day), in
-- steps of the instrument, out of the same hour of the days, or of the weeks, before.
-- Values are counted by step first: memory goes by sensors, hours and distinct values, not by readings.
with kinds as (
    select unnest(string_split($kinds, ',')) as kind, unnest(string_split($steps, ','))::double as step
),
hours as (
    select unnest(generate_series($from::timestamp, $until::timestamp - interval 1 hour, interval 1 hour)) as hour
),
read as (  -- Before anything is joined: values repeat within an hour.
    select sensor_id, date_trunc('hour', observed_at) as hour, value, count(*) as n
    from readings r
    where quality = 0 and ({spans})
    group by all
),
counted as (
    select r.sensor_id, hour(h.hour) as hour_of_day, round(r.value / k.step)::integer as steps, sum(r.n) as daily,
        coalesce(sum(r.n) filter (where date_diff('hour', r.hour, h.hour) % 168 = 0), 0) as weekly,
        max(date_diff('hour', r.hour, h.hour)) as hours
    from read r
    join hours h on hour(h.hour) = hour(r.hour) and r.hour < h.hour and r.hour >= h.hour - to_days($days::integer)
    join sensors s on s.sensor_id = r.sensor_id
    join kinds k on k.kind = s.kind
    group by all
),
weighed as (
    select sensor_id, hour_of_day, steps,
        case when max(hours) over sensor >= 24 * $weekly_days::integer then weekly else daily end as n
    from counted
    window sensor as (partition by sensor_id, hour_of_day)
),
summed as (
    select *, sum(n) over (partition by sensor_id, hour_of_day order by steps) as up_to,
        sum(n) over (partition by sensor_id, hour_of_day) as readings
    from weighed
    where n > 0
),
medians as (
    select sensor_id, hour_of_day, readings,
        (min(steps) filter (where 2 * up_to >= readings) + min(steps) filter (where 2 * up_to > readings)) / 2 as median
    from summed
    where readings >= $readings_min
    group by all
),
deviations as (
    select m.sensor_id, m.hour_of_day, m.median, m.readings, abs(w.steps - m.median) as away, sum(w.n) as n
    from medians m
    join weighed w using (sensor_id, hour_of_day)
    group by all
),
summed_deviations as (
    select *, sum(n) over (partition by sensor_id, hour_of_day order by away) as up_to
    from deviations
    where n > 0
)
select sensor_id, hour_of_day, median::double as median, readings::bigint as readings,
    (min(away) filter (where 2 * up_to >= readings) + min(away) filter (where 2 * up_to > readings)) / 2 as mad
from summed_deviations
group by all
