"""How much of a check's output is kept."""

from __future__ import annotations

__all__ = ["captured"]


def captured(output: str, size_max: int) -> str:
    """
    An output of at most so many bytes, with a remark if more came.

    >>> captured("a rather long text", 8)
    'a rather ... (captured 8 of 18 bytes)'
    """
    data = output.encode("utf-8", "surrogateescape")
    if len(data) <= size_max:
        return output
    return f"{data[:size_max].decode('utf-8', 'ignore')} ... (captured {size_max} of {len(data)} bytes)"
