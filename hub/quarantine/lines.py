"""The file in which open rows go out and mended ones come back: JSON lines, one a row. Pure.

    {"sensor_id": "7", "value": "abc", "_quarantine": "agency-7/12/0", "_reason": "value: 'abc' is no float64"}
    {"_raw": "7;2026-01-01;21", "_quarantine": "agency-7/12/1", "_reason": "…"}

The fields are those of the row as it came, under the names that it came with; `_raw` is the text of one that could not
be parsed or was too long to keep: its fields are to be written beside it. `_reason` and `_raw` are not read again.
"""

import json
from typing import Final

from hub.catalogue.contract import Column, Contract, Title

ID: Final = "_quarantine"
ID_COLUMN: Final = "quarantined_row"
_REASON: Final = "_reason"
_RAW: Final = "_raw"


def line_of(row_id: str, reason: str, content: str | None) -> str:
    """One line of the file, with its end."""
    facts = {**_fields(content), ID: row_id, _REASON: reason}
    return json.dumps(facts, ensure_ascii=False) + "\n"


def with_id(contract: Contract) -> Contract:
    """The contract of the file: the data set's columns, and last the row's id as `quarantined_row`."""
    column = Column(name=ID_COLUMN, type="string", title=Title(zh=ID, en=ID))
    facts = contract.model_dump()
    return Contract.model_validate({**facts, "columns": [*facts["columns"], column.model_dump()]})


def _fields(content: str | None) -> dict[str, object]:
    try:
        fields = json.loads(content or "{}")
    except json.JSONDecodeError:
        return {_RAW: content}
    return fields if isinstance(fields, dict) else {_RAW: content}
