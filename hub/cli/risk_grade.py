"""`risk grade`: levels of major hazard sources."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Final

import typer
from rich.markup import escape
from rich.table import Table

from hub.cli.common import (
    DEFAULT_CITY,
    CentreOption,
    CityOption,
    JsonOption,
    check_centre,
    city_of,
    command,
    connect,
    err,
    out,
    print_json,
)
from hub.position import position_to_text
from hub.risk.formulas.major_hazard import builtin_table
from hub.risk.impact.grade import Grade, grade_sources
from hub.risk.impact.grade import record as record_grades
from hub.risk.impact.reading import Reading
from hub.risk.impact.substances import builtin_substances

_REJECTED: Final = 1


@command
def grade(
    city: CityOption = DEFAULT_CITY,
    centre: CentreOption = None,
    record: Annotated[bool, typer.Option("--record", help="Write the levels to data set hazard_grades.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Grade every major hazard source by GB 18218, the gravest first.

    Reads at the standby unless --centre says otherwise.
    """
    topology = city_of(city)
    rejected = 0
    with connect(topology) as client:
        reading = Reading(client, centre=check_centre(topology, centre))
        reading.catch_up()
        grades = grade_sources(reading, builtin_table(), builtin_substances())
        if record and grades:
            now = datetime.now(UTC).replace(tzinfo=None)
            now = now.replace(microsecond=now.microsecond // 1000 * 1000)
            rejected = record_grades(client, grades, graded_at=now).rows_rejected
    if as_json:
        print_json(
            {"sources": [asdict(one) for one in grades], "position": reading.position, "rows_rejected": rejected}
        )
    else:
        _show(grades)
        err.print(f"{reading.centre} at {position_to_text(reading.position)}", style="dim", highlight=False)
    if rejected:
        err.print(f"{rejected:,} levels failed a check; they are in quarantine", style="red", highlight=False)
        raise typer.Exit(_REJECTED)


def _show(grades: list[Grade]) -> None:
    table = Table("level", "source", "name", "district", "people within 500 m", "α", "R")
    for one in grades:
        facts = (one.source_id, one.name, one.district)
        table.add_row(
            str(one.level), *(escape(fact) for fact in facts), f"{one.people:,}", f"{one.alpha:g}", f"{one.r:.1f}"
        )
    out.print(table)
    doubts = sorted({chemical for one in grades for chemical in one.doubts})
    if doubts:
        err.print(f"not known, or without critical quantity: {', '.join(doubts)}", style="yellow", highlight=False)
