"""The registries of links: what each is made of, and the SQL that tells how it differs from what is stored. Pure.

A registry is compared part by part, a part being the rows whose key's hash leaves `$part` when divided by `$parts`: so
neither a join at the centre nor what is on its way depends on how many people there are. Links that are as they should
be never leave the centre.
"""

from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import Final

from hub.catalogue.contract import Contract

_PART: Final = "hash({}) % $parts::ubigint = $part::ubigint"


@dataclass(frozen=True, kw_only=True)
class LinkRegistry:
    """`base` has a row for each link, with the same key, one column. `sources` are all data sets that a link depends
    on, `base` among them. With `by_day`, a link depends on the day, too (parameter `$held_on`)."""

    contract: Contract
    base: str
    sources: tuple[str, ...]
    by_day: bool = False

    @property
    def name(self) -> str:
        return self.contract.name

    @property
    def key(self) -> str:
        (name,) = self.contract.key
        return name

    @cached_property
    def differing(self) -> str:
        """The links as they should be, in the contract's columns, that are not stored so."""
        computed = files(__package__).joinpath(f"{self.name}.sql").read_text(encoding="utf-8")
        names = [column.name for column in self.contract.columns]
        differs = " or ".join(f"n.{name} is distinct from l.{name}" for name in names if name != self.key)
        return (
            f"with computed as (\n{computed})\n"  # noqa: S608  # names of a contract
            f"select {', '.join(f'n.{name}' for name in names)} from computed n\n"
            f"left join (select * from {self.name} where {_PART.format(self.key)}) l on l.{self.key} = n.{self.key}\n"
            f"where l.{self.key} is null or {differs}"
        )

    @property
    def gone(self) -> str:
        """Keys of links whose row of the base is no more."""
        part = _PART.format(self.key)
        return (
            f"select l.{self.key} from (select {self.key} from {self.name} where {part}) l\n"  # noqa: S608  # as above
            f"anti join (select {self.key} from {self.base} where {part}) b on b.{self.key} = l.{self.key}"
        )

    @property
    def counts(self) -> str:
        """How many links there are, and how many of them have a reason why something is not linked."""
        return f"select count(*) as links, count(reason) as unlinked from {self.name}"  # noqa: S608  # as above


BUILDINGS: Final = "building_links"
_SOURCES: Final[dict[str, tuple[str, ...]]] = {
    # The base first. Buildings come first of all: persons and legal persons are linked to them.
    BUILDINGS: ("buildings", "grid_cells", "residents", "legal_persons"),
    "person_links": ("residents", "insured_people", "legal_persons", BUILDINGS),
    "legal_person_links": ("legal_persons", "residents", BUILDINGS),
}
_BY_DAY: Final = ("person_links",)


def link_registries(contracts: dict[str, Contract]) -> list[LinkRegistry]:
    """In the order in which they are brought up to date. Raises KeyError for a contract that is not there."""
    return [
        LinkRegistry(contract=contracts[name], base=sources[0], sources=sources, by_day=name in _BY_DAY)
        for name, sources in _SOURCES.items()
    ]
