"""
Go's durations: C{"1m30s"} and nanoseconds.

Source: Go's documentation of time.ParseDuration and Duration.String.
"""

from __future__ import annotations

import re

__all__ = ["HOUR", "MICROSECOND", "MILLISECOND", "MINUTE", "SECOND", "BadDuration", "format_duration", "parse_duration"]

MICROSECOND = 1_000
MILLISECOND = 1_000_000
SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE

_UNITS = {"ns": 1, "us": MICROSECOND, "µs": MICROSECOND, "μs": MICROSECOND, "ms": MILLISECOND}
_UNITS |= {"s": SECOND, "m": MINUTE, "h": HOUR}
#: A number and whatever stands before the next number, which should be a unit.
_PART = re.compile(r"(?=\.?[0-9])([0-9]*)(?:\.([0-9]*))?([^.0-9]*)")
_LOW, _HIGH = -(2**63), 2**63 - 1
#: Digits of _HIGH: longer numbers are not even converted, which would take quadratic time.
_DIGITS_MAX = 19


class BadDuration(ValueError):
    """The text is no duration."""


def parse_duration(text: str) -> int:
    """
    Nanoseconds of a Go duration.

    @raise BadDuration: it is none, or does not fit into 64 bits.

    >>> parse_duration("1m30s"), parse_duration("-1.5ms"), parse_duration("0")
    (90000000000, -1500000, 0)
    """
    body = text[1:] if text[:1] in ("-", "+") else text
    if body == "0":
        return 0
    total, at = 0, 0
    while at < len(body) or not body:
        match = _PART.match(body, at)
        if match is None:
            raise BadDuration(f"time: invalid duration {_quote(text)}")
        if not match[3]:
            raise BadDuration(f"time: missing unit in duration {_quote(text)}")
        unit = _UNITS.get(match[3])
        if unit is None:
            raise BadDuration(f"time: unknown unit {_quote(match[3])} in duration {_quote(text)}")
        digits, fraction = match[1].lstrip("0") or "0", match[2] or ""
        if len(digits) > _DIGITS_MAX:
            raise BadDuration(f"time: invalid duration {_quote(text)}")
        total += int(digits) * unit
        if fraction:
            fraction = fraction[:_DIGITS_MAX]  # what follows is below a nanosecond
            total += int(fraction) * unit // 10 ** len(fraction)
        at = match.end()
    total = -total if text[0] == "-" else total
    if not _LOW <= total <= _HIGH:
        raise BadDuration(f"time: invalid duration {_quote(text)}")
    return total


def _quote(text: str) -> str:
    """The text in quotes, as Go's time package writes it: what is not printable ASCII byte by byte."""
    shown = [
        f"\\{chr(byte)}" if byte in b'"\\' else chr(byte) if 0x20 <= byte < 0x80 else f"\\x{byte:02x}"
        for byte in text.encode("utf-8", "surrogateescape")
    ]
    return '"' + "".join(shown) + '"'


def format_duration(nanoseconds: int) -> str:
    """
    A duration as Go writes it.

    >>> format_duration(90 * SECOND), format_duration(1_500_000), format_duration(0)
    ('1m30s', '1.5ms', '0s')
    """
    if nanoseconds == 0:
        return "0s"
    sign, rest = ("-", -nanoseconds) if nanoseconds < 0 else ("", nanoseconds)
    for unit, name in ((1, "ns"), (MICROSECOND, "µs"), (MILLISECOND, "ms")):
        if rest < unit * 1000 and rest < SECOND:
            return f"{sign}{_decimal(rest, unit)}{name}"
    hours, rest = divmod(rest, HOUR)
    minutes, rest = divmod(rest, MINUTE)
    shown = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{sign}{shown}{_decimal(rest, SECOND)}s"


def _decimal(value: int, unit: int) -> str:
    whole, part = divmod(value, unit)
    digits = f"{part:0{len(str(unit)) - 1}d}".rstrip("0") if part else ""
    return f"{whole}.{digits}" if digits else str(whole)
