"""
What Go's standard library says: texts that scripts around Consul's command line have learnt to look for.

Texts that come from arguments may hold bytes that are no UTF-8; they travel as Python's surrogates and are
written as they came.
"""

from __future__ import annotations

import binascii
import os
from typing import NoReturn

__all__ = ["BadBase64", "decode_base64", "file_error", "go_quoted", "system_error", "to_bytes", "to_text"]

#: Go marks the end of base64 data with this, and takes line breaks anywhere.
_PAD = "="
_ALPHABET = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
_BREAKS = "\r\n"


class BadBase64(ValueError):
    """The text is no base64; the message names the offset of the first wrong character."""


def to_bytes(text: str) -> bytes:
    """The bytes of a text; halves of surrogate pairs that stand for no byte become U+FFFD, as in Go."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def to_text(data: bytes) -> str:
    """The text of some bytes; those that are no UTF-8 travel as surrogates."""
    return data.decode("utf-8", "surrogateescape")


def system_error(error: OSError) -> str:
    """
    The words for an error number.

    >>> system_error(FileNotFoundError(2, "whatever"))
    'no such file or directory'
    """
    if error.errno is None:
        return str(error)
    words = os.strerror(error.errno)
    return words[:1].lower() + words[1:] if words[1:2].islower() else words


def file_error(error: OSError, name: str, operation: str = "open") -> str:
    """
    What Go's PathError says.

    >>> file_error(FileNotFoundError(2, "whatever"), "a.txt")
    'open a.txt: no such file or directory'
    """
    if isinstance(error, IsADirectoryError) and operation == "open":
        operation = "read"  # Go opens a folder and fails to read it
    return f"{operation} {name}: {system_error(error)}"


def go_quoted(text: str) -> str:
    """A text as Go's C{%q} writes it."""
    from txconsul.language.goflags import quoted

    return quoted(text)


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
    data = to_bytes(text).decode("latin-1")
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
