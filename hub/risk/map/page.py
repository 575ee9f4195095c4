"""Tables → the page: one HTML text that asks nothing of any network. Pure.

    page.html   with {{style}}, {{script}}, {{data}}, {{policy}} and what it says without a script
    {{data}}    JSON, gzip, base64: no text of the city can be taken for markup, and 12 MB become 2
    {{policy}}  only this very style and this very script may be used, and nothing may be fetched

Everything else that comes from the hub is escaped here; the script writes texts as texts only.
"""

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from typing import Any, Final
from zoneinfo import ZoneInfo

from hub.position import position_to_text
from hub.risk.map.payload import payload
from hub.risk.map.tables import LEVELS, MapTables

_SCRIPTS: Final = (
    "labels",
    "payload",
    "camera",
    "colours",
    "scene",
    "shaders",
    "solid",
    "flat",
    "ground",
    "picking",
    "selection",
    "elements",
    "panel",
    "lists",
    "legend",
    "view",
    "controls",
    "selftest",
    "main",
)
"""In this order, as one script in one scope."""
_CITY_ZONE: Final = ZoneInfo("Asia/Shanghai")
_PLACE: Final = re.compile(r"\{\{(\w+)\}\}")


def page(tables: MapTables) -> str:
    style, script = _template("page.css"), _script()
    facts = _facts(tables)
    content = json.dumps(payload(tables), ensure_ascii=False, separators=(",", ":")).encode()
    return _filled(
        _template("page.html"),
        {
            "policy": f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'",
            "style": style,
            "script": script,
            "data": base64.b64encode(gzip.compress(content, 9, mtime=0)).decode(),
            "facts": "".join(_fact(*one) for one in facts),
            "run": escape(str(tables.run["run_id"])),
            "rollups": "".join(_rollup(row) for row in tables.rollups.to_pylist()),
        },
    )


def _template(name: str) -> str:
    return files("hub.risk.map").joinpath("template", name).read_text(encoding="utf-8")


def _script() -> str:
    parts = "\n".join(_template(f"{name}.js") for name in _SCRIPTS)
    return f'\n(() => {{\n"use strict";\n{parts}}})();\n'


def _filled(template: str, values: Mapping[str, str]) -> str:
    """Each place once; what is put in is not looked at again."""
    return _PLACE.sub(lambda found: values[found[1]], template)


def _digest(text: str) -> str:
    """As a content security policy names an inline element."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _facts(tables: MapTables) -> list[tuple[str, str, str]]:
    """(label of the script, English, value)."""
    run = tables.run
    judged = {"ops": run["position_ops"], "ecc": run["position_ecc"]}
    return [
        ("run", "Run", str(run["run_id"])),
        ("scored_at", "Scored at", _moment(run["scored_at"])),
        ("finished_at", "Finished", _moment(run["finished_at"])),
        ("weights", "Weights", f"v{run['weights_version']}"),
        ("positions", "Data positions", position_to_text(judged)),
        ("read_at", "Map read at", f"{tables.centre} · {position_to_text(tables.position)}"),
        ("points", "Risk points", f"{run['points']:,}"),
        ("engine", "Engine", f"{run['engine']} · {run['partitions']} · {run['seconds']:.1f} s"),
    ]


def _moment(value: datetime) -> str:
    """UTC without a zone → the city's time."""
    return f"{value.replace(tzinfo=UTC).astimezone(_CITY_ZONE):%Y-%m-%d %H:%M:%S} UTC+8"


def _fact(label: str, english: str, value: str) -> str:
    return f'<div><dt data-t="{label}">{escape(english)}</dt><dd>{escape(value)}</dd></div>'


def _rollup(row: Mapping[str, Any]) -> str:
    counts = "".join(f"<td>{row[name]:,}</td>" for name in (*LEVELS, "points"))
    return f'<tr><th scope="row">{escape(str(row["name"]))}</th>{counts}<td>{row["risk_max"]:.3f}</td></tr>'
