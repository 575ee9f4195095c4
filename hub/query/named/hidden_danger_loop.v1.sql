/*
title = { zh = "隐患闭环", en = "The closed loop of hidden dangers" }
description = "How far hidden dangers are in each district: found, assigned, fixed, checked and closed, overdue."
data_sets = ["hidden_dangers"]
parameters = [
    { name = "today", type = "date", description = "Day that overdue is counted at." },
]
*/
select district, count(*) as found, count(assigned_at) as assigned, count(fixed_at) as fixed, count(closed_at) as closed,
    count(*) filter (where closed_at is null and due_on < $today) as overdue,
    round(avg(date_diff('hour', found_at, closed_at)), 1) as hours_to_close
from hidden_dangers
group by all
order by overdue desc, district
