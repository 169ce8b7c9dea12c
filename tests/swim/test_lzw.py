"""Compression: Go's bytes, and no others."""

from __future__ import annotations

import contextlib
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests import vectors
from txconsul.swim.lzw import BadCompression, compress, decompress

ENOUGH = 1 << 24


class LzwTests(SynchronousTestCase):
    """Source: the wire documents, GOSSIP section 2.1."""

    def test_recorded(self) -> None:
        """What Go's writer made is read, and the same is written."""
        for vector in vectors.load("memberlist"):
            if vector["name"].startswith("lzw-"):
                plain = bytes.fromhex(vector["decoded"]["plain"]["hex"])
                self.assertEqual(compress(plain), vectors.data(vector), vector["name"])
                self.assertEqual(decompress(vectors.data(vector), ENOUGH), plain, vector["name"])

    def test_ownVectors(self) -> None:
        """The empty stream is a clear and an end code; runs use the code that is just being made."""
        self.assertEqual(compress(b"").hex(), "000302")
        self.assertEqual(compress(b"aaaa").hex(), "00c3080c1310")
        self.assertEqual(decompress(bytes.fromhex("00c3080c1310"), ENOUGH), b"aaaa")

    def test_tableRunsFull(self) -> None:
        """At every length around which the codes run out, what was written is read."""
        for size in [*range(3825, 3850), 20_000]:
            data = Random(size).randbytes(size)
            self.assertEqual(decompress(compress(data), ENOUGH), data, size)

    @settings(max_examples=150, deadline=None)
    @given(st.binary(max_size=3000), st.integers(1, 30))
    def test_roundTrip(self, data: bytes, times: int) -> None:
        """Whatever is written is read."""
        self.assertEqual(decompress(compress(data * times), ENOUGH), data * times)

    def test_bomb(self) -> None:
        """More than is allowed is refused as soon as it is too much."""
        bomb = compress(bytes(1 << 20))
        self.assertLess(len(bomb), 3000)
        self.assertRaises(BadCompression, decompress, bomb, 1 << 16)
        self.assertEqual(len(decompress(bomb, 1 << 20)), 1 << 20)

    def test_cutShort(self) -> None:
        """A stream without its end code is refused."""
        whole = compress(b"some text, some more text")
        for size in range(len(whole)):
            self.assertRaises(BadCompression, decompress, whole[:size], ENOUGH)

    def test_mutated(self) -> None:
        """Changed bytes are refused, or read as something else; nothing else happens."""
        random = Random(7)
        whole = compress(random.randbytes(600) * 3)
        for _ in range(2000):
            changed = bytearray(whole)
            for _ in range(random.randrange(1, 5)):
                changed[random.randrange(len(changed))] = random.randrange(256)
            with contextlib.suppress(BadCompression):
                decompress(changed, 1 << 16)
