"""
Text in quotes as Go's %q writes it, which clients see in Consul's error texts, and as Go reads it.

Source: Go's documentation of strconv.Quote and strconv.Unquote, and its specification of string literals.
"""

from __future__ import annotations

import re

__all__ = ["quote", "unquote"]

_SHORT = {7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r", 34: '\\"', 92: "\\\\"}


def quote(text: str | bytes) -> str:
    r"""
    The text in double quotes; what cannot be printed is escaped.

    >>> print(quote('a "b"'), quote(b"\xff\n"))
    "a \"b\"" "\xff\n"
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")
    return '"' + "".join([_shown(letter) for letter in text]) + '"'


def _shown(letter: str) -> str:
    code = ord(letter)
    if code in _SHORT:
        return _SHORT[code]
    if letter == " " or (letter.isprintable() and not 0xD800 <= code < 0xE000):
        return letter
    if 0xDC80 <= code < 0xDD00:  # a byte that is no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


_LETTERS = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92, '"': 34}
_ESCAPE = re.compile(
    r"""\\(?:x(?P<byte>[0-9a-fA-F]{2})|u(?P<short>[0-9a-fA-F]{4})|U(?P<long>[0-9a-fA-F]{8})|(?P<octal>[0-7]{3})"""
    r"""|(?P<letter>[abfnrtv\\"]))"""
)


def unquote(literal: str) -> str | None:
    r"""
    What a string literal of Go, in double quotes or back quotes, stands for; None where it is none. Bytes that are no
    UTF-8 come as lone surrogates.

    >>> unquote(r'"a\tb"'), unquote(r"`a\tb`"), unquote(r'"\q"')
    ('a\tb', 'a\\tb', None)
    """
    sign, inner = literal[:1], literal[1:-1]
    if len(literal) < 2 or sign not in ("`", '"') or literal[-1] != sign or sign in _ESCAPE.sub("", inner):
        return None
    if sign == "`":
        return None if "`" in inner else inner.replace("\r", "")
    if "\n" in inner:
        return None
    if "\\" not in inner:
        return inner
    found, at = bytearray(), 0
    for escape in _ESCAPE.finditer(inner):
        plain = inner[at : escape.start()]
        if "\\" in plain:
            return None
        found += plain.encode("utf-8", "surrogateescape")
        code = _code(escape)
        if code is None:
            return None
        found += code
        at = escape.end()
    rest = inner[at:]
    if "\\" in rest:
        return None
    found += rest.encode("utf-8", "surrogateescape")
    return found.decode("utf-8", "surrogateescape")


def _code(escape: re.Match[str]) -> bytes | None:
    """The bytes of one escape; None where there is no such character."""
    kind = escape.lastgroup or ""
    digits = escape[kind]
    if kind == "letter":
        return bytes((_LETTERS[digits],))
    code = int(digits, 8 if kind == "octal" else 16)
    if kind in ("byte", "octal"):
        return bytes((code,)) if code < 256 else None
    return None if code > 0x10FFFF or 0xD800 <= code < 0xE000 else chr(code).encode()
