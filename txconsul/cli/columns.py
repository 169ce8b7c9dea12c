"""
Tables whose columns are as wide as their widest cell, as most lists of Consul's command line are.

Source: the documentation of the Go package columnize, whose tables scripts take apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = ["table"]

_GAP = "  "


def table(rows: Iterable[Sequence[str]]) -> str:
    """
    Rows of cells as lines, without a newline behind the last. A row's own last cell is not filled up.

    >>> table([["Node", "DC"], ["n1", "dc1"]])
    'Node  DC\\nn1    dc1'
    """
    cells = [[cell.strip() for cell in row] for row in rows]
    widths: list[int] = []
    for row in cells:
        widths += [0] * (len(row) - len(widths))
        for column, cell in enumerate(row):
            widths[column] = max(widths[column], len(cell))
    return "\n".join(
        _GAP.join([*(cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)), *row[-1:]])
        for row in cells
    )
