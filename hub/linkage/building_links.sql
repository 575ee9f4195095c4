-- Every building of a part with what is linked to it. No grid cell: it is new or has moved since it was linked.
select b.building_code, p.grid_id, coalesce(c.district, b.district) as district, c.street, b.lon, b.lat,
    coalesce(r.residents, 0)::integer as residents, coalesce(f.legal_persons, 0)::integer as legal_persons,
    case when c.grid_id is null then 'grid cell ' || p.grid_id || ' is not known' end as reason
from buildings b
left join building_links p on p.building_code = b.building_code and p.lon = b.lon and p.lat = b.lat
left join grid_cells c on c.grid_id = p.grid_id
left join (
    select building_code, count(*) as residents from residents
    where hash(building_code) % $parts::ubigint = $part::ubigint group by 1
) r on r.building_code = b.building_code
left join (
    select building_code, count(*) as legal_persons from legal_persons
    where hash(building_code) % $parts::ubigint = $part::ubigint group by 1
) f on f.building_code = b.building_code
where hash(b.building_code) % $parts::ubigint = $part::ubigint
