/*
title = { zh = "隔离数据", en = "Rows in quarantine" }
description = "Rows of a data set that failed their checks, with the reasons, the newest first."
data_sets = ["quarantine"]
parameters = [
    { name = "data_set", type = "string", description = "Data set." },
    { name = "rows", type = "int32", description = "At most so many.", default = 1000 },
]
*/
select log, lsn, producer, sequence, "row", reason, content
from quarantine
where data_set = $data_set
order by log, lsn desc
limit $rows
