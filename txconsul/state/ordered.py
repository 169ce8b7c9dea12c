"""
Keys in order, for everything that is asked by prefix.

One sorted list of a million keys would move half of them at each insertion (207 us measured); sorted blocks of
about a thousand move a few hundred pointers (1-2 us).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator

__all__ = ["OrderedKeys"]

#: A block that has grown to twice this many keys is cut in half. A thousand pointers are 8 KB: one move of a few
#: hundred of them costs less than the search for the block.
BLOCK_KEYS = 1000


class OrderedKeys:
    """
    A set of byte strings in their order.

    @param keys: what it holds at first, sorted and without repetition.
    """

    __slots__ = ("_blocks", "_highest")

    def __init__(self, keys: Iterable[bytes] = ()) -> None:
        ready = list(keys)
        self._blocks = [ready[at : at + BLOCK_KEYS] for at in range(0, len(ready), BLOCK_KEYS)]
        self._highest = [block[-1] for block in self._blocks]

    def add(self, key: bytes) -> None:
        """Take in a key that is not yet there."""
        blocks, highest = self._blocks, self._highest
        if not blocks:
            blocks.append([key])
            highest.append(key)
            return
        at = bisect_left(highest, key)
        if at == len(blocks):
            at -= 1
            block = blocks[at]
            block.append(key)
            highest[at] = key
        else:
            block = blocks[at]
            insort(block, key)
        if len(block) >= 2 * BLOCK_KEYS:
            blocks[at : at + 1] = [block[:BLOCK_KEYS], block[BLOCK_KEYS:]]
            highest.insert(at, block[BLOCK_KEYS - 1])

    def discard(self, key: bytes) -> None:
        """Let go of a key; one that is not there is no matter."""
        at = bisect_left(self._highest, key)
        if at == len(self._blocks):
            return
        block = self._blocks[at]
        place = bisect_left(block, key)
        if block[place] != key:
            return
        del block[place]
        if not block:
            del self._blocks[at]
            del self._highest[at]
        elif place == len(block):
            self._highest[at] = block[-1]

    def with_prefix(self, prefix: bytes) -> list[bytes]:
        """All keys that begin so, in order."""
        if not prefix:
            return list(self)
        blocks = self._blocks
        at = bisect_left(self._highest, prefix)
        if at == len(blocks):
            return []
        start = bisect_left(blocks[at], prefix)
        found: list[bytes] = []
        above = _after(prefix)
        while at < len(blocks):
            block = blocks[at]
            if above is not None and block[-1] >= above:
                return found + block[start : bisect_left(block, above)]
            found += block[start:]
            start = 0
            at += 1
        return found

    def copy(self) -> OrderedKeys:
        """The same keys, independent of later changes."""
        twin = OrderedKeys()
        twin._blocks = [block[:] for block in self._blocks]
        twin._highest = self._highest[:]
        return twin

    def __iter__(self) -> Iterator[bytes]:
        for block in self._blocks:
            yield from block

    def __len__(self) -> int:
        return sum(map(len, self._blocks))

    def __contains__(self, key: bytes) -> bool:
        at = bisect_left(self._highest, key)
        if at == len(self._blocks):
            return False
        block = self._blocks[at]
        return block[bisect_right(block, key) - 1] == key


def _after(prefix: bytes) -> bytes | None:
    """The least byte string above all that begin with C{prefix}; None where there is none (all bytes are 255)."""
    rest = prefix.rstrip(b"\xff")
    return rest[:-1] + bytes([rest[-1] + 1]) if rest else None
