"""Streams: requests and answers over a connection, as they come in."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests import vectors
from tests.swim.recorded import fields, node_fields, plain
from txconsul.codec import gomsgpack
from txconsul.swim import stream as streams
from txconsul.swim.keyring import Keyring
from txconsul.swim.messages import Ack, BadGossip, ErrorMessage, NodeState, Ping, User
from txconsul.swim.packet import Wrapping, compressed, with_label
from txconsul.swim.stream import PushPull, StreamMessage, StreamReader, write_stream

KEY = bytes(range(16))
STATE = NodeState(addr=b"\x7f\0\0\1", incarnation=3, meta=b"\xff\x80", name="a", port=8301, state=0, vsn=bytes(6))


def wrapping(keyring: Keyring | None = None, label: bytes = b"", **options: Any) -> Wrapping:
    """A pool whose nonces are all zero."""
    return Wrapping(label, keyring, entropy=bytes, **options)


def read(pool: Wrapping, data: bytes, size: int = 1 << 20) -> StreamMessage | None:
    """What a connection gives which brings so many bytes at a time."""
    reader = StreamReader(pool)
    for begin in range(0, len(data), size):
        message = reader.feed(data[begin : begin + size])
        if message is not None:
            return message
    return None


def said(message: StreamMessage) -> Any:
    """A message in the terms of the vectors."""
    if type(message) is PushPull:
        return [fields(node) for node in message.nodes], message.user_state
    return fields(message)  # type: ignore[arg-type]


def recorded() -> Iterator[tuple[dict[str, Any], bytes, Any, Wrapping, bool]]:
    """Each recorded stream: its vector, its bytes, what it says, in which pool, and whether it is compressed."""
    for name in ("memberlist", "gossip_serf_captured", "gossip_encrypted_captured", "gossip_consul_captured"):
        for vector in vectors.load(name):
            if "stream" not in vector["name"] or vector["name"].endswith("-head"):
                continue
            layer = whole = vector["decoded"]
            while "inner" in layer:
                layer = layer["inner"]
            if "nodes" in layer:
                state = layer.get("user_state", layer.get("user", {"hex": ""}))
                message: Any = ([node_fields(node) for node in layer["nodes"]], state)
            elif "body" in layer:
                message = {key: plain(value) for key, value in layer["body"].items()}
            elif "payload" in layer:
                message = {"payload": plain(layer["payload"])}
            else:
                message = None
            ring = Keyring([bytes.fromhex(whole["key"]["hex"])]) if "key" in whole else None
            nonce = bytes.fromhex(whole["nonce"]["hex"]) if "nonce" in whole else b""
            label = whole.get("label", "").encode()
            pool = Wrapping(label, ring, entropy=lambda size, nonce=nonce: nonce)  # type: ignore[misc]
            # A vector with a label begins behind the label's header.
            yield (
                vector,
                with_label(label, vectors.data(vector)),
                message,
                pool,
                "compress" in repr(whole) or "Algo" in repr(whole),
            )


class RecordedTests(SynchronousTestCase):
    """What memberlist, Serf and Consul sent."""

    def test_read(self) -> None:
        """Each stream gives its message, however its bytes are cut, and says what the vector says."""
        for vector, data, message, pool, _ in recorded():
            got = read(pool, data)
            assert got is not None, vector["name"]
            if type(got) is PushPull and message is not None:
                self.assertEqual(said(got)[0], message[0], vector["name"])
            elif message is not None:
                self.assertEqual(said(got), message, vector["name"])
            for size in (1, 7):
                self.assertEqual(read(pool, data, size), got, vector["name"])

    def test_written(self) -> None:
        """The same message makes the same bytes."""
        for vector, data, _, pool, compress in recorded():
            message = read(pool, data)
            assert message is not None
            compress = compress or "compressed" in vector["name"]
            self.assertEqual(write_stream(message, pool, compress=compress), data, vector["name"])


MESSAGES = st.one_of(
    st.builds(
        PushPull,
        st.booleans(),
        st.lists(
            st.builds(
                NodeState,
                addr=st.binary(min_size=4, max_size=4),
                incarnation=st.integers(0, (1 << 32) - 1),
                meta=st.one_of(st.none(), st.binary(max_size=40)),
                name=st.text(max_size=20),
                port=st.integers(0, 65535),
                state=st.integers(0, 3),
                vsn=st.binary(min_size=6, max_size=6),
            ),
            max_size=6,
        ),
        st.binary(max_size=200),
    ),
    st.builds(Ping, node=st.text(max_size=20), seq_no=st.integers(0, (1 << 32) - 1)),
    st.builds(Ack, seq_no=st.integers(0, (1 << 32) - 1)),
    st.builds(User, payload=st.binary(max_size=300)),
    st.builds(ErrorMessage, error=st.text(max_size=50)),
)


class StreamTests(SynchronousTestCase):
    """What one of us writes, another one reads."""

    @settings(max_examples=150, deadline=None)
    @given(MESSAGES, st.booleans(), st.booleans(), st.booleans(), st.integers(1, 500))
    def test_roundTrip(self, message: StreamMessage, compress: bool, keys: bool, label: bool, size: int) -> None:
        """Any message, in any layers, in pieces of any size; and never before it is whole."""
        pool = wrapping(Keyring([KEY]) if keys else None, b"pool" if label else b"")
        data = write_stream(message, pool, compress=compress)
        self.assertEqual(read(pool, data, size), message)
        self.assertIs(read(pool, data[:-1], size), None)

    def test_largeStatesAreNotCompressed(self) -> None:
        """Compressing takes time; a large state goes as it is."""
        large = PushPull(False, [], bytes(streams.COMPRESSED_BYTES_MAX))
        self.assertGreater(len(write_stream(large, wrapping(), compress=True)), streams.COMPRESSED_BYTES_MAX)
        small = PushPull(False, [], bytes(streams.COMPRESSED_BYTES_MAX // 2))
        self.assertLess(len(write_stream(small, wrapping(), compress=True)), 2000)

    def test_pools(self) -> None:
        """Encrypted and plain pools, and those of another label, do not read each other; each says why."""
        message = Ping(node="a", seq_no=1)
        sealed = write_stream(message, wrapping(Keyring([KEY]), b"us"), compress=False)
        for pool, reason in (
            (wrapping(label=b"us"), "encryption is not configured"),
            (wrapping(Keyring([bytes(16)]), b"us"), "no installed keys"),
            (wrapping(Keyring([KEY]), b"them"), "another pool"),
            (wrapping(Keyring([KEY])), "another pool"),
            (wrapping(Keyring([KEY]), b"us", skip_inbound_label_check=True), "taken away"),
        ):
            error = self.assertRaises(BadGossip, read, pool, sealed)
            self.assertIn(reason, str(error))
        naked = write_stream(message, wrapping(), compress=False)
        error = self.assertRaises(BadGossip, read, wrapping(Keyring([KEY])), naked)
        self.assertIn("not encrypted", str(error))
        self.assertEqual(read(wrapping(Keyring([KEY]), verify_incoming=False), naked), message)


class HostileTests(SynchronousTestCase):
    """Streams made to harm."""

    def test_lyingLengths(self) -> None:
        """Lengths beyond the limits are refused as soon as they are read."""
        header = gomsgpack.pack
        for data in (
            b"\x0a\xff\xff\xff\xff",
            b"\x06" + header({"Join": False, "Nodes": 1 << 40, "UserStateLen": 0}),
            b"\x06" + header({"Join": False, "Nodes": 0, "UserStateLen": 1 << 30}),
            b"\x06" + header({"Join": False, "Nodes": -1, "UserStateLen": 0}),
            b"\x08" + header({"UserMsgLen": 1 << 30}),
            b"\x08" + header({"UserMsgLen": -1}),
            b"\x06\xdf\xff\xff\xff\xff",
            b"\x06\xdd\x00\xff\xff\xff",
            b"\x06\x81\xa1x\xdd\x00\xff\xff\xff",
        ):
            pool = wrapping(Keyring([KEY]) if data[0] == 10 else None)
            self.assertRaises(BadGossip, read, pool, data)

    def test_notForStreams(self) -> None:
        """What belongs into packets, and what is unknown, is refused."""
        for kind in (1, 3, 4, 5, 7, 11, 12, 14, 200):
            self.assertRaises(BadGossip, read, wrapping(), bytes([kind]) + b"\x80")
        self.assertRaises(BadGossip, read, wrapping(), b"\xf4\x00")

    def test_compressedTwice(self) -> None:
        """One layer of compression is read; a second one is not."""
        data = write_stream(Ping(node="a", seq_no=1), wrapping(), compress=True)
        self.assertEqual(read(wrapping(), data), Ping(node="a", seq_no=1))
        self.assertRaises(BadGossip, read, wrapping(), compressed(data))

    def test_cutShortWithin(self) -> None:
        """A frame or a compressed layer whose message is not whole is refused: nothing more will come."""
        whole = streams._write(PushPull(False, [STATE], b"state"))
        pool = wrapping(Keyring([KEY]))
        for size in range(1, len(whole)):
            self.assertRaises(BadGossip, read, wrapping(), compressed(whole[:size]))
            head = b"\x0a" + pool.sealed_bytes(size).to_bytes(4, "big")
            self.assertRaises(BadGossip, read, pool, head + pool.encrypt(whole[:size], head))

    def test_mutated(self) -> None:
        """Changed streams, encrypted again so that they reach the decoders, are refused or read as something else."""
        random, pool = Random(13), wrapping(Keyring([KEY]))
        plain_state = streams._write(PushPull(True, [STATE] * 3, b"user state"))
        whole = [plain_state, compressed(plain_state), streams._write(User(payload=b"long message"))]
        outcomes = {"read": 0, "refused": 0}
        for _ in range(3000):
            changed = bytearray(random.choice(whole))
            for _ in range(random.randrange(1, 4)):
                changed[random.randrange(len(changed))] = random.randrange(256)
            head = b"\x0a" + pool.sealed_bytes(len(changed)).to_bytes(4, "big")
            try:
                read(pool, head + pool.encrypt(bytes(changed), head))
            except BadGossip:
                outcomes["refused"] += 1
            else:
                outcomes["read"] += 1
            with contextlib.suppress(BadGossip):
                read(wrapping(), bytes(changed), random.choice([1, 5, 1000]))
        self.assertGreater(min(outcomes.values()), 300)
