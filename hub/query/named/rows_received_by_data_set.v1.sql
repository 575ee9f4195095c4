/*
title = { zh = "各数据集接收量", en = "Rows received by data set" }
description = "What each data set has received since a moment, and from how many producers."
data_sets = ["exchanges"]
parameters = [
    { name = "since", type = "timestamp", description = "The earliest moment, UTC.", default = "1970-01-01" },
]
*/
select data_set, count(*) as exchanges, count(distinct producer) as producers, sum(rows) as rows,
    sum(rows_rejected) as rows_rejected, max(received_at) as newest_received_at
from exchanges
where received_at >= $since
group by all
order by rows desc
