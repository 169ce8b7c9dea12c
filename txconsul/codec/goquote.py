"""
Text in quotes as Go's %q writes it, which clients see in Consul's error texts.

Source: Go's documentation of strconv.Quote.
"""

from __future__ import annotations

__all__ = ["quote"]

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
