-- Everything that the map shows, in one row: one statement has one position.
-- $run: the run to show; the newest when null.
with chosen as (
    select * from risk_runs
    where $run::varchar is null or run_id = $run::varchar
    order by scored_at desc, finished_at desc, run_id desc
    limit 1
),
points as (
    select s.risk_point_id, p.name, p.category, p."group", p.credit_code, p.building_code, p.district, p.street,
        p.lon, p.lat, p.reach::double as reach,
        s.e1, s.e2, s.e3, s.v1, s.v2, s.v3, s.s1, s.s2, s.s3, s.m1, s.m2, s.m3, s.m4,
        s.hazard, s.exposure, s.vulnerability, s.sensitivity, s.mitigation, s.risk,
        s.colour, s.previous_colour, s.reasons, s.inputs
    from risk_scores s
    join risk_points p on p.risk_point_id = s.risk_point_id
    where s.run_id = (select run_id from chosen)
    order by s.risk, s.risk_point_id
),
cells as (
    select grid_id, residents, present, firms, buildings, dangers_open, risk_points, risk_max
    from risk_cells
    where run_id = (select run_id from chosen)
    order by grid_id
),
rollups as (
    select kind, name, points, red, orange, yellow, blue, risk_max, risk_mean
    from risk_rollups
    where run_id = (select run_id from chosen) and kind in ('city', 'district')
    order by kind, red desc, orange desc, name
),
named_districts as (
    select district, name_en, lon, lat from districts order by district
)
select
    (select list(chosen) from chosen) as runs,
    (select list(points) from points) as points,
    (select list(cells) from cells) as cells,
    (select list(rollups) from rollups) as rollups,
    (select list(named_districts) from named_districts) as districts
