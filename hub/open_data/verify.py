"""Judges files before they are published, by what is in them alone: a fault of the query that made them is found here.

Asked of the CSV and of the Parquet file: are the columns those that go out; are all rows there; has every combination
of quasi identifiers k rows or more; is every value as coarse as its rule makes it.
"""

from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import duckdb

from hub.catalogue.publication import Form, Outgoing
from hub.errors import HubError
from hub.open_data.files import Written
from hub.open_data.rows import Plan, quoted

_READERS: Final = {
    ".csv": "read_csv(?, header = true, all_varchar = true, delim = ',', quote = '\"', escape = '\"')",
    ".parquet": "read_parquet(?)",
}
_MEMORY_BYTES_MAX: Final = 512 << 20
_HINT: Final = "nothing was published; this is a fault of the hub: please report it"


def verify(plan: Plan, written: Written) -> int:
    """The number of rows of the smallest crowd, 0 without quasi identifiers or rows. Raises HubError."""
    with (
        TemporaryDirectory(prefix=".judged-", dir=written.csv.path.parent) as spill,
        closing(duckdb.connect(":memory:")) as connection,
    ):
        # Progress would be drawn on standard output, among a command's answer.
        connection.execute(f"set enable_progress_bar = false; set memory_limit = '{_MEMORY_BYTES_MAX}B'")
        connection.execute("set temp_directory = ?", [spill])
        smallest = [_judged(connection, plan, file.path, written.rows) for file in (written.csv, written.parquet)]
    return min(smallest) if plan.quasi_identifiers else 0


def _judged(connection: duckdb.DuckDBPyConnection, plan: Plan, path: Path, rows: int) -> int:
    """Rows of the smallest crowd of a file that may be published. Raises HubError."""
    reader = _READERS[path.suffix]
    connection.execute(f"select * from {reader} limit 0", [str(path)])  # noqa: S608  # readers are ours
    names = [column[0] for column in connection.description or ()]
    if names != plan.schema.names:
        raise _refused(plan, path, f"it has columns {', '.join(names)}")
    coarse = [condition for one in plan.columns if (condition := _is_coarse(one)) is not None]
    finer = f"not coalesce({' and '.join(coarse)}, false)" if coarse else "false"
    crowds = f"select count(*) as rows, count(*) filter ({finer}) as finer from {reader}"  # noqa: S608  # as above
    if plan.quasi_identifiers:
        crowds += f" group by {', '.join(map(quoted, plan.quasi_identifiers))}"
    connection.execute(f"select sum(rows)::bigint, sum(finer)::bigint, min(rows) from ({crowds})", [str(path)])  # noqa: S608
    ((there, wrong, smallest),) = ((count or 0 for count in counts) for counts in connection.fetchall())
    if there != rows:
        raise _refused(plan, path, f"it has {there} rows, not {rows}")
    if wrong:
        raise _refused(plan, path, f"{wrong} rows hold values finer than their rules allow")
    if rows and smallest < plan.crowd_rows_min:
        raise _refused(plan, path, f"only {smallest} rows look alike where {plan.crowd_rows_min} must")
    return int(smallest)


def _refused(plan: Plan, path: Path, why: str) -> HubError:
    return HubError(f"data set {plan.data_set}: {path.name} is refused: {why}", hint=_HINT)


def _is_coarse(one: Outgoing) -> str | None:
    """A condition that holds for null and for every value that the rule can make; None where any value is right."""
    name, amount = quoted(one.name), one.rule.amount
    match one.rule.form:
        case Form.AS_IS:
            return None
        case Form.YEAR:
            return f"({name} is null or try_cast({name} as integer) is not null)"
        case Form.DECADE:
            return f"({name} is null or try_cast({name} as integer) % 10 = 0)"
        case Form.MONTH:
            return f"({name} is null or regexp_full_match({name}, '-?\\d+-\\d\\d'))"
        case Form.FIRST:
            return f"({name} is null or length({name}) <= {amount})"
        case Form.ROUND:
            steps = f"({name}::double / {amount})"
            near = f"abs({steps} - round({steps})) <= 1e-9 * abs({steps}) + 1e-9"
            return f"({name} is null or not isfinite({steps}) or {near})"
