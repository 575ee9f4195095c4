-- Every legal person of a part with building, grid cell and representative.
select f.credit_code, b.building_code, b.grid_id, r.resident_id as representative_id,
    nullif(concat_ws('; ',
        case
            when f.building_code is null then 'has no building code'
            when b.building_code is null then 'building ' || f.building_code || ' is not known'
            else b.reason
        end,
        case
            when f.representative_id is null then 'has no representative'
            when r.resident_id is null then 'representative is not a resident'
        end
    ), '') as reason
from legal_persons f
left join building_links b on b.building_code = f.building_code
left join residents r on r.resident_id = f.representative_id
where hash(f.credit_code) % $parts::ubigint = $part::ubigint
