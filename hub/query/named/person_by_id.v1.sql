/*
title = { zh = "人员关联查询", en = "A person with all links" }
description = "A resident with building, grid cell, street and employer, the firms the person represents, and what is not linked."
data_sets = ["residents", "person_links", "buildings", "grid_cells", "legal_persons", "legal_person_links"]
parameters = [
    { name = "resident_id", type = "string", description = "ID number, 18 characters." },
]
*/
select r.resident_id, r.name, r.sex, r.birth_date, r.phone,
    l.building_code, b.name as building, b.address, r.dwelling,
    l.grid_id, c.district, c.street,
    l.credit_code as employer_code, e.name as employer,
    (select list(credit_code order by credit_code) from legal_person_links where representative_id = $resident_id) as represents,
    l.reason as not_linked
from residents r
left join person_links l using (resident_id)
left join buildings b on b.building_code = l.building_code
left join grid_cells c on c.grid_id = l.grid_id
left join legal_persons e on e.credit_code = l.credit_code
where r.resident_id = $resident_id
