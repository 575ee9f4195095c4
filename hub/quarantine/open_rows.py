"""Which rows of the quarantine are open: rejected, and not brought in since. SQL text and its parameters; pure.

A row is known by its producer, its sequence and its number within the exchange, as text `producer/sequence/row`.
"""

from typing import Final

# With the data set, as a producer may use a sequence in both logs.
_RESOLVED: Final = (
    'r.producer = q.producer and r.sequence = q.sequence and r."row" = q."row" and r.data_set = q.data_set'
)
_ID: Final = "q.producer || '/' || q.sequence || '/' || q.\"row\""

# A row with several reasons counts under each of their kinds: reasons without the values that are a row's own.
COUNTS: Final = f"""
select data_set, producer, kind, count(*) as rows from (
    select q.data_set, q.producer, unnest(string_split(
        regexp_replace(q.reason, '''[^'']*''|"[^"]*"', '…', 'g'), '; ')) as part,
        regexp_replace(regexp_replace(part, '^is a duplicate of row [0-9]+$', 'is a duplicate of row …'),
            '^([a-z0-9_]+) -?[0-9.][0-9A-Za-z_.:+-]*( [0-9:.]+)? ([a-z])', '\\1 … \\3') as kind
    from quarantine q anti join quarantine_resolutions r on {_RESOLVED}
    where $data_set is null or q.data_set = $data_set
)
group by all order by data_set, producer, rows desc, kind
"""  # noqa: S608  # constants

ROWS: Final = f"""
select {_ID} as id, q.reason, q.content
from quarantine q anti join quarantine_resolutions r on {_RESOLVED}
where q.data_set = $data_set and ($producer is null or q.producer = $producer)
order by q.log, q.lsn, q.producer, q.sequence, q."row"
"""  # noqa: S608  # as above

# $ids is a JSON list of texts.
OPEN_AMONG: Final = f"""
select distinct {_ID} as id
from quarantine q anti join quarantine_resolutions r on {_RESOLVED}
where q.data_set = $data_set and {_ID} in (select unnest(from_json($ids, '["VARCHAR"]')))
"""  # noqa: S608  # as above

REJECTED_OF: Final = 'select "row" from quarantine where producer = $producer and sequence = $sequence'
"""Rows of one exchange that the hub rejected."""


def parts_of(row_id: str) -> tuple[str, int, int]:
    """(producer, sequence, row) of an id that the hub told; a producer's name may hold slashes."""
    producer, sequence, row = row_id.rsplit("/", 2)
    return producer, int(sequence), int(row)
