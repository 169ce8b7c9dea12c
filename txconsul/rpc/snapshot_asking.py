"""
Snapshots of others: saved from another server, or restored there.

Source: the wire documents, RPC section 7.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IDelayedCall, IHalfCloseableProtocol, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from txconsul.codec import gomsgpack
from txconsul.errors import CallLost, CallTimedOut, PeerMisbehaved, RemoteError
from txconsul.records.archive import SnapshotRequest
from txconsul.rpc.demux import FirstByte
from txconsul.rpc.dialing import Dialer, Peer
from txconsul.rpc.pumping import Incoming, Piece, Pump
from txconsul.rpc.snapshot_messages import Beginning, Op, SnapshotReply, SnapshotWish

__all__ = ["ANSWER_TIMEOUT", "SavedThere", "SnapshotAsker"]

#: Seconds in which the answer has to come, after all that is to be restored was sent.
ANSWER_TIMEOUT = 600.0
#: Read from the archive at a time.
_READ_BYTES = 1 << 16


class SavedThere(msgspec.Struct, frozen=True):
    """
    A snapshot's archive on its way in; an L{txconsul.endpoints.site.Saved} to whoever passes it on.

    @ivar index: the state's index that it shows.
    @ivar pieces: see L{txconsul.rpc.pumping}. Whoever does not want all of them closes it.
    """

    index: int
    pieces: Iterator[Piece]


class SnapshotAsker:
    """
    Asks other servers for their state, or to take another one.

    Errors are those of L{txconsul.rpc.pool}: a restore whose connection was lost may have happened.
    """

    def __init__(self, clock: IReactorTime, dialer: Dialer) -> None:
        self._clock = clock
        self._dialer = dialer

    def save(self, peer: Peer, request: SnapshotRequest, token: str) -> Deferred[SavedThere]:
        """Have a server's state."""
        wish = SnapshotWish(request.datacenter, token, request.allow_stale, Op.SAVE)
        return self._ask(peer, wish, None)

    def restore(self, peer: Peer, request: SnapshotRequest, token: str) -> Deferred[None]:
        """
        Replace the state of a server's group.

        @return: a Deferred firing when that is done. C{request.archive} is read until then, and left open.
        """
        wish = SnapshotWish(request.datacenter, token, request.allow_stale, Op.RESTORE)
        answer: Deferred[None] = self._ask(peer, wish, request.archive).addCallback(lambda _: None)
        return answer

    def _ask(self, peer: Peer, wish: SnapshotWish, archive: BinaryIO | None) -> Deferred[SavedThere]:
        operation = _Operation(self._clock, wish, archive)
        connecting = self._dialer.dial(peer, FirstByte.SNAPSHOT, operation)
        operation.connecting = connecting
        connecting.addErrback(operation.fail)
        return operation.answer


def _read(archive: BinaryIO) -> Iterator[bytes]:
    while data := archive.read(_READ_BYTES):
        yield data


@implementer(IHalfCloseableProtocol)
class _Operation(Protocol):
    """One connection."""

    def __init__(self, clock: IReactorTime, wish: SnapshotWish, archive: BinaryIO | None) -> None:
        self._clock = clock
        self._wish = wish
        self._archive = archive
        self._beginning: Beginning | None = Beginning()
        self._incoming: Incoming | None = None
        self._pump: Pump | None = None
        self._timer: IDelayedCall | None = None
        self._ended = False
        self.connecting: Deferred[None] | None = None
        self.answer: Deferred[SavedThere] = Deferred(self._cancelled)

    # ---- the connection ----

    def connectionMade(self) -> None:
        """See L{Protocol}."""
        self.transport.write(gomsgpack.encode(self._wish))  # type: ignore[union-attr]
        if self._archive is None:
            self._asked(None)
            return
        self._pump = Pump(self._clock, self.transport, _read(self._archive), self._asked)
        self._pump.start()

    def _asked(self, failure: Failure | None) -> None:
        if failure is not None:
            self._abort()
            self.fail(failure)
            return
        # The other side knows no length: this is how it sees that all is there.
        self.transport.loseWriteConnection()  # type: ignore[union-attr]
        if not self.answer.called:
            self._timer = self._clock.callLater(ANSWER_TIMEOUT, self._too_late)

    def dataReceived(self, data: bytes) -> None:
        """See L{Protocol}."""
        if self._incoming is not None:
            self._incoming.received(data)
            return
        if self._beginning is None:
            return
        try:
            found = self._beginning.feed(data, SnapshotReply)
        except gomsgpack.BadMessage as error:
            self._abort()
            self.fail(Failure(PeerMisbehaved(f"an answer that cannot be understood: {error}")))
            return
        if found is None:
            return
        self._beginning = None
        self._stop_timer()
        reply, rest = found
        if reply.error:
            self._abort()
            self.fail(Failure(RemoteError(reply.error)))
            return
        incoming = Incoming(self.transport)
        if self._wish.op == Op.SAVE:
            self._incoming = incoming
            incoming.received(rest)
        else:
            self._abort()
        if not self.answer.called:
            self.answer.callback(SavedThere(reply.index, incoming))

    def readConnectionLost(self) -> None:
        """See L{IHalfCloseableProtocol}: nothing more comes."""
        self._over(connectionDone)
        self.transport.loseConnection()  # type: ignore[union-attr]

    def writeConnectionLost(self) -> None:
        """See L{IHalfCloseableProtocol}."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See L{Protocol}."""
        self._over(reason)

    def _over(self, reason: Failure) -> None:
        if self._ended:
            return
        self._ended = True
        self._stop_timer()
        if self._pump is not None:
            self._pump.stop()
        if self._incoming is not None:
            whole = reason.check(ConnectionDone) is not None
            self._incoming.ended(None if whole else Failure(CallLost("the snapshot broke off: EOF")))
        self.fail(Failure(CallLost()))

    # ---- the answer ----

    def fail(self, failure: Failure) -> None:
        """There is no answer."""
        if not self.answer.called:
            self.answer.errback(failure)

    def _cancelled(self, _: Deferred[SavedThere]) -> None:
        if self.transport is not None:
            self._abort()
        elif self.connecting is not None:
            self.connecting.cancel()

    def _too_late(self) -> None:
        self._timer = None
        self._abort()
        self.fail(Failure(CallTimedOut()))

    def _abort(self) -> None:
        """Close the connection, of which nothing more is wanted, and hear nothing of it."""
        self._ended = True
        self._stop_timer()
        if self._pump is not None:
            self._pump.stop()
        self.transport.abortConnection()  # type: ignore[union-attr]

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
