r"""
The little language of cloud auto-join: C{provider=aws tag_key=role tag_value="consul server"}.

Keys and values with spaces, equals signs, quotes or backslashes stand in double quotes, within which a backslash
escapes, as in Go's strings.

Source: the documentation of go-discover.
"""

from __future__ import annotations

import re

from txconsul.errors import RequestRefused

__all__ = ["BadSettings", "parse"]

_WORD = re.compile(r"[^ =\"][^ =]*")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPE = re.compile(
    r"\\(?:(?P<simple>[abfnrtv\\\"])|(?P<octal>[0-7]{3})|x(?P<byte>[0-9a-fA-F]{2})"
    r"|u(?P<short>[0-9a-fA-F]{4})|U(?P<long>[0-9a-fA-F]{8})|(?P<bad>.?))",
    re.DOTALL,
)
_SIMPLE = dict(zip('abfnrtv\\"', '\a\b\f\n\r\t\v\\"', strict=True))
_BYTE_MAX = 0xFF
_CODE_POINT_MAX = 0x10FFFF
_SURROGATES = range(0xD800, 0xE000)


class BadSettings(RequestRefused):
    """This is no list of settings; the text says where."""


def parse(text: str) -> dict[str, str]:
    """
    Settings by their names, in their order.

    @raise BadSettings: there are none to be read from this.

    >>> parse('provider=aws tag_value="consul server"')
    {'provider': 'aws', 'tag_value': 'consul server'}
    """
    found: dict[str, str] = {}
    text = text.strip()
    at = 0
    while at < len(text):
        at, key = _token(text, at, "")
        if key in found:
            raise BadSettings(f"{key}: duplicate key")
        at = _skip_spaces(text, at)
        if text[at : at + 1] != "=":
            raise BadSettings(f"{key}: missing '='")
        at, found[key] = _token(text, at + 1, key)
        at = _skip_spaces(text, at)
    return found


def _skip_spaces(text: str, at: int) -> int:
    while text[at : at + 1] == " ":
        at += 1
    return at


def _token(text: str, at: int, key: str) -> tuple[int, str]:
    """
    A key or a value.

    @param key: whose value it is; empty where it is a key.
    @return: where it ends, and what it is.
    """
    at = _skip_spaces(text, at)
    lead = f"{key}: " if key else ""
    if text[at : at + 1] == '"':
        quoted = _QUOTED.match(text, at)
        if quoted is None:
            raise BadSettings(f"{lead}unbalanced quotes")
        return quoted.end(), _unquoted(quoted[1], lead)
    word = _WORD.match(text, at)
    if word is not None:
        return word.end(), word[0]
    if key:
        raise BadSettings(f"{key}: missing value")
    raise BadSettings('a key is missing before "="; a value with an equals sign must be in double quotes')


def _unquoted(text: str, lead: str) -> str:
    if "\n" in text:
        raise BadSettings(f"{lead}invalid syntax")
    data = bytearray()
    at = 0
    for escape in _ESCAPE.finditer(text):
        data += text[at : escape.start()].encode("utf-8", "surrogateescape")
        data += _escaped(escape, lead)
        at = escape.end()
    data += text[at:].encode("utf-8", "surrogateescape")
    return data.decode("utf-8", "surrogateescape")


def _escaped(escape: re.Match[str], lead: str) -> bytes:
    """What an escape sequence stands for."""
    kind, digits = escape.lastgroup, escape[escape.lastgroup or 0]
    if kind == "simple":
        return _SIMPLE[digits].encode()
    if kind in ("octal", "byte"):
        number = int(digits, 8 if kind == "octal" else 16)
        if number <= _BYTE_MAX:
            return bytes([number])
    if kind in ("short", "long"):
        number = int(digits, 16)
        if number <= _CODE_POINT_MAX and number not in _SURROGATES:
            return chr(number).encode()
    raise BadSettings(f"{lead}invalid syntax")
