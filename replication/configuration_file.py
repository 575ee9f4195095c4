"""The configuration of a log, durable at a centre: one JSON object, replaced as a whole.

{"checksum": CRC-32 of the rest as compact JSON with sorted keys, "configuration": {"version", "epoch", "leader",
 "in_sync": [centre, …]}, "format": 1, "pending": [centre, …] or null}
"""

import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Final

from replication.core.types import Configuration
from replication.durable import replace_file
from replication.errors import ConfigurationDamagedError

_FORMAT: Final = 1


def load(path: Path) -> tuple[Configuration, frozenset[str] | None] | None:
    """(configuration, pending) as saved last; None when nothing was ever saved.

    Raises ConfigurationDamagedError or OSError.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        content = json.loads(data)
        checksum = content.pop("checksum")
        if checksum != _checksum(content):
            raise ConfigurationDamagedError(path, "checksum differs")
        if content["format"] != _FORMAT:
            raise ConfigurationDamagedError(path, f"unknown format {content['format']}")
        fields, pending = content["configuration"], content["pending"]
        configuration = Configuration(**{**fields, "in_sync": frozenset(fields["in_sync"])})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigurationDamagedError(path, f"not a configuration: {error}") from error
    return configuration, None if pending is None else frozenset(pending)


def save(path: Path, configuration: Configuration, pending: frozenset[str] | None) -> None:
    """Durable on return; a crash leaves the old file or the new one. Raises OSError."""
    content: dict[str, object] = {
        "configuration": {**asdict(configuration), "in_sync": sorted(configuration.in_sync)},
        "format": _FORMAT,
        "pending": None if pending is None else sorted(pending),
    }
    content["checksum"] = _checksum(content)
    replace_file(path, [json.dumps(content, indent=2, sort_keys=True).encode(), b"\n"])


def _checksum(content: Mapping[str, object]) -> int:
    return zlib.crc32(json.dumps(content, separators=(",", ":"), sort_keys=True).encode())
