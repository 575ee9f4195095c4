"""The data set `publications`: every version of every data set that was opened.

A version is recorded once: exchange N of producer `publish-DATA_SET` is version N. Of two who publish at the same time
the second learns that it was.
"""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

import pyarrow as pa

from hub.client import HubClient
from hub.errors import HubError, UnavailableError

DATA_SET: Final = "publications"
_COLUMNS: Final = '"version", "published_at", "rows", "rows_withheld", "k", "position", "checksum"'
_NEWEST: Final = f'select {_COLUMNS} from {DATA_SET} where "data_set" = ? order by "version" desc limit 1'  # noqa: S608


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A row of `publications`. `published_at` is UTC without a zone; `k` is the number of rows of the smallest crowd, 0
    without quasi identifiers; `checksum` is the SHA-256 of the Parquet file."""

    version: int
    published_at: datetime
    rows: int
    rows_withheld: int
    k: int
    position: str
    checksum: str


def newest(client: HubClient, data_set: str) -> Version | None:
    """Of all that were recorded before this is called. Raises HubError."""
    found = client.query(_NEWEST, [data_set], strong=True).table().to_pylist()
    return Version(**found[0]) if found else None


def record(client: HubClient, data_set: str, version: Version) -> Version:
    """The version as it is on record: an earlier attempt may have brought it there. Raises UnavailableError if
    somebody else's version has its number, HubError."""
    contract = client.contract(DATA_SET)
    row = pa.RecordBatch.from_pylist([{"data_set": data_set, **asdict(version)}], schema=contract.schema)
    with client.producer(f"publish-{data_set}", log=contract.home) as producer:
        receipt = producer.send(DATA_SET, row, sequence=version.version).result()
    if receipt.rows_rejected:
        raise HubError(f"version {version.version} of {data_set} was not taken into {DATA_SET}", hint="see quarantine")
    if not receipt.duplicate:
        return version
    there = newest(client, data_set)
    if there is None or (there.version, there.checksum) != (version.version, version.checksum):
        raise UnavailableError(
            f"version {version.version} of {data_set} was published by somebody else", hint="publish again"
        )
    return there
