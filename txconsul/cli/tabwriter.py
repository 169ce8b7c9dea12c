"""
Columns that are as wide as they must be, in the way of Go's text/tabwriter.

A cell ends with a tab; what follows the last tab of a line belongs to no column. A column is a run of adjacent lines
that have a cell there, and is as wide as its widest cell and the padding.

Source: the documentation of Go's package text/tabwriter (after Elliott's elastic tabstops).
"""

from __future__ import annotations

__all__ = ["align"]


def align(text: bytes, *, width_min: int = 0, padding: int = 6) -> bytes:
    """
    Set the cells of a text in columns of spaces.

    @param width_min: of a column, padding included.

    >>> align(b"a\\tb\\nlong\\tc", padding=1)
    b'a    b\\nlong c'
    """
    lines = [line.split(b"\t") for line in text.split(b"\n")]
    widths = [[0] * (len(cells) - 1) for cells in lines]
    _measure(lines, widths, 0, len(lines), 0, width_min, padding)
    return b"\n".join(
        b"".join([*(_padded(cell, width) for cell, width in zip(cells, row, strict=False)), cells[-1]])
        for cells, row in zip(lines, widths, strict=True)
    )


def _measure(
    lines: list[list[bytes]], widths: list[list[int]], begin: int, end: int, column: int, width_min: int, padding: int
) -> None:
    """Fill in the widths of a column's runs between two lines, and of the columns inside each run."""
    at = begin
    while at < end:
        if len(lines[at]) - 1 <= column:
            at += 1
            continue
        last = at
        while last < end and len(lines[last]) - 1 > column:
            last += 1
        widest = max(_length(lines[row][column]) for row in range(at, last))
        # a column of empty cells takes no room, as Go has it with its flag DiscardEmptyColumns unset: padding only
        width = max(widest + padding, width_min)
        for row in range(at, last):
            widths[row][column] = width
        _measure(lines, widths, at, last, column + 1, width_min, padding)
        at = last


def _length(cell: bytes) -> int:
    return len(cell.decode("utf-8", "replace"))


def _padded(cell: bytes, width: int) -> bytes:
    return cell + b" " * (width - _length(cell))
