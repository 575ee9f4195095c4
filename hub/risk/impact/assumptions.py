"""What a scenario takes for granted where nobody says otherwise."""

from functools import cache

from pydantic import Field

from hub.risk.formulas.tables import Table, read_table


class Assumptions(Table):
    release_s: float = Field(gt=0)
    plume_reach_m: float = Field(gt=0)
    wind_min_m_s: float = Field(gt=0)
    pool_depth_m: float = Field(gt=0)
    pool_radiated_share: float = Field(gt=0, le=1)
    pool_transmissivity: float = Field(gt=0, le=1)
    fireball_radiated_share: float = Field(gt=0, le=1)
    vapour_pa: float = Field(gt=0)
    air_c: float


@cache
def builtin_assumptions() -> Assumptions:
    return read_table(__package__, "assumptions.toml", Assumptions)
