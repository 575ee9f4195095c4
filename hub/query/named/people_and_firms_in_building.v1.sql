/*
title = { zh = "楼内人员与单位", en = "People and firms in a building" }
description = "Who lives in a building, and which legal persons sit in it, by dwelling and by name."
data_sets = ["residents", "person_links", "legal_persons", "legal_person_links"]
parameters = [
    { name = "building_code", type = "string", description = "Building code, 25 digits." },
]
*/
select * from (
    select 'person' as kind, l.resident_id as code, r.name, r.dwelling as place, l.credit_code as linked_to, r.phone
    from person_links l
    join residents r using (resident_id)
    where l.building_code = $building_code
    union all
    select 'legal person', l.credit_code, f.name, f.address, l.representative_id, f.phone
    from legal_person_links l
    join legal_persons f using (credit_code)
    where l.building_code = $building_code and f.status <> 'deregistered'
)
order by kind desc, place, code
