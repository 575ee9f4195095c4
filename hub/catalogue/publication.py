"""What of a data set goes out to the public, and in which form: decided by its contract alone.

    contract → outgoing → columns, each with its rule, its type as it goes out, its unit

Open columns go out, personal ones only if `generalise` names them, internal and secret ones never. `faults` are the
reasons why a contract must not be published as it stands. There is no rule that hides what all rows of a crowd have in
common: a personal column that goes out must be a quasi identifier, so that none is left beside them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from hub.catalogue.contract import Code, Column, Contract, Sensitivity

_RULE: Final = re.compile(r"^(?P<kind>[a-z_]+)(?::(?P<amount>\d+(?:\.\d+)?))?$")
_MOMENTS: Final = ("date", "timestamp", "timestamp_us")
_SMALL_INTS: Final = ("int8", "int16", "int32", "uint8", "uint16", "uint32")
_INTS: Final = (*_SMALL_INTS, "int64", "uint64")
_IDENTIFIERS: Final = ("resident_id", "person_name", "phone")
"""Names of data elements that tell who somebody is."""
_PERSONAL: Final = (*_IDENTIFIERS, "birth_date", "sex")


class Form(StrEnum):
    AS_IS = "as_is"
    YEAR = "year"
    MONTH = "month"
    DECADE = "decade"
    FIRST = "first"
    ROUND = "round"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How values are made coarser. `amount` is the number of characters of `first`, the step of `round` in the column's
    unit, as decimal text; else empty."""

    form: Form
    amount: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A column as it goes out; `type` and `unit` are those of what its rule makes."""

    column: Column
    rule: Rule
    type: str
    unit: str

    @property
    def name(self) -> str:
        return self.column.name


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicationFault:
    """`column` is empty where the fault is none of a single column."""

    column: str
    message: str


def parse_rule(text: str) -> Rule:
    """Raises ValueError."""
    match = _RULE.match(text)
    if match is None or match["kind"] not in tuple(Form):
        raise ValueError(f"there is no rule {text!r}: as_is, year, month, decade, first:N or round:STEP")
    form, amount = Form(match["kind"]), match["amount"] or ""
    if (form in (Form.FIRST, Form.ROUND)) != bool(amount):
        raise ValueError(f"rule {text!r}: {'it wants an amount' if not amount else f'{form} has no amount'}")
    if amount and float(amount) <= 0:
        raise ValueError(f"rule {text!r}: the amount must be above zero")
    if form is Form.FIRST and "." in amount:
        raise ValueError(f"rule {text!r}: a whole number of characters")
    return Rule(form=form, amount=amount)


def type_after(rule: Rule, kind: str) -> str:
    """Type of what a rule makes of values of type `kind`. Raises ValueError where it does not fit."""
    match rule.form:
        case Form.AS_IS:
            return kind
        case Form.YEAR | Form.DECADE if kind in _MOMENTS:
            return "int32"
        case Form.MONTH if kind in _MOMENTS:
            return "string"
        case Form.FIRST if kind == "string":
            return "string"
        case Form.ROUND if kind in _INTS and "." not in rule.amount:
            return "int64" if kind in _SMALL_INTS else "float64"
        case Form.ROUND if kind.startswith(("float", "decimal")):
            return "float64"
    shown = f"{rule.form}:{rule.amount}" if rule.amount else rule.form
    raise ValueError(f"rule {shown} is not for {kind}")


def outgoing(contract: Contract) -> tuple[Outgoing, ...]:
    """The columns that go out, in the contract's order; none without a publication. Raises ValueError for a rule that
    `faults` would tell of."""
    if contract.publication is None:
        return ()
    rules = contract.publication.generalise
    return tuple(
        _outgoing(column, rules.get(column.name, Form.AS_IS))
        for column in contract.columns
        if column.sensitivity is Sensitivity.OPEN
        or (column.sensitivity is Sensitivity.PERSONAL and column.name in rules)
    )


def as_held(contract: Contract) -> tuple[Outgoing, ...]:
    """Every column as the centres hold it."""
    return tuple(_outgoing(column, Form.AS_IS) for column in contract.columns)


def faults(contract: Contract) -> Iterator[PublicationFault]:
    """Why the contract must not be published as it stands; none if it has no publication."""
    publication = contract.publication
    if publication is None:
        return
    if broken := list(_bad_rules(contract)):
        yield from broken
        return
    going = {one.name: one for one in outgoing(contract)}
    if not going:
        yield PublicationFault(column="", message="no column goes out: mark as open what the public may see")
    for name in publication.generalise:
        if name not in going:
            grade = contract.column(name).sensitivity
            yield PublicationFault(column=name, message=f"is generalised, but {grade} and so never goes out")
    for name in publication.quasi_identifiers:
        if name not in going:
            yield PublicationFault(column=name, message="is a quasi identifier, but does not go out")
    for one in going.values():
        yield from _outgoing_faults(one, publication.quasi_identifiers)


def tells_of_a_person(column: Column) -> bool:
    """By its name or its code, whatever sensitivity it has."""
    return column.name in _PERSONAL or identifies(column)


def identifies(column: Column) -> bool:
    """Whether each value alone tells who somebody is."""
    return column.name in _IDENTIFIERS or (column.domain is not None and column.domain.code is Code.RESIDENT_ID)


def _outgoing(column: Column, text: str) -> Outgoing:
    rule = parse_rule(text)
    kept = rule.form in (Form.AS_IS, Form.ROUND)
    return Outgoing(column=column, rule=rule, type=type_after(rule, column.type), unit=column.unit if kept else "")


def _bad_rules(contract: Contract) -> Iterator[PublicationFault]:
    assert contract.publication is not None
    for name, text in contract.publication.generalise.items():
        try:
            type_after(parse_rule(text), contract.column(name).type)
        except ValueError as error:
            yield PublicationFault(column=name, message=str(error))


def _outgoing_faults(one: Outgoing, quasi_identifiers: tuple[str, ...]) -> Iterator[PublicationFault]:
    if identifies(one.column):
        yield PublicationFault(column=one.name, message="tells who somebody is, and so never goes out")
    elif one.column.sensitivity is Sensitivity.PERSONAL and one.name not in quasi_identifiers:
        yield PublicationFault(column=one.name, message="is personal and goes out, but is no quasi identifier")
    if one.type == "binary" or one.type.startswith(("list", "struct")):
        yield PublicationFault(column=one.name, message=f"{one.type} cannot be written as CSV")
