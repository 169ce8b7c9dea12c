"""
Base64 as Go reads it, with its words for what is none.

Source: the documentation of Go's encoding/base64.
"""

from __future__ import annotations

import binascii
from typing import NoReturn

__all__ = ["BadBase64", "decode_base64"]

#: Go marks the end of base64 data with this, and takes line breaks anywhere.
_PAD = "="
_ALPHABET = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
_BREAKS = "\r\n"


class BadBase64(ValueError):
    """The text is no base64; the message names the offset of the first wrong character."""


def decode_base64(text: str) -> bytes:
    """
    Standard base64 with its padding; line breaks are skipped wherever they stand.

    @raise BadBase64: a character is none of the alphabet, or the padding is missing or misplaced.
    """
    plain = text.replace("\r", "").replace("\n", "")
    try:
        return binascii.a2b_base64(plain.encode("ascii"), strict_mode=True)
    except ValueError:  # binascii.Error and UnicodeEncodeError are both
        _raise_offset(text)


def _raise_offset(text: str) -> NoReturn:
    """Find what is wrong, counting in bytes of the text as Go does."""
    data = _bytes(text).decode("latin-1")
    quantum: list[int] = []  # the places of the characters of the group of four that is being read
    at = 0
    while at < len(data):
        char = data[at]
        if char in _BREAKS:
            at += 1
            continue
        if char in _ALPHABET:
            quantum = [*quantum, at] if len(quantum) < 4 else [at]
            at += 1
            continue
        if char != _PAD or len(quantum) not in (2, 3):
            raise BadBase64(f"illegal base64 data at input byte {at}")
        wanted = 4 - len(quantum)
        while at < len(data) and wanted:
            if data[at] not in _BREAKS:
                if data[at] != _PAD:
                    break
                wanted -= 1
            at += 1
        while at < len(data) and data[at] in _BREAKS:
            at += 1
        raise BadBase64(f"illegal base64 data at input byte {at}")
    raise BadBase64(f"illegal base64 data at input byte {quantum[0] if 0 < len(quantum) < 4 else len(data)}")


def _bytes(text: str) -> bytes:
    """Those that Go would count; what came as a surrogate without being a byte has three."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
