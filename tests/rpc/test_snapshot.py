"""Whole states from one host to another, on a wire without sockets."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred

from tests import vectors
from tests.rpc.wire import PEER, WireCase
from txconsul.codec import gomsgpack
from txconsul.codec.gomsgpack import BadMessage
from txconsul.errors import CallLost, PermissionDenied, RemoteError, Unreachable
from txconsul.records.archive import SnapshotRequest
from txconsul.records.query import Context
from txconsul.rpc.dialing import Dialer
from txconsul.rpc.pumping import INCOMING_BYTES_MAX, TURN_BYTES_MAX
from txconsul.rpc.snapshot_asking import SavedThere, SnapshotAsker
from txconsul.rpc.snapshot_messages import MESSAGE_BYTES_MAX, Beginning, Op, SnapshotReply, SnapshotWish
from txconsul.rpc.snapshot_serving import SILENCE_TIMEOUT, SnapshotServer

PIECE = bytes(range(256)) * 64


class Door:
    """
    What stands behind the server.

    @ivar asked: what came.
    @ivar restored: archives.
    @ivar pieces: what a save gives.
    @ivar given: how many of those were taken, and C{closed} whether the rest was not wanted.
    @ivar waiting: what callers with the token C{slow} are told, and C{cancelled} those who gave up.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, SnapshotRequest, Context]] = []
        self.restored: list[bytes] = []
        self.pieces = [PIECE, b"", b"end"]
        self.breaks = False
        self.given = 0
        self.closed = False
        self.waiting: list[Deferred[Any]] = []
        self.cancelled: list[Deferred[Any]] = []

    def call(self, method: str, request: SnapshotRequest, context: Context) -> Any:
        """See L{ICaller}."""
        self.asked.append((method, request, context))
        if context.token == "bad":
            raise PermissionDenied()
        if context.token == "slow":
            self.waiting.append(Deferred(self.cancelled.append))
            return self.waiting[-1]
        if method == "Snapshot.Restore":
            self.restored.append(request.archive.read())
            return None
        return SavedThere(7, self.stream())

    def stream(self) -> Iterator[bytes]:
        """The archive."""
        try:
            for piece in self.pieces:
                self.given += 1
                yield piece
            if self.breaks:
                raise OSError("the disk broke")
        finally:
            self.closed = True


class SnapshotTests(WireCase):
    """Saving and restoring at another server."""

    def setUp(self) -> None:
        """Serve byte 5, too."""
        super().setUp()
        self.door = Door()
        SnapshotServer(self.clock, self.door, self.port.complaints).register(self.port)  # type: ignore[arg-type]
        self.asker = SnapshotAsker(self.clock, Dialer(self.client))

    def save(self, token: str = "") -> Deferred[SavedThere]:
        """Ask for the state."""
        answer = self.asker.save(PEER, SnapshotRequest("dc1", True), token)
        self.settle()
        return answer

    def take(self, saved: SavedThere) -> bytes:
        """All of an archive, one piece at a time."""
        found = b""
        for piece in saved.pieces:
            if isinstance(piece, Deferred):
                self.settle()
                piece = self.successResultOf(piece)
            found += piece
        return found

    def test_save(self) -> None:
        """The archive comes as it was given, and so does what was asked."""
        saved = self.successResultOf(self.save("secret"))
        self.assertEqual(saved.index, 7)
        self.assertEqual(self.take(saved), PIECE + b"end")
        ((method, request, context),) = self.door.asked
        self.assertEqual((method, request), ("Snapshot.Save", SnapshotRequest("dc1", True)))
        self.assertEqual(context.token, "secret")
        self.assertRegex(context.source, r"^10\.0\.0\.2:\d+$")
        self.settle()
        self.assertEqual(self.connections, 0)

    def test_backPressure(self) -> None:
        """No more is made, and held, than the taker takes; in the end all is there."""
        self.door.pieces = [PIECE] * 500
        saved = self.successResultOf(self.save())
        self.settle(5.0)
        self.assertLess(self.door.given * len(PIECE), 2 * TURN_BYTES_MAX + 4 * INCOMING_BYTES_MAX)
        self.assertEqual(self.take(saved), PIECE * 500)

    def test_piecesThatAreNotThereYet(self) -> None:
        """What a server passes on need not be there yet."""
        late: Deferred[bytes] = Deferred()

        def stream() -> Iterator[Any]:
            yield b"a"
            yield late
            yield b"c"

        self.door.stream = stream  # type: ignore[method-assign]
        saved = self.successResultOf(self.save())
        self.assertEqual(next(saved.pieces), b"a")
        waiting = next(saved.pieces)
        assert isinstance(waiting, Deferred)
        self.assertNoResult(waiting)
        late.callback(b"b")
        self.settle()
        self.assertEqual(self.successResultOf(waiting) + self.take(saved), b"bc")

    def test_unwanted(self) -> None:
        """Who closes an archive has the other side stop making it."""
        self.door.pieces = [PIECE] * 500
        saved = self.successResultOf(self.save())
        next(saved.pieces)
        saved.pieces.close()  # type: ignore[attr-defined]
        self.settle()
        self.assertTrue(self.door.closed)
        self.assertEqual(self.connections, 0)

    def test_breaksOff(self) -> None:
        """An archive that cannot be finished does not look like a whole one."""
        self.door.breaks = True
        saved = self.successResultOf(self.save())
        self.settle()
        self.assertRaises(CallLost, self.take, saved)
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)

    def test_refused(self) -> None:
        """An error is answered as it is."""
        error = self.failureResultOf(self.save("bad"), RemoteError).value
        self.assertEqual(str(error), "Permission denied")

    def test_cancel(self) -> None:
        """Cancelling gives it up on both sides."""
        saved = self.save("slow")
        saved.cancel()
        self.failureResultOf(saved, CancelledError)
        self.settle()
        self.assertEqual(self.door.cancelled, self.door.waiting)
        self.assertEqual(self.connections, 0)

    def test_unreachable(self) -> None:
        """Where nobody listens nothing was asked."""
        self.listening.stopListening()
        self.failureResultOf(self.save(), Unreachable)

    def test_lost(self) -> None:
        """Where no answer came nobody knows."""
        saved = self.save("slow")
        self.port.stop()
        self.settle()
        self.failureResultOf(saved, CallLost)

    def test_restore(self) -> None:
        """An archive of any length gets there, and the answer when it is restored."""
        archive = BytesIO(PIECE * 300)
        restored = self.asker.restore(PEER, SnapshotRequest("dc1", archive=archive), "secret")
        self.until(lambda: restored.called)
        self.assertIsNone(self.successResultOf(restored))
        self.assertEqual(self.door.restored, [PIECE * 300])
        self.assertEqual(self.door.asked[0][0], "Snapshot.Restore")
        self.assertTrue(self.door.asked[0][1].archive.closed)
        self.assertFalse(archive.closed)

    def test_restoreRefused(self) -> None:
        """An error of a restore is answered as it is."""
        restored = self.asker.restore(PEER, SnapshotRequest("dc1", archive=BytesIO(b"x")), "bad")
        self.settle()
        self.failureResultOf(restored, RemoteError)

    def test_restoreCutShort(self) -> None:
        """An archive whose sender is gone is not restored."""
        raw = self.raw()
        raw.send(b"\x05" + gomsgpack.encode(SnapshotWish(op=Op.RESTORE)) + b"half")
        self.settle()
        raw.transport.abortConnection()  # type: ignore[union-attr]
        self.settle()
        self.assertEqual(self.door.asked, [])

    def test_aRestoreThatBeganGoesOn(self) -> None:
        """Who goes away while the state is being replaced does not stop that."""
        restored = self.asker.restore(PEER, SnapshotRequest("dc1", archive=BytesIO(b"x")), "slow")
        self.settle()
        restored.cancel()
        self.failureResultOf(restored, CancelledError)
        self.settle()
        self.assertEqual(self.door.cancelled, [])
        self.door.waiting[0].callback(None)

    def test_silence(self) -> None:
        """Who says nothing is cut off."""
        raw = self.raw()
        raw.send(b"\x05\x84")
        self.settle()
        self.assertEqual(self.connections, 1)
        self.clock.advance(SILENCE_TIMEOUT)
        self.settle()
        self.assertTrue(raw.lost)

    def test_unknownOp(self) -> None:
        """What is neither is refused in words."""
        raw = self.raw()
        raw.send(b"\x05" + gomsgpack.encode(SnapshotWish(op=2)))
        self.settle()
        reply = gomsgpack.decode(SnapshotReply, raw.received)
        self.assertEqual(reply.error, "unrecognized snapshot op 2")

    @settings(max_examples=50, deadline=None)
    @given(st.lists(st.binary(max_size=40), max_size=4))
    def test_anyBytes(self, pieces: list[bytes]) -> None:
        """Whatever comes, the connection ends and others are served."""
        self.setUp()
        raw = self.raw()
        raw.send(b"\x05" + b"".join(pieces))
        raw.transport.loseWriteConnection()  # type: ignore[union-attr]
        self.settle()
        self.assertTrue(raw.lost)
        self.assertEqual(self.take(self.successResultOf(self.save())), PIECE + b"end")


class MessageTests(WireCase):
    """The bytes."""

    def test_captured(self) -> None:
        """What real programs sent is read, and written byte for byte alike, however it was cut."""
        for vector in vectors.load("snapshot_rpc_captured"):
            sent = vectors.data(vector)
            kind: Any = SnapshotReply
            if "request" in vector["decoded"]:
                self.assertEqual(sent[0], 5)
                sent, kind = sent[1:], SnapshotWish
            for size in (1, 10, len(sent)):
                beginning = Beginning()
                at, found = 0, None
                while found is None:
                    found = beginning.feed(sent[at : at + size], kind)
                    at += size
                message, rest = found
                written = gomsgpack.encode(message)
                self.assertEqual(written + rest, sent[:at])

    def test_tooLong(self) -> None:
        """A message in front that is longer than any is refused."""
        beginning = Beginning()
        self.assertRaises(
            BadMessage,
            beginning.feed,
            b"\x81\xa5Token\xdb\x00\x10\x00\x00" + bytes(MESSAGE_BYTES_MAX),
            SnapshotWish,
        )
