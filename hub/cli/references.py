"""Which values a data set that is referred to has, asked of a centre, each value once in a load."""

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from hub.catalogue.contract import Reference
from hub.client import HubClient

REMEMBERED_MAX: Final = 2_000_000
_ASKED_AT_ONCE: Final = 20_000
_SEPARATOR: Final = "\x1f"  # Within a parameter, which is one text; no value of a key holds it.


class KnownValues:
    """Reads are strong: rows that were acknowledged a moment ago are seen. Raises HubError."""

    def __init__(self, client: HubClient) -> None:
        self._client = client
        self._asked: dict[tuple[str, str], tuple[pa.Array, pa.Array]] = {}  # Values, and which of them are known.

    def __call__(self, reference: Reference, values: pa.Array) -> pa.Array:
        """Booleans for distinct values without nulls."""
        key = reference.data_set, reference.column
        texts = values.cast(pa.string())
        asked, known = self._asked.get(key, (pa.array([], pa.string()), pa.array([], pa.bool_())))
        new = texts.filter(pc.invert(pc.is_in(texts, value_set=asked)))
        if len(new):
            asked = pa.concat_arrays([asked, new])
            known = pa.concat_arrays([known, *(self._ask(reference, part) for part in _parts(new))])
        found = known.take(pc.index_in(texts, value_set=asked))
        if len(asked) <= REMEMBERED_MAX:
            self._asked[key] = asked, known
        return found

    def _ask(self, reference: Reference, values: pa.Array) -> pa.Array:
        column = self._client.contract(reference.data_set).column(reference.column)
        sql = (  # Names of a contract are letters, digits and underscores.
            f"select value from (select unnest(string_split($values, $separator)) as value) "  # noqa: S608
            f'where try_cast(value as {column.duckdb}) in (select "{column.name}" from "{reference.data_set}")'
        )
        parameters = {"values": _SEPARATOR.join(values.to_pylist()), "separator": _SEPARATOR}
        found = self._client.query(sql, parameters, strong=True).table().column(0).combine_chunks()
        return pc.is_in(values, value_set=found)


def _parts(values: pa.Array) -> list[pa.Array]:
    return [values[begin : begin + _ASKED_AT_ONCE] for begin in range(0, len(values), _ASKED_AT_ONCE)]
