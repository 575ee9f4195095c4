"""How figures are shown: short, with their unit."""

from typing import Final

_UNITS: Final = ("B", "KiB", "MiB", "GiB")
_SPANS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"))


def size(size_bytes: float) -> str:
    for unit in _UNITS[:-1]:
        if size_bytes < 1024:
            return f"{size_bytes:.0f} {unit}"
        size_bytes /= 1024
    return f"{size_bytes:,.0f} {_UNITS[-1]}"


def span(seconds: float) -> str:
    for unit_s, unit in _SPANS:
        if seconds >= 2 * unit_s:
            return f"{seconds / unit_s:,.0f} {unit}"
    return f"{seconds:,.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"
