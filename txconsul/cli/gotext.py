"""
What Go's standard library says: texts that scripts around Consul's command line have learnt to look for.

Texts that come from arguments may hold bytes that are no UTF-8; they travel as Python's surrogates and are
written as they came.
"""

from __future__ import annotations

import os

__all__ = ["file_error", "go_quoted", "system_error", "to_bytes", "to_text"]


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
