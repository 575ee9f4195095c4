"""Substances by any of their names. `substances.toml` has units and sources."""

from functools import cache

from pydantic import Field

from hub.errors import BadRequestError
from hub.risk.formulas.tables import Row, Table, read_table


class Name(Row):
    zh: str
    en: str


class Substance(Row):
    """None where a substance does not burn, boil or explode, or nobody has measured it."""

    name: Name
    aliases: tuple[str, ...] = ()
    kind: str
    molar_mass: float = Field(gt=0)
    density: float | None = Field(default=None, gt=0)
    boiling_point: float | None = None
    heat_of_combustion: float | None = Field(default=None, gt=0)
    latent_heat: float | None = Field(default=None, gt=0)
    heat_capacity: float | None = Field(default=None, gt=0)
    burning_rate: float | None = Field(default=None, gt=0)
    explosion_heat: float | None = Field(default=None, gt=0)
    tnt_share: float | None = Field(default=None, gt=0, le=1)
    aegl: tuple[float, float, float] | None = None
    erpg: tuple[float, float, float] | None = None
    idlh: float | None = Field(default=None, gt=0)

    @property
    def blast_heat(self) -> float | None:
        """kJ/kg that its explosion gives off, before the share that goes into the blast."""
        return None if self.tnt_share is None else self.explosion_heat or self.heat_of_combustion

    @property
    def makes_fireballs(self) -> bool:
        """Whether it is kept as a liquid above its boiling point, and burns."""
        return self.heat_of_combustion is not None and (self.boiling_point or 0) < 25

    @property
    def makes_pools(self) -> bool:
        return None not in (self.heat_of_combustion, self.density) and (
            self.burning_rate is not None or None not in (self.latent_heat, self.heat_capacity, self.boiling_point)
        )


class Substances(Table):
    substance: tuple[Substance, ...]


@cache
def builtin_substances() -> Substances:
    return read_table(__package__, "substances.toml", Substances)


def find_substance(name: str, table: Substances) -> Substance | None:
    wanted = name.strip().casefold()
    return next((one for one in table.substance if wanted in (one.name.zh, one.name.en.casefold(), *one.aliases)), None)


def substance_named(name: str, table: Substances) -> Substance:
    """Raises BadRequestError."""
    found = find_substance(name, table)
    if found is None:
        known = ", ".join(f"{one.name.zh} {one.name.en}" for one in table.substance)
        raise BadRequestError(f"nothing is known of the chemical {name!r}", hint=f"one of {known}")
    return found
