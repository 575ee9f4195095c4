/*
title = { zh = "隔离数据", en = "Rows in quarantine" }
description = "Rows of a data set that failed their checks and were not put right since, with the reasons, the newest first."
data_sets = ["quarantine", "quarantine_resolutions"]
parameters = [
    { name = "data_set", type = "string", description = "Data set." },
    { name = "rows", type = "int32", description = "At most so many.", default = 1000 },
]
*/
select q.log, q.lsn, q.producer, q.sequence, q."row", q.reason, q.content
from quarantine q
anti join quarantine_resolutions r
    on r.producer = q.producer and r.sequence = q.sequence and r."row" = q."row" and r.data_set = q.data_set
where q.data_set = $data_set
order by q.log, q.lsn desc
limit $rows
