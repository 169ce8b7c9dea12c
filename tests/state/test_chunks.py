"""Commands that come in pieces."""

from __future__ import annotations

from io import BytesIO
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests import vectors
from txconsul.codec.gomsgpack import encode
from txconsul.errors import Corrupt, InvalidRequest
from txconsul.records.command import IGNORABLE, Command
from txconsul.records.kv import DirEntry, KVSRequest
from txconsul.state.chunks import CHUNKS_MAX, is_checkpoint, read_extensions
from txconsul.state.machine import StateMachine

#: The mark of Consul's log store.
CHECKPOINT = bytes([Command.RAFT_LOG_VERIFIER_CHECKPOINT | IGNORABLE, 0xC0])


def varint(number: int) -> bytes:
    """As protobuf writes it."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def extensions(number: int, place: int, count: int, more: bytes = b"") -> bytes:
    """What makes an entry a piece."""
    fields = b"".join(
        bytes([field << 3]) + varint(value) for field, value in ((1, number), (2, place), (3, count)) if value
    )
    return fields + (b"\x22" + varint(len(more)) + more if more else b"")


def command(key: bytes, value: bytes) -> bytes:
    """A write of a key."""
    return bytes([Command.KVS]) + encode(KVSRequest(op="set", dir_ent=DirEntry(key=key, value=value)))


def cut(data: bytes, count: int) -> list[bytes]:
    """Pieces, nearly of one size."""
    size = -(-len(data) // count)
    return [data[begin : begin + size] for begin in range(0, len(data), size)]


class PiecesTests(SynchronousTestCase):
    """A state machine whose log has pieces in it."""

    def setUp(self) -> None:
        self.machine = StateMachine()
        self.index = 10

    def piece(self, data: bytes, number: int, place: int, count: int, term: int = 3) -> object:
        """One entry."""
        self.index += 1
        return self.machine.apply_piece(self.index, term, data, extensions(number, place, count))

    def value(self, key: bytes = b"k") -> tuple[bytes | None, int] | None:
        """What the key holds, and since when."""
        row = self.machine.store.tables.kv.rows.get(key)
        return None if row is None else (row.value, row.modify_index)

    def again(self, machine: StateMachine) -> StateMachine:
        """Another one, restored from a snapshot of this."""
        other = StateMachine()
        for _ in other.restore(BytesIO(b"".join(machine.freeze()))):
            continue
        return other

    def test_joined(self) -> None:
        """The command happens at the index of its last piece, whatever is between."""
        one, two, three = cut(command(b"k", b"v" * 100), 3)
        self.assertIsNone(self.piece(one, 1 << 60, 0, 3))
        self.piece(two, 1 << 60, 1, 3)
        self.machine.apply(self.index, command(b"other", b"x"), None)
        self.assertIsNone(self.value())
        self.piece(three, 1 << 60, 2, 3)
        self.assertEqual(self.value(), (b"v" * 100, self.index))

    def test_interleaved(self) -> None:
        """Pieces of several commands, in any order, are told apart."""
        rng = Random(1)
        commands = {number: cut(command(b"k%d" % number, b"v%d" % number * 30), 4) for number in range(5)}
        entries = [(number, place) for number in commands for place in range(4)]
        rng.shuffle(entries)
        for number, place in entries:
            self.piece(commands[number][place], number, place, 4)
        for number in commands:
            self.assertEqual((self.value(b"k%d" % number) or (None,))[0], b"v%d" % number * 30)
        self.assertEqual(self.machine.store.tables.chunks.frozen(), {"ChunkMap": {}})

    def test_onePiece(self) -> None:
        """A command may be a single piece."""
        self.piece(command(b"k", b"v"), 1, 0, 1)
        self.assertEqual(self.value(), (b"v", self.index))

    def test_resultOfTheWhole(self) -> None:
        """What the command gives is given with the last piece."""
        data = bytes([Command.KVS]) + encode(
            KVSRequest(op="cas", dir_ent=DirEntry(key=b"k", value=b"v", modify_index=9))
        )
        one, two = cut(data, 2)
        self.assertEqual((self.piece(one, 1, 0, 2), self.piece(two, 1, 1, 2)), (None, False))

    def test_newTerm(self) -> None:
        """With a piece of a newer term, unfinished commands of older ones are gone."""
        one, two = cut(command(b"k", b"v" * 9), 2)
        self.piece(one, 1, 0, 2, term=3)
        self.piece(command(b"x", b"y"), 2, 0, 1, term=4)
        self.piece(two, 1, 1, 2, term=4)
        self.assertIsNone(self.value())
        self.piece(one, 1, 0, 2, term=4)
        self.assertIsNotNone(self.value())

    def test_snapshotBetween(self) -> None:
        """A snapshot holds the pieces that are there; the rest makes the same of both."""
        one, two = cut(command(b"k", b"v" * 9), 2)
        self.piece(one, 7, 0, 2)
        other = self.again(self.machine)
        for machine in (self.machine, other):
            machine.apply_piece(20, 3, two, extensions(7, 1, 2))
        self.assertEqual(b"".join(other.freeze()), b"".join(self.machine.freeze()))
        self.assertEqual((other.store.tables.kv.rows[b"k"].value, self.value()), (b"v" * 9, (b"v" * 9, 20)))

    def test_snapshotOfAnOlderTerm(self) -> None:
        """What a snapshot holds of an older term is dropped with the first piece of a newer one."""
        one, two = cut(command(b"k", b"v" * 9), 2)
        self.piece(one, 7, 0, 2)
        other = self.again(self.machine)
        other.apply_piece(20, 4, two, extensions(7, 1, 2))
        self.assertNotIn(b"k", other.store.tables.kv.rows)

    def test_badSnapshots(self) -> None:
        """What is no state of pieces is refused."""
        for value in (
            None,
            {},
            {b"ChunkMap": 1},
            {b"ChunkMap": {b"x": []}},
            {b"ChunkMap": {1: []}},
            {b"ChunkMap": {1: [1]}},
        ):
            self.assertRaises(Corrupt, self.machine.store.tables.chunks.restore, value)

    def test_badPieces(self) -> None:
        """What cannot be a piece changes nothing, on every server alike."""
        for bad in (
            b"",
            extensions(1, 2, 2),
            extensions(1, 0, CHUNKS_MAX + 1),
            extensions(1, 0, 1 << 40),
            b"\x08",
            b"\x08" + b"\xff" * 20,
            b"\x0b\x01",
            b"\x22\x05ab",
            b"\x09ab",
        ):
            self.assertIsInstance(self.machine.apply_piece(11, 3, b"x", bad), InvalidRequest, bad)
        self.piece(b"x", 1, 0, 2)
        self.assertIsInstance(self.piece(b"x", 1, 4, 5), InvalidRequest)

    def test_emptyPieceIsNone(self) -> None:
        """A piece without anything is as if it had not come."""
        one, two = cut(command(b"k", b"v"), 2)
        self.piece(one, 1, 0, 3)
        self.piece(b"", 1, 1, 3)
        self.piece(two, 1, 2, 3)
        self.assertIsNone(self.value())

    def test_checkpoints(self) -> None:
        """A mark of Consul's log store is no piece."""
        mark = bytes.fromhex("03a59203d6f9d1af") + bytes(16)
        self.assertTrue(is_checkpoint(CHECKPOINT, mark))
        self.assertFalse(is_checkpoint(CHECKPOINT, extensions(1, 0, 1)))
        self.assertFalse(is_checkpoint(b"\xa9", mark))
        self.assertIsNone(self.machine.apply_piece(11, 3, CHECKPOINT, mark))


class ExtensionsTests(SynchronousTestCase):
    """What an entry says of the piece that it is."""

    def test_vector(self) -> None:
        """As go-raftchunking writes it."""
        (vector,) = [one for one in vectors.load("log_commands") if one["name"] == "chunk-extensions"]
        told = vector["decoded"]
        read = read_extensions(vectors.data(vector))
        self.assertEqual(read, (told["op_num"], told["sequence_num"], told["num_chunks"]))

    def test_innerExtensions(self) -> None:
        """What is for the layer below is skipped, and so is what later versions add."""
        self.assertEqual(read_extensions(extensions(9, 1, 2, b"inner") + b"\x2d1234" + b"\x3912345678"), (9, 1, 2))

    @given(st.integers(0, (1 << 64) - 1), st.integers(0, (1 << 32) - 1), st.integers(0, (1 << 32) - 1))
    def test_numbers(self, number: int, place: int, count: int) -> None:
        """Any numbers come back."""
        self.assertEqual(read_extensions(extensions(number, place, count)), (number, place, count))

    @given(st.binary(max_size=30))
    def test_anything(self, data: bytes) -> None:
        """Bytes are three numbers, or are refused."""
        try:
            read_extensions(data)
        except InvalidRequest:
            return
