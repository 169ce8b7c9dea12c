"""
A snapshot on its way to another server, on a connection of its own (Raft 7).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, BinaryIO

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IPullProducer, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txconsul.driver import Alarm
from txconsul.errors import PeerMisbehaved, Unavailable
from txconsul.raft.messages import InstallSnapshot, InstallSnapshotReply, Message
from txconsul.rpc.raft_lane import Dial
from txconsul.rpc.raftwire import Answer, BadRaft, Responses

__all__ = ["PIECE_BYTES", "SIZE_BYTES_A_TIMEOUT", "SnapshotSending"]

#: Read from the file at once.
PIECE_BYTES = 1 << 16
#: The answer may take one timeout for each of these bytes of state (hashicorp/raft's TimeoutScale).
SIZE_BYTES_A_TIMEOUT = 256 * 1024


@implementer(IPullProducer)
class SnapshotSending(Protocol):
    """
    The asking end of a connection that carries one snapshot.

    @ivar done: fires when all bytes are out, or fails; cancelling it gives up.
    """

    log = Logger("txconsul.raft")

    def __init__(
        self,
        message: InstallSnapshot,
        request: bytes,
        stream: BinaryIO,
        *,
        clock: IReactorTime,
        timeout: float,
        answered: Callable[[Message], object],
        ended: Callable[[SnapshotSending], object],
    ) -> None:
        """
        @param request: C{message}'s bytes.
        @param timeout: seconds without any progress after which it is given up.
        @param answered: told of the answer.
        @param ended: told at the end, however it came.
        """
        self._message = message
        self._request = request
        self._stream = stream
        self._left = message.size
        self._clock = clock
        self._timeout = timeout
        self._answered = answered
        self._ended = ended
        self._responses = Responses()
        self._alarm = Alarm(clock, self._overdue)
        self._dialling: Deferred[None] | None = None
        self._sending = False
        self._over = False
        self.done: Deferred[None] = Deferred(lambda _: self.end(Failure(CancelledError())))

    def begin(self, dial: Dial, address: str) -> None:
        """Open a connection, and send."""
        self._alarm.set(self._clock.seconds() + self._timeout)
        self._dialling = dialling = dial(address, self)
        dialling.addErrback(self.end)

    # ---- the connection ----

    def connectionMade(self) -> None:
        """See L{Protocol}."""
        transport: Any = self.transport
        self._dialling = None
        if self._over:
            transport.abortConnection()
            return
        self._sending = True
        transport.write(self._request)
        transport.registerProducer(self, False)

    def dataReceived(self, data: bytes) -> None:
        """See L{Protocol}."""
        try:
            for answer in self._responses.feed(data):
                if self._over:
                    return
                self._take(answer)
        except BadRaft as error:
            self.end(Failure(error))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See L{Protocol}."""
        self.end(reason)

    def _take(self, answer: Answer) -> None:
        message = self._message
        if answer.error:
            self.log.error("the snapshot was refused: {error}", error=answer.error)
            reply: Message | None = InstallSnapshotReply(message.term, False, message.last_log_index, message.round)
        else:
            reply = answer.reply(message)
        assert reply is not None
        self._answered(reply)
        if self.done.called:
            transport: Any = self.transport
            transport.loseConnection()
        self.end(Failure(PeerMisbehaved("it was answered before it was sent")))

    # ---- the bytes ----

    def resumeProducing(self) -> None:
        """See L{IPullProducer}."""
        transport: Any = self.transport
        if self._over:
            return
        try:
            data = self._stream.read(min(PIECE_BYTES, self._left)) if self._left else b""
        except (OSError, ValueError):
            self.end(Failure())
            return
        if data:
            self._left -= len(data)
            self._alarm.set(self._clock.seconds() + self._timeout)
            transport.write(data)
        elif self._left:
            self.end(Failure(Unavailable("the snapshot is shorter than it should be")))
        else:
            self._all_out()

    def _all_out(self) -> None:
        transport: Any = self.transport
        self._sending = False
        transport.unregisterProducer()
        self._stream.close()
        scale = max(1, self._message.size // SIZE_BYTES_A_TIMEOUT)
        self._alarm.set(self._clock.seconds() + self._timeout * scale)
        self.done.callback(None)

    def stopProducing(self) -> None:
        """See L{IPullProducer}."""

    # ---- its end ----

    def _overdue(self) -> None:
        self.end(Failure(Unavailable(f"no progress within {self._timeout:g} s")))

    def end(self, reason: Failure) -> None:
        """Give it up, if it is not through."""
        if self._over:
            return
        self._over = True
        self._alarm.cancel()
        self._stream.close()
        dialling, self._dialling = self._dialling, None
        if dialling is not None:
            dialling.cancel()
        transport: Any = self.transport
        if transport is not None:
            if self._sending:
                transport.unregisterProducer()
            if not transport.disconnecting:
                transport.abortConnection()
        self._ended(self)
        if not self.done.called:
            self.done.errback(reason)
