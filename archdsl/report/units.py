"""Numbers as people read them: with separators, in decimal or binary units."""

from __future__ import annotations

from archdsl.sizes import Size

OPEN = "depends on the sizes"
"""Instead of a figure that the symbols leave open."""

_DECIMAL = ("", "K", "M", "G", "T", "P", "E")
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def separated(number: Size | None) -> str:
    """`62,378,344`; an expression in symbols as it is."""
    if number is None:
        return OPEN
    return f"{number:,}" if isinstance(number, int) else str(number)


def human(number: Size | None) -> str:
    """`62.4 M`: three digits that count, in powers of 1,000."""
    return _scaled(number, 1000, _DECIMAL)


def human_bytes(number: Size | None) -> str:
    """`1.11 MiB`: three digits that count, in powers of 1,024."""
    return _scaled(number, 1024, _BINARY)


def _scaled(number: Size | None, base: int, units: tuple[str, ...]) -> str:
    if not isinstance(number, int):
        return separated(number)
    value, power = float(number), 0
    # 999.5 would be rounded to 1000 of the smaller unit.
    while value >= (999.5 if power else base) and power + 1 < len(units):
        value /= base
        power += 1
    digits = 0 if power == 0 or value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:.{digits}f} {units[power]}".strip()
