"""`cityhub risk`: the city's risk, put together from its commands."""

import typer

from hub.cli import risk_grade, risk_impact, risk_map, risk_score, warning

app = typer.Typer(help="Risk points, their score and reasons; impact of accidents; the map.", no_args_is_help=True)
app.command()(risk_score.run)
app.command()(risk_score.top)
app.command()(risk_score.explain)
app.command()(risk_impact.impact)
app.command()(risk_grade.grade)
app.command("map")(risk_map.write_map)
app.command("watch")(warning.watch)
