"""The edges of messages in a stream."""

from __future__ import annotations

import tracemalloc
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txconsul.codec.edges import Edges
from txconsul.codec.gomsgpack import BadMessage, pack

VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.binary(max_size=300), st.floats()),
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(st.text(max_size=5), inner, max_size=5)),
    max_leaves=20,
)


def messages(edges: Edges) -> list[bytes]:
    """All that are whole."""
    found = []
    while (one := edges.next()) is not None:
        found.append(one)
    return found


class EdgesTests(SynchronousTestCase):
    """Streams cut anywhere."""

    @settings(max_examples=100, deadline=None)
    @given(st.lists(VALUES, max_size=6), st.integers(1, 400), st.booleans())
    def test_anyCut(self, values: list[Any], size: int, later: bool) -> None:
        """Each message comes out as it went in, whatever way the stream is cut and whenever somebody looks."""
        packed = [pack(one) for one in values]
        sent = b"".join(packed)
        edges = Edges(1 << 20)
        found = []
        for begin in range(0, len(sent), size):
            edges.feed(sent[begin : begin + size])
            if not later:
                found += messages(edges)
        found += messages(edges)
        self.assertEqual(found, packed)
        self.assertEqual(edges.held, 0)

    @settings(max_examples=200, deadline=None)
    @given(st.lists(st.binary(max_size=50), max_size=10))
    def test_anyBytes(self, pieces: list[bytes]) -> None:
        """Bytes that are no messages are held back or refused."""
        edges = Edges(100)
        try:
            for one in pieces:
                edges.feed(one)
                messages(edges)
        except BadMessage:
            return
        self.assertLessEqual(edges.held, 100)

    def test_tooLarge(self) -> None:
        """A message beyond the limit is refused, whole or in pieces, and one that fits is not."""
        self.assertEqual(messages(_fed(Edges(103), pack(b"x" * 100))), [pack(b"x" * 100)])
        self.assertRaises(BadMessage, messages, _fed(Edges(102), pack(b"x" * 100)))
        edges = Edges(102)
        edges.feed(b"\xdd\xff\xff\xff\xff")
        self.assertEqual(messages(edges), [])
        edges.feed(b"\x01" * 97)
        self.assertEqual(messages(edges), [])
        edges.feed(b"\x01")
        self.assertRaises(BadMessage, edges.next)

    def test_bombs(self) -> None:
        """What a message promises to become takes no memory."""
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        for bomb in (
            b"\xdd\xff\xff\xff\xff" * 20,
            b"\xdf\xff\xff\xff\xff" * 20,
            b"\xdb\xff\xff\xff\xff",
            b"\x91" * 5000,
        ):
            edges = _fed(Edges(1 << 24), bomb)
            try:
                self.assertIsNone(edges.next())
            except BadMessage:
                continue
        self.assertLess(tracemalloc.get_traced_memory()[1], 1 << 20)

    def test_roomIsGivenBack(self) -> None:
        """After a large message an idle stream holds little, and goes on."""
        edges = Edges(1 << 24)
        large = pack(b"x" * (4 << 20))
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        for begin in range(0, len(large), 1 << 16):
            edges.feed(large[begin : begin + (1 << 16)])
        self.assertEqual(len(edges.next() or b""), len(large))
        self.assertIsNone(edges.next())
        self.assertLess(tracemalloc.get_traced_memory()[0], 5 << 20)
        edges.feed(pack(b"y"))
        self.assertEqual(edges.next(), pack(b"y"))


def _fed(edges: Edges, data: bytes) -> Edges:
    edges.feed(data)
    return edges
