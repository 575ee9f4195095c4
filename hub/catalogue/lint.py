"""What is doubtful in contracts that can be loaded: findings, each by a rule of its own. Pure.

    contracts → lint → findings

A contract that loads can be used; one without findings also says what its data mean, whom they are about and how they
hang together. Rules of one contract are in `_RULES`, in the order in which they are told; `coverage` looks at a whole
catalogue. The unit of a column of floats may lie elsewhere: `see COLUMN` names a column of the same data set that
holds it, `see DATA_SET.COLUMN` one of another. A ratio has the unit 1.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from hub.catalogue.contract import Column, Contract, Kind, Sensitivity
from hub.catalogue.load import agencies, elements
from hub.catalogue.publication import faults, tells_of_a_person

SYSTEMS: Final = tuple(f"S{number}" for number in range(1, 21))
_WITHOUT_DATA: Final = ("S4", "S19")  # The two centres and the computing centre: they hold data, they do not send any.
_OF_THE_HUB: Final = "cityhub"
_CJK: Final = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_UNIT_ELSEWHERE: Final = re.compile(r"^see (?:(?P<data_set>\w+)\.)?(?P<column>\w+)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`column` is empty for what concerns the data set; `data_set` is, too, for what concerns the whole catalogue."""

    data_set: str
    column: str
    rule: str
    message: str


Told = Iterator[tuple[str, str]]
"""(column, message) of what a rule finds."""
_Rule = Callable[[Contract, Mapping[str, Contract]], Told]


def lint(contracts: Iterable[Contract], *, known: Mapping[str, Contract] | None = None) -> list[Finding]:
    """Findings in these contracts, in their order. References may go to `known` data sets, too."""
    judged = {contract.name: contract for contract in contracts}
    all_known = {**(known or {}), **judged}
    return [
        Finding(data_set=contract.name, column=column, rule=name, message=message)
        for contract in judged.values()
        for name, rule in _RULES.items()
        for column, message in rule(contract, all_known)
    ]


def coverage(contracts: Iterable[Contract]) -> list[Finding]:
    """What a whole catalogue lacks: a data set of every source unit and for every system that needs one."""
    judged = list(contracts)
    units = agencies().keys() - {_OF_THE_HUB} - {contract.agency for contract in judged}
    systems = set(SYSTEMS) - set(_WITHOUT_DATA) - {system for contract in judged for system in contract.systems}
    missing = [f"source unit {name} has no data set" for name in sorted(units)]
    missing += [f"system {name} has no data set" for name in SYSTEMS if name in systems]
    return [Finding(data_set="", column="", rule="coverage", message=message) for message in missing]


def _agency(contract: Contract, known: Mapping[str, Contract]) -> Told:
    if contract.agency not in agencies():
        yield "", f"{contract.agency!r} is none of the source units"


def _systems(contract: Contract, known: Mapping[str, Contract]) -> Told:
    if not contract.systems:
        yield "", "serves none of the city's systems"
    for system in contract.systems:
        if system not in SYSTEMS:
            yield "", f"there is no system {system!r}: {SYSTEMS[0]} to {SYSTEMS[-1]}"


def _titles(contract: Contract, known: Mapping[str, Contract]) -> Told:
    for name, title in (("", contract.title), *((column.name, column.title) for column in contract.columns)):
        if not _CJK.search(title.zh):
            yield name, f"title zh {title.zh!r} holds no Chinese character"
        if _CJK.search(title.en):
            yield name, f"title en {title.en!r} holds Chinese characters"


def _units(contract: Contract, known: Mapping[str, Contract]) -> Told:
    for column in contract.columns:
        if column.type.startswith("float") and not column.unit:
            yield column.name, "has no unit: 1 for a ratio, `see COLUMN` for one that a column holds"
        if match := _UNIT_ELSEWHERE.match(column.unit):
            where = known.get(match["data_set"]) if match["data_set"] else contract
            held = _column(where, match["column"])
            if held is None or held.type != "string":
                yield column.name, f"its unit lies nowhere: {column.unit!r} is no column of strings"


def _time(contract: Contract, known: Mapping[str, Contract]) -> Told:
    if contract.kind is Kind.EVENT and contract.time_column is None and not _recorded(contract):
        yield "", "is an event data set without a time column"


def _references(contract: Contract, known: Mapping[str, Contract]) -> Told:
    for column in contract.columns:
        if (link := column.reference) is None:
            continue
        there = known.get(link.data_set)
        if (target := _column(there, link.column)) is None or there is None:
            yield column.name, f"refers to {link.data_set}.{link.column}, which does not exist"
        elif target.type != column.type:
            yield column.name, f"is {column.type} and refers to {link.data_set}.{link.column}, which is {target.type}"
        elif link.column not in there.key:
            yield column.name, f"refers to {link.data_set}.{link.column}, which is no part of its key"


def _elements(contract: Contract, known: Mapping[str, Contract]) -> Told:
    """A column with a unit of its own is another quantity that has the same name: a level in metres, no colour."""
    for column in contract.columns:
        element: dict[str, Any] | None = elements().get(column.name)
        if element is None or column.unit != element.get("unit", ""):
            continue
        if column.type != element["type"]:
            yield column.name, f"is {column.type}, the data element of its name {element['type']}"


def _publication(contract: Contract, known: Mapping[str, Contract]) -> Told:
    for fault in faults(contract):
        yield fault.column, fault.message


def _persons(contract: Contract, known: Mapping[str, Contract]) -> Told:
    for column in contract.columns:
        if tells_of_a_person(column) and column.sensitivity not in (Sensitivity.PERSONAL, Sensitivity.SECRET):
            yield column.name, f"is about a person, and {column.sensitivity}: mark it as personal"


def _place(contract: Contract, known: Mapping[str, Contract]) -> Told:
    """Places anywhere else, such as buoys in the sea, have a domain that is wider than the city."""
    pair = [column for name in ("lon", "lat") if (column := _column(contract, name)) is not None]
    if contract.place is None and len(pair) == 2 and all(map(_in_the_city, pair)):
        yield "", 'says where it lies, but not so in the contract: place = ["lon", "lat"]'


def _domains(contract: Contract, known: Mapping[str, Contract]) -> Told:
    """What the hub itself records goes through no check."""
    if _recorded(contract):
        return
    for column in contract.columns:
        domain = column.domain
        limits = () if domain is None else (domain.length_max, domain.values, domain.pattern, domain.code)
        if column.type == "string" and all(limit is None for limit in limits):
            yield column.name, "is text without a limit: length_max, values, pattern or code"


_RULES: Final[dict[str, _Rule]] = {
    "agency": _agency,
    "systems": _systems,
    "titles": _titles,
    "units": _units,
    "time": _time,
    "references": _references,
    "elements": _elements,
    "publication": _publication,
    "persons": _persons,
    "place": _place,
    "domains": _domains,
}


def _recorded(contract: Contract) -> bool:
    return contract.home == "each"


def _column(contract: Contract | None, name: str) -> Column | None:
    return next((column for column in contract.columns if column.name == name), None) if contract else None


def _in_the_city(column: Column) -> bool:
    city = elements()[column.name]["domain"]
    domain = column.domain
    return column.required and domain is not None and (domain.min, domain.max) == (city["min"], city["max"])
