"""Packets: the layers around messages, as others made them and as we do."""

from __future__ import annotations

import contextlib
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests import vectors
from tests.swim.recorded import fields, innermost, messages_of
from txconsul.codec import gomsgpack
from txconsul.swim import packet as packets
from txconsul.swim.keyring import Keyring
from txconsul.swim.messages import (
    Ack,
    Alive,
    BadGossip,
    Dead,
    IndirectPing,
    Nack,
    Ping,
    Suspect,
    User,
    read_message,
    write_message,
)
from txconsul.swim.packet import Compressed, Wrapping, compound, compressed, with_checksum

KEY = bytes(range(16))
RECORDED = ("memberlist", "gossip_serf_captured", "gossip_encrypted_captured", "gossip_consul_captured")


def wrapping(keyring: Keyring | None = None, label: bytes = b"", **options: Any) -> Wrapping:
    """A pool whose nonces are all zero."""
    return Wrapping(label, keyring, entropy=bytes, **options)


def recorded() -> list[dict[str, Any]]:
    """The recorded packets: what is a stream, or a layer alone, is tested elsewhere."""
    found = [one for name in RECORDED for one in vectors.load(name) if "stream" not in one["name"]]
    bare = ("lzw-", "compress-", "encrypted-v", "crc-", "error-", "compound-")
    return [one for one in found if not one["name"].startswith(bare)]


class RecordedTests(SynchronousTestCase):
    """What memberlist, Serf and Consul sent."""

    def test_read(self) -> None:
        """Each packet gives the messages that it holds, whole."""
        for vector in recorded():
            layer = vector["decoded"]
            ring = Keyring([bytes.fromhex(layer["key"]["hex"])]) if layer.get("layer") == "encrypted" else None
            opened = wrapping(ring).open(vectors.data(vector))
            self.assertEqual(opened.damage, [], vector["name"])
            self.assertEqual([fields(one) for one in opened.messages], messages_of(layer), vector["name"])

    def test_written(self) -> None:
        """The same messages in the same layers make the same bytes."""
        for vector in recorded():
            layer, ring, nonce = vector["decoded"], None, b""
            if layer.get("layer") == "encrypted":
                ring, nonce = Keyring([bytes.fromhex(layer["key"]["hex"])]), bytes.fromhex(layer["nonce"]["hex"])
            pool = Wrapping(b"", ring, entropy=lambda size, nonce=nonce: nonce)  # type: ignore[misc]
            messages = [write_message(one) for one in pool.open(vectors.data(vector)).messages]
            data = compound(messages) if "parts" in innermost(layer) else messages[0]
            said = repr(layer)
            written = pool.seal(data, compress="'compress'" in said, checksum="'crc'" in said)
            self.assertEqual(written, vectors.data(vector), vector["name"])

    def test_layersAlone(self) -> None:
        """Compounds, one of them cut off, compression and checksums by themselves."""
        for vector in vectors.load("memberlist"):
            said, data, name = vector["decoded"], vectors.data(vector), vector["name"]
            if name.startswith("compress-"):
                self.assertEqual(compressed(bytes.fromhex(said["plain"]["hex"])), data, name)
            elif name.startswith("crc-"):
                self.assertEqual(with_checksum(bytes.fromhex(said["inner"]["hex"])), data, name)
            elif name.startswith("compound-"):
                parts = [bytes.fromhex(part["hex"]) for part in said["parts"]]
                opened = wrapping().open(data)
                self.assertEqual([write_message(one) for one in opened.messages], parts, name)
                self.assertEqual(len(opened.damage), said.get("truncated", 0), name)


ADDRESSES = st.one_of(st.binary(min_size=4, max_size=4), st.binary(min_size=16, max_size=16))
NUMBERS = st.integers(0, (1 << 32) - 1)
PORTS = st.integers(0, 65535)
NAMES = st.text(max_size=40)
SOURCE: dict[str, Any] = {
    "source_addr": st.one_of(st.just(b""), ADDRESSES),
    "source_node": NAMES,
    "source_port": PORTS,
}
MESSAGES = st.one_of(
    st.builds(Ping, node=NAMES, seq_no=NUMBERS, **SOURCE),
    st.builds(IndirectPing, nack=st.booleans(), node=NAMES, port=PORTS, seq_no=NUMBERS, target=ADDRESSES, **SOURCE),
    st.builds(Ack, payload=st.one_of(st.none(), st.binary(max_size=90)), seq_no=NUMBERS),
    st.builds(Nack, seq_no=NUMBERS),
    st.builds(Suspect, from_=NAMES, incarnation=NUMBERS, node=NAMES),
    st.builds(Dead, from_=NAMES, incarnation=NUMBERS, node=NAMES),
    st.builds(
        Alive,
        addr=ADDRESSES,
        incarnation=NUMBERS,
        meta=st.one_of(st.none(), st.binary(max_size=512)),
        node=NAMES,
        port=PORTS,
        vsn=st.binary(min_size=6, max_size=6),
    ),
    st.builds(User, payload=st.binary(max_size=300)),
)


class LayerTests(SynchronousTestCase):
    """What one of us seals, another one opens."""

    @settings(max_examples=150, deadline=None)
    @given(st.lists(MESSAGES, min_size=1, max_size=20), st.booleans(), st.booleans(), st.booleans(), st.booleans())
    def test_roundTrip(self, messages: list[Any], compress: bool, checksum: bool, keys: bool, label: bool) -> None:
        """Any messages, in any layers."""
        pool = wrapping(Keyring([KEY]) if keys else None, b"pool" if label else b"")
        sealed = pool.seal(compound([write_message(one) for one in messages]), compress=compress, checksum=checksum)
        opened = pool.open(sealed)
        self.assertEqual((opened.messages, opened.damage), (messages, []))

    def test_overhead(self) -> None:
        """A pool says beforehand what it will add to a packet."""
        for pool in (wrapping(), wrapping(label=b"x" * 9), wrapping(Keyring([KEY])), wrapping(Keyring([KEY]), b"yz")):
            self.assertEqual(len(pool.seal(bytes(100))), 100 + pool.overhead_bytes)

    def test_label(self) -> None:
        """What has another label, or none, or one where there should be none, is of another pool."""
        data = write_message(Nack(seq_no=4))
        sealed = wrapping(label=b"us").seal(data)
        for pool in (wrapping(), wrapping(label=b"them"), wrapping(label=b"us", skip_inbound_label_check=True)):
            self.assertRaises(BadGossip, pool.open, sealed)
        self.assertRaises(BadGossip, wrapping(label=b"us").open, data)
        self.assertEqual(wrapping(label=b"us").open(sealed).messages, [Nack(seq_no=4)])
        self.assertEqual(wrapping(label=b"us", skip_inbound_label_check=True).open(data).messages, [Nack(seq_no=4)])
        self.assertRaises(ValueError, wrapping, None, b"x" * 256)

    def test_labelIsAuthenticated(self) -> None:
        """Of two pools with one key, neither reads what was sent in the other."""
        sealed = wrapping(Keyring([KEY]), b"us").seal(write_message(Nack(seq_no=4)))
        swapped = b"\xf4\x04them" + sealed[4:]
        self.assertRaises(BadGossip, wrapping(Keyring([KEY]), b"them").open, swapped)

    def test_verifyIncoming(self) -> None:
        """A pool with keys takes plain packets only where it was told so."""
        plain = write_message(Nack(seq_no=4))
        self.assertRaises(BadGossip, wrapping(Keyring([KEY])).open, plain)
        lenient = wrapping(Keyring([KEY]), verify_incoming=False, verify_outgoing=False)
        self.assertEqual(lenient.open(plain).messages, [Nack(seq_no=4)])
        self.assertEqual(lenient.seal(plain), plain)
        self.assertEqual(lenient.open(wrapping(Keyring([KEY])).seal(plain)).messages, [Nack(seq_no=4)])

    def test_checksum(self) -> None:
        """A packet whose checksum is wrong is dropped whole."""
        sealed = bytearray(with_checksum(write_message(Nack(seq_no=4))))
        sealed[-1] ^= 1
        self.assertRaises(BadGossip, wrapping().open, bytes(sealed))


class HostileTests(SynchronousTestCase):
    """Packets made to harm: each is refused, or read in part, at a bounded price."""

    def test_impossible(self) -> None:
        """Numbers out of range, addresses of another length, fields of another type, unknown messages."""
        for kind, said in (
            (0, {"SeqNo": 1 << 32}),
            (0, {"SeqNo": -1}),
            (0, {"SeqNo": "1"}),
            (0, {"SourceAddr": b"123"}),
            (1, {"Target": b""}),
            (4, {"Addr": b"12345"}),
            (4, {"Addr": b"1234", "Port": 65536}),
            (4, {"Addr": b"1234", "Incarnation": 1.5}),
            (5, {"Node": 7}),
        ):
            self.assertRaises(BadGossip, read_message, bytes([kind]) + gomsgpack.pack(said))
        for data in (
            b"",
            b"\x0e\x80",
            b"\xff",
            b"\x06\x80",
            b"\x00",
            b"\x00\x90",
            b"\x00\x81\xa4Node",
            b"\x00\x80\x00",
        ):
            self.assertRaises(BadGossip, read_message, data)

    def test_errorMessageIsForStreams(self) -> None:
        """An error message has no place in a packet."""
        self.assertEqual(wrapping().open(b"\x0d\x81\xa5Error\xa1x"), ([], ["an error message outside of a stream"]))

    def test_depth(self) -> None:
        """Layers within layers end somewhere."""
        data = write_message(Nack(seq_no=4))
        for _ in range(packets.DEPTH_MAX):
            data = compound([data])
        self.assertEqual(wrapping().open(data).messages, [Nack(seq_no=4)])
        opened = wrapping().open(compound([data]))
        self.assertEqual((opened.messages, len(opened.damage)), ([], 1))

    def test_bomb(self) -> None:
        """A packet that would unpack to much more than a packet is refused, in one layer or in several."""
        once = compressed(bytes(packets.UNPACKED_BYTES_MAX + 1))
        twice = compound([compressed(bytes(packets.UNPACKED_BYTES_MAX // 2 + 1))] * 3)
        for bomb in (once, twice):
            opened = wrapping().open(bomb)
            self.assertEqual(opened.messages, [])
            self.assertIn("more than", opened.damage[-1])

    def test_manyMessages(self) -> None:
        """The number of messages in a packet is bounded, good and bad ones together."""
        for one in (write_message(Nack(seq_no=1)), b"", b"\x63"):
            data = compound([compound([one] * 255)] * 25)
            opened = wrapping().open(data)
            self.assertLessEqual(len(opened.messages) + len(opened.damage), packets.MESSAGES_MAX + 2)

    def test_unknownAlgorithm(self) -> None:
        """Compression of another kind is refused."""
        data = b"\x09" + gomsgpack.encode(Compressed(algo=1, buf=b"x"))
        self.assertEqual(wrapping().open(data), ([], ["compression algorithm 1 is not known"]))

    def test_mutated(self) -> None:
        """Packets whose bytes were changed, sealed again so that they reach the decoders, do no other harm."""
        random, pool = Random(11), wrapping(Keyring([KEY]))
        parts = [
            write_message(Ping(node="node-b", seq_no=70000, source_addr=b"1234", source_node="a", source_port=8301)),
            write_message(Alive(addr=bytes(16), incarnation=3, meta=b"\xff\x80", node="b", port=8301, vsn=bytes(6))),
            write_message(Suspect(from_="a", incarnation=3, node="b")),
        ]
        whole = [compound(parts), compressed(compound(parts * 3)), *parts]
        read = 0
        for _ in range(3000):
            changed = bytearray(random.choice(whole))
            for _ in range(random.randrange(1, 4)):
                changed[random.randrange(len(changed))] = random.randrange(256)
            sealed = pool.seal(with_checksum(bytes(changed)))
            read += len(pool.open(sealed).messages)
        self.assertGreater(read, 1000)
        for _ in range(3000):
            changed = bytearray(random.choice(whole))
            changed[random.randrange(len(changed))] = random.randrange(256)
            with contextlib.suppress(BadGossip):
                wrapping().open(bytes(changed[: random.randrange(len(changed) + 1)]))
