"""
Whom to probe next: everybody once a round, in an order that nobody can foresee.

A round's order is a permutation that is computed step by step, not a shuffled list: ten thousand members in one process
would otherwise keep ten thousand lists of ten thousand. Source: SWIM section 4.3 (round-robin probe target selection);
Black and Rogaway, "Ciphers with Arbitrary Finite Domains" (2002), for the cycle-walking Feistel network.
"""

from __future__ import annotations

from random import Random

__all__ = ["Permutation"]

#: Rounds of the network. With fewer, small pools see some members first more often than others.
_ROUNDS = 6
#: A round multiplies by a number so long and keeps bits from its middle, which depend on all of the other half.
_KEY_BITS = 60
_SHIFT = 40


class Permutation:
    """
    The numbers below C{size}, each once.

    @ivar size: how many there are.
    @ivar position: how many were given already.
    """

    __slots__ = ("_bits", "_keys", "position", "size")

    def __init__(self, size: int, random: Random) -> None:
        self.size = size
        self.position = 0
        self._bits = max(1, ((size - 1).bit_length() + 1) // 2)
        self._keys = [random.getrandbits(_KEY_BITS) for _ in range(_ROUNDS)]

    def next(self) -> int | None:
        """The next number, or None when all were given."""
        if self.position >= self.size:
            return None
        number = self._walk(self.position)
        self.position += 1
        return number

    def _walk(self, number: int) -> int:
        bits, size = self._bits, self.size
        mask = (1 << bits) - 1
        while True:
            left, right = number >> bits, number & mask
            for key in self._keys:
                left, right = right, left ^ (((right + 1) * key >> _SHIFT) & mask)
            number = left << bits | right
            if number < size:
                return number
