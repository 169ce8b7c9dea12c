"""How much of a check's output is kept."""

from __future__ import annotations

__all__ = ["Tail", "captured"]


def captured(output: str, size_max: int) -> str:
    """
    The begin of an output, of at most so many bytes, with a remark if more came.

    >>> captured("a rather long text", 8)
    'a rather ... (captured 8 of 18 bytes)'
    """
    data = output.encode("utf-8", "surrogateescape")
    if len(data) <= size_max:
        return output
    return f"{data[:size_max].decode('utf-8', 'ignore')} ... (captured {size_max} of {len(data)} bytes)"


class Tail:
    """
    The end of what comes in pieces.

    @ivar data: the last C{size_max} bytes.
    @ivar size: how many came in all.
    """

    def __init__(self, size_max: int) -> None:
        self._size_max = size_max
        self.data = b""
        self.size = 0

    def add(self, data: bytes) -> None:
        """More came."""
        self.size += len(data)
        whole = self.data + data
        self.data = whole[max(len(whole) - self._size_max, 0) :]

    def text(self) -> str:
        """As text, whatever it was."""
        return self.data.decode("utf-8", "replace")

    def remarked(self) -> str:
        """
        As text, with a remark if more came.

        >>> tail = Tail(4)
        >>> tail.add(b"a rather"), tail.add(b" long text")
        (None, None)
        >>> tail.remarked()
        'Captured 4 of 18 bytes\\n...\\ntext'
        """
        if self.size <= len(self.data):
            return self.text()
        return f"Captured {len(self.data)} of {self.size} bytes\n...\n{self.text()}"
