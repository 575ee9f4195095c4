"""What a file is: its data set and its mapping, by the agency's mappings or by the file's name. Pure."""

from collections.abc import Mapping as Table
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from hub.catalogue.contract import Contract
from hub.errors import InputFileError, UnknownDataSetError
from hub.ingest.mapping import Mapping

_WHOLE_NAMES: Final = "<data set>.csv or <data set>_anything.csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    contract: Contract
    mapping: Mapping


def assign(agency: str, name: str, mappings: Table[str, Mapping], contracts: Table[str, Contract]) -> Assignment:
    """`mappings` by the name of their file. Raises UnknownDataSetError, InputFileError."""
    matching = [one for one in sorted(mappings) if mappings[one].match and fnmatchcase(name, mappings[one].match or "")]
    if len(matching) > 1:
        raise InputFileError(f"{name} is matched by {' and by '.join(matching)}", hint="make their `match` narrower")
    mapping = mappings[matching[0]] if matching else Mapping()
    data_set = mapping.data_set or data_set_of(name, contracts)
    if data_set is None:
        hint = f"name it {_WHOLE_NAMES}, or add a mapping with `match` and `data_set`"
        raise UnknownDataSetError(f"neither a mapping nor its name says which data set {name} is of", hint=hint)
    contract = contracts.get(data_set)
    if contract is None:
        raise UnknownDataSetError(f"there is no data set {data_set!r}", hint="`cityhub datasets` lists them")
    if contract.agency != agency:
        words = f"data set {data_set!r} is of agency {contract.agency!r}, not of {agency!r}"
        raise InputFileError(words, hint=f"put the file into the folder {contract.agency}")
    return Assignment(contract=contract, mapping=mapping)


def data_set_of(name: str, contracts: Table[str, Contract]) -> str | None:
    """The longest name of a data set that the file's name is, or begins with before an underscore."""
    stem = name.partition(".")[0].casefold()
    found = [one for one in contracts if stem == one or stem.startswith(f"{one}_")]
    return max(found, key=len, default=None)
