-- Stretches of each sensor from $shown on. Readings from $from on are looked at, so that what is shown is exact: what
-- counts as in a row, and as quiet, lies within half of that time before.
-- Grades count by steps of the instrument, which are whole: a reading at its bound is never beyond it by rounding.
-- Most sensors have nothing beyond a bound in the hours of one query; only the others are put in order.
with kinds as (
    select unnest(string_split($kinds, ',')) as kind, unnest(string_split($steps, ','))::double as step,
        unnest(string_split($falls, ','))::boolean as falls,
        unnest(string_split($t1, ','))::double as t1, unnest(string_split($t2, ','))::double as t2,
        unnest(string_split($t3, ','))::double as t3, unnest(string_split($t4, ','))::double as t4
),
baselines as (
    select unnest(string_split(nullif($sensors, ''), ','))::integer as sensor_id,
        unnest(string_split(nullif($hours, ''), ','))::bigint as hours,
        unnest(string_split(nullif($medians, ''), ','))::double as median,
        unnest(string_split(nullif($mads, ''), ','))::double as mad,
        unnest(string_split(nullif($counts, ''), ','))::bigint as readings
),
bounds as (
    select *, greatest($k * mad, $bound_steps_min) as bound from baselines
),
watched as (
    select s.*, k.* exclude (kind),
        case when isfinite(t1) then round(t1 / step) else t1 end as s1,
        case when isfinite(t2) then round(t2 / step) else t2 end as s2,
        case when isfinite(t3) then round(t3 / step) else t3 end as s3,
        case when isfinite(t4) then round(t4 / step) else t4 end as s4
    from sensors s
    join kinds k on k.kind = s.kind
),
measured as (
    select r.sensor_id, r.observed_at, r.value, b.bound, w.s1, w.s2, w.s3, w.s4, round(r.value / w.step) as steps,
        case when w.falls then abs(round(r.value / w.step) - b.median) else round(r.value / w.step) - b.median end as away
    from readings r
    join watched w on w.sensor_id = r.sensor_id
    left join bounds b on b.sensor_id = r.sensor_id
        and b.hours = date_diff('hour', timestamp '1970-01-01', r.observed_at)
    where r.quality = 0 and r.observed_at >= $from::timestamp and r.observed_at < $until::timestamp
),
graded as materialized (
    select sensor_id, observed_at, value,
        case when bound is null or away <= $g1 * bound then 0
            when away > $g4 * bound then 4 when away > $g3 * bound then 3 when away > $g2 * bound then 2
            else 1 end::tinyint as anomaly,
        case when steps >= s4 then 4 when steps >= s3 then 3 when steps >= s2 then 2 when steps >= s1 then 1
            else 0 end::tinyint as beyond
    from measured
),
restless as (
    select sensor_id from graded group by sensor_id having max(anomaly + beyond) > 0
),
calm as (
    select sensor_id, -1 as grade, observed_at < $begins::timestamp as before, min(observed_at) as begins,
        max(observed_at) as ends, count(*) as moments
    from graded anti join restless using (sensor_id)
    where observed_at >= $shown::timestamp
    group by all
),
held as (
    select *, list(observed_at) over anomalies as times, list(value) over anomalies as values_then,
        case when first_value(observed_at) over anomalies >= observed_at - to_seconds($within_s::integer)
                and count(*) over anomalies = {in_a_row}
            then min(anomaly) over anomalies else 0 end as anomaly_held,
        case when first_value(observed_at) over thresholds >= observed_at - to_seconds($within_s::integer)
                and count(*) over thresholds = {in_a_row_threshold}
            then min(beyond) over thresholds else 0 end as beyond_held,
        max(case when anomaly + beyond > 0 then observed_at end)
            over (partition by sensor_id order by observed_at rows unbounded preceding) as last_at
    from graded semi join restless using (sensor_id)
    window anomalies as (
        partition by sensor_id order by observed_at rows between {in_a_row} - 1 preceding and current row
    ), thresholds as (
        partition by sensor_id order by observed_at rows between {in_a_row_threshold} - 1 preceding and current row
    )
),
judged as (
    select sensor_id, observed_at, times, values_then, beyond_held, observed_at < $begins::timestamp as before,
        case when greatest(anomaly_held, beyond_held) > 0 then greatest(anomaly_held, beyond_held)
            when last_at is null or last_at <= observed_at - to_seconds($quiet_s::integer) then -1
            else 0 end as grade
    from held
    where observed_at >= $shown::timestamp
),
numbered as (
    select *, sum(changed) over (partition by sensor_id order by observed_at rows unbounded preceding) as stretch
    from (
        select *,
            (grade is distinct from lag(grade) over (partition by sensor_id order by observed_at))::integer as changed
        from judged
    )
),
stretches as (
    select sensor_id, any_value(grade) as grade, min(observed_at) as begins, max(observed_at) as ends,
        count(*) as moments, arg_min(beyond_held, observed_at) as beyond,
        arg_min(times, observed_at) as times, arg_min(values_then, observed_at) as values_then
    from numbered
    group by sensor_id, before, stretch
    union all
    select sensor_id, grade, begins, ends, moments, 0, null, null from calm
)
select x.sensor_id::varchar as place, x.grade::integer as grade, x.begins, x.ends, x.moments::bigint as moments,
    x.beyond::integer as beyond, w.kind, w.unit, w.district, w.lon, w.lat,
    x.times, x.values_then as "values",
    b.median * w.step as median, b.mad * w.step as mad, b.bound * w.step as bound, b.readings
from stretches x
join watched w on w.sensor_id = x.sensor_id
left join bounds b on b.sensor_id = x.sensor_id and b.hours = date_diff('hour', timestamp '1970-01-01', x.begins)
order by x.sensor_id, x.begins
