"""The witness that a centre knows, durable there: one JSON object, replaced as a whole.

{"checksum": CRC-32 of the rest as compact JSON with sorted keys, "format": 1, "generation": …, "id": …}
"""

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from replication.durable import replace_file
from replication.errors import WitnessDamagedError
from replication.observation import WitnessIdentity

_FORMAT: Final = 1


def load(path: Path) -> WitnessIdentity | None:
    """None at a centre that never met a witness. Raises WitnessDamagedError or OSError."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        content = json.loads(data)
        checksum = content.pop("checksum")
        if checksum != _checksum(content):
            raise WitnessDamagedError(path, "checksum differs")
        if content["format"] != _FORMAT:
            raise WitnessDamagedError(path, f"unknown format {content['format']}")
        return WitnessIdentity(id=content["id"], generation=content["generation"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WitnessDamagedError(path, f"not a witness's identity: {error}") from error


def save(path: Path, identity: WitnessIdentity) -> None:
    """Durable on return; a crash leaves the old file or the new one. Raises OSError."""
    content: dict[str, object] = {"format": _FORMAT, "generation": identity.generation, "id": identity.id}
    content["checksum"] = _checksum(content)
    replace_file(path, [json.dumps(content, indent=2, sort_keys=True).encode(), b"\n"])


def _checksum(content: Mapping[str, object]) -> int:
    return zlib.crc32(json.dumps(content, separators=(",", ":"), sort_keys=True).encode())
