/*
title = { zh = "未关联原因统计", en = "What is not linked, and why" }
description = "How many links of each registry lack something, by reason; codes are left out of the reasons."
data_sets = ["building_links", "person_links", "legal_person_links"]
*/
with reasons as (
    select 'building_links' as registry, reason from building_links
    union all
    select 'person_links', reason from person_links
    union all
    select 'legal_person_links', reason from legal_person_links
)
select registry, regexp_replace(reason, '[0-9A-Za-z]{15,25}', '…', 'g') as kind, count(*) as links
from reasons
where reason is not null
group by all
order by registry, links desc, kind
