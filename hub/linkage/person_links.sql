-- Every resident of a part with building, grid cell and employer. Who is not insured has no employer, and no reason.
select r.resident_id, b.building_code, b.grid_id,
    case when f.status <> 'deregistered' then f.credit_code end as credit_code,
    nullif(concat_ws('; ',
        case
            when r.building_code is null then 'has no building code'
            when b.building_code is null then 'building ' || r.building_code || ' is not known'
            else b.reason
        end,
        case
            when f.credit_code is null then 'employer ' || i.credit_code || ' is not known'
            when f.status = 'deregistered' then 'employer ' || i.credit_code || ' was deregistered'
        end
    ), '') as reason
from residents r
left join building_links b on b.building_code = r.building_code
left join (
    select resident_id, credit_code from insured_people
    where hash(resident_id) % $parts::ubigint = $part::ubigint
    and insured_since <= $held_on::date and (insured_until is null or insured_until >= $held_on::date)
) i on i.resident_id = r.resident_id
left join legal_persons f on f.credit_code = i.credit_code
where hash(r.resident_id) % $parts::ubigint = $part::ubigint
