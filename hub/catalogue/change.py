"""Which changes of a contract are allowed: those after which every row stored under the old one can still be read.

| part | may change to |
| --- | --- |
| name, home, kind, key, time_column, watched | nothing else |
| an existing column: name, type, order | nothing else |
| an existing column: required | no longer required |
| an existing column: all else that it says | anything; a domain holds for new rows only |
| new columns | at the end, not required |
| title, description, agency, systems, retention_days, publication | anything |
| clustering, place, order | anything; for new segments, for new rows only |
| version | one more, if anything differs |
"""

from collections.abc import Iterator
from itertools import zip_longest

from hub.catalogue.contract import Column, Contract
from hub.errors import ContractError


def check_change(old: Contract, new: Contract) -> None:
    """Returns if `new` may replace `old`; an equal contract always may. Raises ContractError with every reason."""
    if new == old:
        return
    faults = [*_identity_faults(old, new), *_column_faults(old, new)]
    if new.version != old.version + 1:
        faults.append(f"version is {new.version}, but after version {old.version} comes {old.version + 1}")
    if faults:
        raise ContractError(f"data set {old.name}: {'; '.join(faults)}", hint="new columns go at the end, not required")


def _identity_faults(old: Contract, new: Contract) -> Iterator[str]:
    for part in ("name", "home", "kind", "key", "time_column", "watched"):
        before, after = getattr(old, part), getattr(new, part)
        if before != after:
            yield f"{part} cannot change from {_shown(before)} to {_shown(after)}"


def _column_faults(old: Contract, new: Contract) -> Iterator[str]:
    for place, (before, after) in enumerate(zip_longest(old.columns, new.columns)):
        if before is None:
            if after.required:
                yield f"new column {after.name} is required, but the rows already stored do not have it"
        elif after is None or before.name != after.name:
            found = "nothing" if after is None else after.name
            yield f"column {place} is {before.name} and must stay so, found {found}"
            return  # What follows is shifted: one reason says it.
        else:
            yield from _existing_faults(before, after)


def _existing_faults(before: Column, after: Column) -> Iterator[str]:
    if before.type != after.type:
        yield f"column {before.name} cannot change from {before.type} to {after.type}"
    if after.required and not before.required:
        yield f"column {before.name} cannot become required: rows without it may be stored"


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(map(str, value))})"
    return "none" if value is None else str(value)
