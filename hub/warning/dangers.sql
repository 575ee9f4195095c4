-- One row a district, or street, and cause at moment $at: open dangers as they stood at the end of each week before it,
-- worked out of when each was found and closed, against what is usual; and how many of those open are overdue.
-- What is looked at once a day is quiet (-1) as soon as it is not too much.
with known as (
    select district, street, found_at, closed_at, due_on, lon, lat
    from hidden_dangers
    where found_at <= $at::timestamp
),
placed as (
    select district as place, district, null as street, found_at, closed_at, due_on, lon, lat from known
    union all
    select district || '/' || street, district, street, found_at, closed_at, due_on, lon, lat from known
    where street is not null
),
weeks as (select unnest(range($weeks::integer + 1)) as week),
changes as (  -- Weeks from when something happened to $at; what is older than all of them counts in each.
    select place, least(date_diff('second', found_at, $at::timestamp) // 604800, $weeks) as week, count(*) as n
    from placed group by all
    union all
    select place, least(date_diff('second', closed_at, $at::timestamp) // 604800, $weeks), -count(*)
    from placed where closed_at <= $at::timestamp group by all
),
opened as (
    select c.place, w.week, sum(c.n) filter (where c.week >= w.week) as open
    from changes c, weeks w
    group by all
),
trends as (
    select place, coalesce(max(open) filter (where week = 0), 0) as open,
        median(coalesce(open, 0)) filter (where week > 0) as usual,
        1.4826 * mad(coalesce(open, 0)) filter (where week > 0) as scatter,
        coalesce(bool_and(coalesce(open, 0) > coalesce(before, 0)) filter (where week < $rising_weeks), false) as rises,
        list(coalesce(open, 0)::integer order by week desc) as weekly
    from (select *, lead(open) over (partition by place order by week) as before from opened)
    group by place
),
now as (
    select place, any_value(district) as district, any_value(street) as street,
        count(*) filter (where closed_at is null or closed_at > $at::timestamp) as open_now,
        count(*) filter (where (closed_at is null or closed_at > $at::timestamp) and due_on < $at::date) as overdue,
        avg(lon) filter (where closed_at is null or closed_at > $at::timestamp) as lon,
        avg(lat) filter (where closed_at is null or closed_at > $at::timestamp) as lat
    from placed group by place
),
judged as (
    select *, overdue / nullif(open_now, 0) as overdue_share,
        (open - usual) / greatest(scatter, $deviation_min, sqrt(usual)) as deviations,
        (select min(found_at) from known) <= $at::timestamp - to_days(7 * $weeks::integer) as is_known
    from trends join now using (place)
),
causes as (
    select 'dangers_rising' as cause, *,
        case when not rises or not is_known then -1
            when deviations >= $r4 then 4 when deviations >= $r3 then 3 when deviations >= $r2 then 2
            when deviations >= $r1 then 1 else -1 end as grade
    from judged
    union all
    select 'dangers_overdue', *,
        case when overdue < $overdue_min then -1
            when overdue_share >= $o4 then 4 when overdue_share >= $o3 then 3 when overdue_share >= $o2 then 2
            when overdue_share >= $o1 then 1 else -1 end
    from judged
)
select cause, place, grade, $at::timestamp as begins, $at::timestamp as ends, 1 as moments, open::integer as open,
    usual::double as usual, scatter::double as scatter, deviations::double as deviations, weekly,
    overdue::integer as overdue, overdue_share::double as overdue_share, district, street, lon, lat
from causes
order by cause, place
