/*
title = { zh = "各单位交换情况", en = "Exchanges by source unit" }
description = "Who sent what: exchanges, rows and rejected rows of each producer and data set, and when it last sent."
data_sets = ["exchanges"]
parameters = [
    { name = "since", type = "timestamp", description = "The earliest moment, UTC; from the beginning when not given.", optional = true },
]
*/
select producer, data_set, count(*) as exchanges, sum(rows)::bigint as rows, sum(rows_rejected)::bigint as rows_rejected,
    max(received_at) as last_received_at
from exchanges
where $since is null or received_at >= $since
group by all
order by exchanges desc, producer, data_set
