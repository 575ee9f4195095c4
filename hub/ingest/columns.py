"""Which column of a file fills which column of a contract: by the mapping, else by name, Chinese or English title."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from hub.catalogue.contract import Column, Contract
from hub.errors import InputFileError
from hub.ingest.mapping import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a contract column comes from: a place among the file's columns, a constant, or nowhere."""

    column: Column
    place: int | None = None
    constant: str | None = None


def bind(names: Sequence[str], contract: Contract, mapping: Mapping) -> tuple[list[Source], list[str]]:
    """A source for each contract column, and what is to be said about the rest. Raises InputFileError."""
    plain = [name.strip() for name in names]
    wanted = {target: source.strip() for source, target in mapping.columns.items()}
    sources, notes, missing = [], [], []
    for column in contract.columns:
        if column.name in mapping.constants:
            sources.append(Source(column=column, constant=mapping.constants[column.name]))
            continue
        place = _place(plain, column, wanted, mapping)
        if place is None and column.required:
            names_of = repr(wanted[column.name]) if column.name in wanted else f"{column.title.zh}, {column.title.en}"
            missing.append(f"{column.name} ({names_of})")
        elif place is None and column.name in wanted:
            notes.append(f"the file has no column {wanted[column.name]!r}: {column.name} stays empty")
        sources.append(Source(column=column, place=place))
    if missing:
        raise InputFileError(
            f"no column for {', '.join(missing)}; found: {', '.join(plain) or 'nothing'}",
            hint="name the columns in a mapping file" if plain else "",
        )
    used = {source.place for source in sources}
    if unused := [name for place, name in enumerate(plain) if place not in used]:
        notes.append(f"columns not loaded: {', '.join(unused)}")
    return sources, notes


def known_names(contract: Contract, mapping: Mapping) -> Collection[str]:
    """What a column of a file may be called if it is to be loaded, without case."""
    names = {source.strip().casefold() for source in mapping.columns}
    for column in contract.columns:
        names |= _titles(column)
    return names


def _place(names: Sequence[str], column: Column, wanted: dict[str, str], mapping: Mapping) -> int | None:
    if column.name in wanted:
        found = [place for place, name in enumerate(names) if name == wanted[column.name]]
    else:
        titles = _titles(column)
        taken = {source.strip() for source in mapping.columns}
        found = [place for place, name in enumerate(names) if name.casefold() in titles and name not in taken]
    if len(found) > 1:
        places = ", ".join(f"{names[place]!r} ({place + 1})" for place in found)
        raise InputFileError(f"more than one column for {column.name}: {places}")
    return found[0] if found else None


def _titles(column: Column) -> set[str]:
    return {column.name, column.title.zh.casefold(), column.title.en.casefold()}
