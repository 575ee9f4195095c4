"""Major hazard sources and their stocks, as the work safety agency files them."""

from dataclasses import dataclass

from hub.errors import BadRequestError
from hub.risk.impact.reading import Reading
from hub.risk.impact.scenario import Kind
from hub.risk.impact.substances import Substance, Substances, find_substance

_SOURCE = "select source_id, name, lon, lat from major_hazard_sources where source_id = $source"
_STOCKS = """
select chemical, quantity, critical_quantity from hazardous_chemicals where source_id = $source
order by quantity / greatest(critical_quantity, 1e-9) desc, chemical
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stock:
    """Tonnes."""

    chemical: str
    quantity: float
    critical_quantity: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """`stocks` with the most critical quantities first."""

    source_id: str
    name: str
    lon: float
    lat: float
    stocks: tuple[Stock, ...]


def fetch_source(reading: Reading, source_id: str) -> Source:
    """Raises BadRequestError when there is none of that id."""
    rows = reading.table(_SOURCE, {"source": source_id}).to_pylist()
    if not rows:
        raise BadRequestError(
            f"there is no major hazard source {source_id!r}",
            hint='cityhub query "select source_id, name from major_hazard_sources"',
        )
    stocks = reading.table(_STOCKS, {"source": source_id}).to_pylist()
    return Source(**rows[0], stocks=tuple(Stock(**one) for one in stocks))


def stock_for(
    source: Source, kind: Kind, chemical: Substance | None, substances: Substances
) -> tuple[Substance, float]:
    """(substance, kilograms there): of the chemical that is asked for, or of the stock with the most critical
    quantities that such an accident can happen with. Raises BadRequestError."""
    for stock in source.stocks:
        found = find_substance(stock.chemical, substances)
        if found is not None and (found == chemical if chemical else _suits(found, kind)):
            return found, stock.quantity * 1000
    there = ", ".join(stock.chemical for stock in source.stocks) or "nothing"
    wanted = chemical.name.zh if chemical else f"what makes a {kind}"
    raise BadRequestError(
        f"source {source.source_id} has no {wanted}; it has {there}", hint="give --chemical and --mass, or another kind"
    )


def _suits(substance: Substance, kind: Kind) -> bool:
    match kind:
        case "explosion":
            return substance.blast_heat is not None
        case "pool_fire":
            return substance.makes_pools
        case "fireball":
            return substance.makes_fireballs
        case "toxic_plume":
            return substance.aegl is not None
