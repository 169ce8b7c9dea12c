"""
Snapshots for others: byte 5 of the server port.

One connection carries one operation: what is wanted, for a restore the archive up to the half close, the answer, for a
save the archive.

Source: the wire documents, RPC section 7.
"""

from __future__ import annotations

import tempfile
from typing import IO, Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IHalfCloseableProtocol, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txconsul.codec import gomsgpack
from txconsul.errors import RequestRefused, TooLarge, TxconsulError
from txconsul.interfaces import ICaller
from txconsul.records.archive import SnapshotRequest
from txconsul.records.query import Context
from txconsul.rpc.addresses import host_of, written
from txconsul.rpc.complaints import Complaints
from txconsul.rpc.demux import FirstByte, ServerPort
from txconsul.rpc.pumping import Pump
from txconsul.rpc.snapshot_messages import Beginning, Op, SnapshotReply, SnapshotWish

__all__ = ["ARCHIVE_BYTES_MAX", "SILENCE_TIMEOUT", "SnapshotServer"]

#: Seconds for which nothing may come while something is waited for.
SILENCE_TIMEOUT = 60.0
#: An archive that is to be restored goes to a temporary file, so that only the disk bounds it; this keeps a lying peer
#: from filling one altogether.
ARCHIVE_BYTES_MAX = 64 * 1024**3
#: Archives up to this are kept in memory.
SPOOL_MEMORY_BYTES = 1 << 20

_log = Logger()


class SnapshotServer:
    """Saves and restores for others."""

    def __init__(self, clock: IReactorTime, door: ICaller, complaints: Complaints) -> None:
        """@param door: is asked C{Snapshot.Save} and C{Snapshot.Restore}."""
        self.clock = clock
        self.door = door
        self.complaints = complaints

    def register(self, port: ServerPort) -> None:
        """Serve at a port."""
        port.protocols[FirstByte.SNAPSHOT] = self.protocol

    def protocol(self, address: Any) -> Protocol:
        """The protocol of one connection."""
        return _Operation(self, address)


@implementer(IHalfCloseableProtocol)
class _Operation(Protocol):
    """One connection."""

    def __init__(self, server: SnapshotServer, peer: Any) -> None:
        self._server = server
        self._peer = peer
        self._beginning: Beginning | None = Beginning()
        self._wish = SnapshotWish()
        self._archive: IO[bytes] | None = None
        self._archive_bytes = 0
        self._pump: Pump | None = None
        self._answer: Deferred[Any] | None = None
        self._timer: IDelayedCall | None = None
        self._lost = False

    # ---- the connection ----

    def connectionMade(self) -> None:
        """See L{Protocol}."""
        self._timer = self._server.clock.callLater(SILENCE_TIMEOUT, self._silent)

    def dataReceived(self, data: bytes) -> None:
        """See L{Protocol}."""
        if self._timer is not None:
            self._timer.reset(SILENCE_TIMEOUT)
        if self._beginning is not None:
            try:
                found = self._beginning.feed(data, SnapshotWish)
            except gomsgpack.BadMessage as error:
                self._misbehaves(f"a request that cannot be read: {error}")
                return
            if found is None:
                return
            self._beginning = None
            self._wish, data = found
            self._begin()
        if self._archive is not None and data:
            self._archived(data)

    def readConnectionLost(self) -> None:
        """See L{IHalfCloseableProtocol}: nothing more comes."""
        if self._beginning is not None:
            self._misbehaves("it ended within a request")
        elif self._archive is not None:
            archive, self._archive = self._archive, None
            archive.seek(0)
            self._restore(archive)

    def writeConnectionLost(self) -> None:
        """See L{IHalfCloseableProtocol}."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See L{Protocol}."""
        self._lost = True
        self._stop_timer()
        if self._archive is not None:
            self._archive.close()
            self._archive = None
        if self._pump is not None:
            self._pump.stop()
        answer, self._answer = self._answer, None
        if answer is not None and self._wish.op == Op.SAVE:
            # A restore that has begun goes on: half of one would be worse.
            answer.cancel()

    # ---- the operation ----

    def _begin(self) -> None:
        if self._wish.op == Op.SAVE:
            self._stop_timer()
            self._ask("Snapshot.Save", SnapshotRequest(self._wish.datacenter, self._wish.allow_stale))
        elif self._wish.op == Op.RESTORE:
            self._archive = tempfile.SpooledTemporaryFile(SPOOL_MEMORY_BYTES)  # noqa: SIM115
        else:
            self._stop_timer()
            self._refused(Failure(RequestRefused(f"unrecognized snapshot op {self._wish.op}")))

    def _archived(self, data: bytes) -> None:
        archive = self._archive
        assert archive is not None
        self._archive_bytes += len(data)
        try:
            if self._archive_bytes > ARCHIVE_BYTES_MAX:
                raise TooLarge(f"a snapshot of more than {ARCHIVE_BYTES_MAX} bytes")
            archive.write(data)
        except (OSError, TooLarge) as error:
            self._archive = None
            archive.close()
            self._stop_timer()
            told = error if isinstance(error, TooLarge) else TxconsulError(f"failed to take the snapshot: {error}")
            self._refused(Failure(told))

    def _restore(self, archive: IO[bytes]) -> None:
        self._stop_timer()
        request = SnapshotRequest(self._wish.datacenter, self._wish.allow_stale, archive)

        def closing(result: Any) -> Any:
            archive.close()
            return result

        self._ask("Snapshot.Restore", request, closing)

    def _ask(self, method: str, request: SnapshotRequest, finally_: Any = None) -> None:
        context = Context(self._wish.token, written(self._peer))
        answer: Any
        try:
            answer = self._server.door.call(method, request, context)
        except Exception:
            answer = Failure()
        if isinstance(answer, Deferred):
            self._answer = answer
            if finally_ is not None:
                answer.addBoth(finally_)
            answer.addCallbacks(self._answered, self._refused)
            return
        if finally_ is not None:
            finally_(None)
        if isinstance(answer, Failure):
            self._refused(answer)
        else:
            self._answered(answer)

    def _answered(self, answer: Any) -> None:
        self._answer = None
        if self._lost:
            if answer is not None:
                _close(answer.pieces)
            return
        transport: Any = self.transport
        if answer is None:
            transport.write(gomsgpack.encode(SnapshotReply()))
            transport.loseConnection()
            return
        transport.write(gomsgpack.encode(SnapshotReply(index=answer.index, known_leader=True)))
        self._pump = Pump(self._server.clock, transport, answer.pieces, self._pumped)
        self._pump.start()

    def _refused(self, failure: Failure) -> None:
        self._answer = None
        if self._lost:
            return
        error = failure.value
        if not isinstance(error, TxconsulError):
            _log.failure("a snapshot for {peer} failed", failure, peer=written(self._peer))
            error = TxconsulError()
        transport: Any = self.transport
        transport.write(gomsgpack.encode(SnapshotReply(error=str(error) or TxconsulError.text)))
        transport.loseConnection()

    def _pumped(self, failure: Failure | None) -> None:
        transport: Any = self.transport
        if failure is None:
            transport.loseConnection()
            return
        # The answer is out: all that can be said now is that the archive is not whole.
        _log.failure("a snapshot for {peer} broke off", failure, peer=written(self._peer))
        transport.abortConnection()

    def _misbehaves(self, what: str) -> None:
        peer = self._peer
        subject = (host_of(peer), "snapshot")
        self._server.complaints.say(subject, "Snapshot RPC with {peer}: {what}", peer=written(peer), what=what)
        transport: Any = self.transport
        transport.abortConnection()

    def _silent(self) -> None:
        self._timer = None
        self._misbehaves("nothing came in time")

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _close(pieces: Any) -> None:
    close = getattr(pieces, "close", None)
    if close is not None:
        close()
