"""
Numbers and truth values of templates as Go reads and writes them.

Source: Go's documentation of strconv.
"""

from __future__ import annotations

from math import isfinite

from txconsul.codec.goquote import quote
from txconsul.language.goflags import go_bool, go_float, go_int

__all__ = ["BadNumber", "read", "show_float"]

_READERS = {int: ("ParseInt", go_int), float: ("ParseFloat", go_float), bool: ("ParseBool", go_bool)}
#: Fractions are shown with an exponent where they would have more digits than this before the point.
_WHOLE_DIGITS_MAX = 6


class BadNumber(ValueError):
    """The text is no such value; the error is Go's."""


def read(wanted: type, text: str) -> int | float | bool:
    """
    A whole number of 64 bits (decimal, or with C{0x}, C{0b}, C{0o} or C{0} before it), a fraction or a truth value.

    @param wanted: C{int}, C{float} or C{bool}.
    @raise BadNumber: it is none.
    """
    function, reader = _READERS[wanted]
    try:
        return reader(text)
    except (ValueError, OverflowError) as error:
        why = "value out of range" if isinstance(error, OverflowError) else "invalid syntax"
        raise BadNumber(f"strconv.{function}: parsing {quote(text)}: {why}") from None


def show_float(value: float) -> str:
    """
    A fraction in as few digits as tell it from all others.

    >>> show_float(2.0), show_float(0.25), show_float(1e6), show_float(0.00001)
    ('2', '0.25', '1e+06', '1e-05')
    """
    if value != value:
        return "NaN"
    if not isfinite(value):
        return "+Inf" if value > 0 else "-Inf"
    mantissa, _, exponent = f"{value!r}".partition("e")
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    digits = (whole + fraction).lstrip("0")
    point = int(exponent or 0) + (len(whole) if whole != "0" else len(digits) - len(fraction))
    digits = digits.rstrip("0") or "0"
    if digits == "0":
        return sign + "0"
    if -4 <= point - 1 < _WHOLE_DIGITS_MAX:
        if point <= 0:
            return f"{sign}0.{'0' * -point}{digits}"
        padded = digits.ljust(point, "0")
        return sign + (padded[:point] + "." + padded[point:]).rstrip(".")
    rest = digits[1:]
    return f"{sign}{digits[0]}{'.' if rest else ''}{rest}e{point - 1:+03d}"
