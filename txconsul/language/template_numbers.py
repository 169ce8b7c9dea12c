"""
Numbers and truth values of templates as Go reads and writes them.

Source: Go's documentation of strconv.
"""

from __future__ import annotations

import re
from math import isfinite

from txconsul.codec.goquote import quote

__all__ = ["BadNumber", "parse_bool", "parse_float", "parse_int", "show_float"]

_INT_END = 2**63
_INT = re.compile(
    r"([+-]?)(?:0[xX](?:_?[0-9a-fA-F])+|0[bB](?:_?[01])+|0[oO](?:_?[0-7])+|0(?:_?[0-7])*|[1-9](?:_?[0-9])*)"
)
_FLOAT = re.compile(r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|inf(?:inity)?|nan)", re.IGNORECASE)
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
#: More digits than this are out of range whatever they are; Python refuses to read thousands of them.
_DIGITS_MAX = 70
#: Fractions are shown with an exponent where they would have more digits than this before the point.
_WHOLE_DIGITS_MAX = 6


class BadNumber(ValueError):
    """The text is no such value; the error is Go's."""

    def __init__(self, function: str, text: str, what: str = "invalid syntax") -> None:
        super().__init__(f"strconv.{function}: parsing {quote(text)}: {what}")


def parse_int(text: str) -> int:
    """
    A whole number of 64 bits: decimal, or with C{0x}, C{0b}, C{0o} or C{0} before it.

    @raise BadNumber: it is none.
    """
    found = _INT.fullmatch(text)
    if found is None:
        raise BadNumber("ParseInt", text)
    digits = text.lstrip("+-").replace("_", "").lower()
    value = _INT_END
    if len(digits) <= _DIGITS_MAX:
        octal = len(digits) > 1 and digits[0] == "0" and digits[1].isdigit()
        value = int(digits, 8) if octal else int(digits, 0)
    value = -value if found[1] == "-" else value
    if not -_INT_END <= value < _INT_END:
        raise BadNumber("ParseInt", text, "value out of range")
    return value


def parse_float(text: str) -> float:
    """
    A fraction.

    @raise BadNumber: it is none.
    """
    if not _FLOAT.fullmatch(text):
        raise BadNumber("ParseFloat", text)
    value = float(text)
    if not isfinite(value) and text[-1].isdigit():
        raise BadNumber("ParseFloat", text, "value out of range")
    return value


def parse_bool(text: str) -> bool:
    """
    A truth value.

    @raise BadNumber: it is none.
    """
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise BadNumber("ParseBool", text)


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
