"""Requests and answers on a stream."""

from __future__ import annotations

import struct
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests import vectors
from txconsul.codec.gomsgpack import BadMessage, pack, unpack
from txconsul.rpc.call import CONTAINERS_MAX, EMPTY, Reply, ReplyReader, Request, RequestReader, reply, request


class VectorTests(SynchronousTestCase):
    """What real programs sent."""

    def test_captured(self) -> None:
        """Every captured request and answer is read, and written byte for byte alike, however it was cut."""
        seen = 0
        for vector in vectors.load("rpc_captured") + vectors.load("rpc_framing"):
            header = vector["decoded"].get("header")
            if header is None:
                continue
            seen += 1
            sent = vectors.data(vector)
            asks = "Error" not in header
            for size in (1, 7, len(sent)):
                reader: Any = RequestReader() if asks else ReplyReader()
                found = None
                for begin in range(0, len(sent), size):
                    self.assertIsNone(found)
                    reader.feed(sent[begin : begin + size])
                    found = reader.next()
                self.assertEqual((found.sequence, found.method), (header["Seq"], header["ServiceMethod"]))
                self.assertIsNone(reader.next())
                self.assertFalse(reader.within)
                if asks:
                    self.assertEqual(request(*found), sent)
                else:
                    self.assertEqual(found.error, header["Error"])
                    self.assertEqual(reply(found.sequence, found.method, found.body, found.error), sent)
        self.assertGreater(seen, 150)

    def test_bodies(self) -> None:
        """Each recorded value is a body, found whole between its neighbours."""
        for vector in vectors.load("msgpack_rpc"):
            body = vectors.data(vector)
            if "head" in vector["notes"]:  # of a long one, only that is given
                continue
            reader = RequestReader()
            reader.feed(request(1, "A.B", body) + request(2, "A.B", body))
            self.assertEqual([reader.next(), reader.next()], [Request(1, "A.B", body), Request(2, "A.B", body)])


class ReaderTests(SynchronousTestCase):
    """Anything else."""

    def test_errorsHaveAnEmptyBody(self) -> None:
        """Whatever stood for the answer, an error goes with an empty map."""
        reader = ReplyReader()
        reader.feed(reply(3, "KVS.Get", b"\x01", "No cluster leader"))
        self.assertEqual(reader.next(), Reply(3, "KVS.Get", "No cluster leader", EMPTY))

    def test_within(self) -> None:
        """A reader knows whether its stream ended within a message."""
        sent = request(1, "Status.Ping", EMPTY)
        for size in range(1, len(sent)):
            reader = RequestReader()
            reader.feed(sent[:size])
            self.assertIsNone(reader.next())
            self.assertTrue(reader.within)

    def test_leftOutFields(self) -> None:
        """A header says no more than it must: what is left out is zero, what is unknown is ignored."""
        reader = RequestReader()
        reader.feed(pack({"Other": [1]}) + EMPTY)
        self.assertEqual(reader.next(), Request(0, "", EMPTY))

    def test_badHeaders(self) -> None:
        """A header of another shape is refused."""
        for header in (
            pack([1, "A.B"]),
            pack(5),
            b"\xc1",
            pack({"Seq": "1"}),
            pack({"Seq": -1}),
            pack({"ServiceMethod": 1}),
            pack({"ServiceMethod": b"x" * (1 << 16)}),
            b"\x91" * 3000,
        ):
            reader = RequestReader()
            reader.feed(header + EMPTY)
            self.assertRaises(BadMessage, reader.next)

    def test_tooLarge(self) -> None:
        """A body beyond the limit is refused before it is whole."""
        reader = RequestReader(1000)
        reader.feed(request(1, "A.B", b"\xda\xff\xff" + b"x" * 1000))
        self.assertRaises(BadMessage, reader.next)

    def test_bombs(self) -> None:
        """A body of lists and maps alone, a byte each and many in memory, is refused; a large one of bytes is not."""
        size = CONTAINERS_MAX + 1
        for bomb in (b"\x90" * size, b"\x80" * size, b"\x91\xc0" * size):
            body = b"\xdd" + struct.pack(">I", size) + bomb
            reader = RequestReader()
            reader.feed(request(1, "A.B", body))
            self.assertRaises(BadMessage, reader.next)
        for body in (pack(b"\x90" * (4 << 20)), pack([{"a": [1]}] * 50_000), pack([None] * (1 << 20))):
            reader = RequestReader()
            reader.feed(request(1, "A.B", body))
            self.assertEqual(reader.next(), Request(1, "A.B", body))

    @settings(max_examples=200, deadline=None)
    @given(st.binary(max_size=80))
    def test_anyBytes(self, received: bytes) -> None:
        """No bytes make it fail otherwise than with L{BadMessage}."""
        for reader in (RequestReader(200), ReplyReader(200)):
            try:
                reader.feed(received)
                while reader.next() is not None:
                    pass
            except BadMessage:
                continue

    @given(st.integers(0, 2**64 - 1), st.text(max_size=40), st.text(max_size=300))
    def test_headersAreOldMsgpack(self, sequence: int, method: str, error: str) -> None:
        """Headers are written as the old specification has it, keys sorted."""
        sent = reply(sequence, method, b"\xc0", error)
        header = {"Error": error, "Seq": sequence, "ServiceMethod": method}
        self.assertEqual(sent, pack(header) + (EMPTY if error else b"\xc0"))
        sent = request(sequence, method, EMPTY)
        self.assertEqual(sent, pack({"Seq": sequence, "ServiceMethod": method}) + EMPTY)
        self.assertEqual(unpack(sent[:-1])[b"Seq"], sequence)
