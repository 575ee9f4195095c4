/*
title = { zh = "各单位数据质量", en = "Quality by agency" }
description = "The newest score of every data set, rolled up by agency: the worst first, with its worst data set."
data_sets = ["quality_scores"]
*/
with newest as (
    select *, log10(10 + rows + rows_rejected) as weight
    from quality_scores
    qualify row_number() over (partition by data_set order by measured_at desc) = 1
)
select agency, round(sum(score * weight) / sum(weight), 2) as score, count(*) as scored,
    sum(rows)::bigint as rows, sum(rows_rejected)::bigint as rows_rejected,
    arg_min(data_set, score) as worst, round(min(score), 2) as worst_score, max(measured_at) as measured_at
from newest
group by agency
order by score, agency
