"""
Calls to other servers, over one multiplexed connection to each.

A stream carries one call at a time and is used again afterwards. A call fails with

  - L{Unreachable}: it was not sent, and may be sent elsewhere;
  - L{CallLost} or L{CallTimedOut}: nobody knows whether it was carried out; a read may be repeated, a write not;
  - L{RemoteError}: the other server answered with this error.

Source: the wire documents, RPC sections 2 and 4; Consul's connection pool for the numbers.
"""

from __future__ import annotations

from itertools import count

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from txconsul.codec.gomsgpack import MESSAGE_BYTES_MAX, BadMessage
from txconsul.driver import Alarm
from txconsul.errors import CallLost, CallTimedOut, PeerMisbehaved, RemoteError, TxconsulError, Unreachable
from txconsul.rpc import call
from txconsul.rpc.deadlines import Deadlines
from txconsul.rpc.demux import FirstByte
from txconsul.rpc.dialing import Dialer, Peer
from txconsul.rpc.multiplex import Multiplex
from txconsul.rpc.streams import Stream
from txconsul.rpc.yamux import SessionOver

__all__ = ["CALL_TIMEOUT", "IDLE_SECONDS", "IDLE_STREAMS_MAX", "ConnectionPool"]

#: Seconds in which a call that does not wait for a change has to be answered (Consul's C{rpc_client_timeout}).
CALL_TIMEOUT = 60.0
#: Streams kept for the next call, on each connection between servers; a client agent keeps half as many.
IDLE_STREAMS_MAX = 64
#: Seconds after which a connection without calls is closed.
IDLE_SECONDS = 120.0

_log = Logger()


class ConnectionPool:
    """Connections to other servers."""

    def __init__(
        self,
        clock: IReactorTime,
        dialer: Dialer,
        *,
        idle_streams_max: int = IDLE_STREAMS_MAX,
        idle_seconds: float = IDLE_SECONDS,
        reply_bytes_max: int = MESSAGE_BYTES_MAX,
    ) -> None:
        """
        @param idle_streams_max: streams kept for the next call, on each connection.
        @param idle_seconds: after which a connection without calls is closed.
        @param reply_bytes_max: the largest answer that is read.
        """
        self.clock = clock
        self.dialer = dialer
        self.idle_streams_max = idle_streams_max
        self.idle_seconds = idle_seconds
        self.reply_bytes_max = reply_bytes_max
        self.deadlines = Deadlines(clock)
        #: Agents number their calls in one row over all connections.
        self.sequence = count(1)
        self._links: dict[Peer, _Link] = {}
        #: Those which take no new calls, until the last one on them is over.
        self._retired: set[_Link] = set()
        self._stopping: Deferred[None] | None = None
        self._stop_timer: IDelayedCall | None = None

    def call(self, peer: Peer, method: str, body: bytes, timeout: float = CALL_TIMEOUT) -> Deferred[bytes]:
        """
        Call a method.

        @param body: the request's msgpack.
        @param timeout: seconds in which the answer must come, connecting included.
        @return: a Deferred of the answer's body, or failing as this module says. Cancelling it gives the call up.
        """
        made = _Call(method, body)
        if self._stopping is not None:
            made.fail(Unreachable("rpc error: shutdown"))
            return made.answer
        self.deadlines.add(made, timeout)
        self.begin(peer, made)
        return made.answer

    @property
    def peers(self) -> list[Peer]:
        """To whom there are connections, or are being made."""
        return list(self._links)

    def disconnect(self, peer: Peer) -> None:
        """Make no more calls on the connection to a server, and close it with the last one that is under way."""
        link = self._links.get(peer)
        if link is not None:
            link.retire()

    def give_up(self, peer: Peer) -> None:
        """A server is gone: what is under way to it will not be answered, and fails now rather than in a minute."""
        for link in [*self._links.values(), *self._retired]:
            if link.peer == peer:
                link.close()

    def stop(self, grace: float = 0.0) -> Deferred[None]:
        """
        Take no more calls.

        @param grace: seconds for which those under way may go on.
        @return: a Deferred firing when all connections are closed.
        """
        if self._stopping is not None:
            return succeed(None)
        stopped = self._stopping = Deferred()
        for link in list(self._links.values()):
            link.retire()
        if not self._retired:
            self._stopped()
        elif grace > 0:
            self._stop_timer = self.clock.callLater(grace, self._break_off)
        else:
            self._break_off()
        return stopped

    def begin(self, peer: Peer, made: _Call) -> None:
        """Make a call, on a connection that takes new ones."""
        link = self._links.get(peer)
        if link is None:
            link = self._links[peer] = _Link(self, peer)
            link.connect()
        link.begin(made)

    def retired(self, link: _Link) -> None:
        """A connection takes no new calls."""
        if self._links.get(link.peer) is link:
            del self._links[link.peer]
        self._retired.add(link)

    def gone(self, link: _Link) -> None:
        """A connection is over."""
        if self._links.get(link.peer) is link:
            del self._links[link.peer]
        self._retired.discard(link)
        if not self._links and not self._retired:
            self.deadlines.stop()
            if self._stopping is not None:
                self._stopped()

    def _break_off(self) -> None:
        self._stop_timer = None
        for link in list(self._retired):
            link.close()

    def _stopped(self) -> None:
        stopped = self._stopping
        if self._stop_timer is not None:
            self._stop_timer.cancel()
            self._stop_timer = None
        if stopped is not None and not stopped.called:
            stopped.callback(None)


class _Call:
    """
    One call.

    @ivar answer: what the caller has.
    @ivar holder: who is to be told when the caller gives up, or it takes too long.
    """

    __slots__ = ("answer", "body", "holder", "method", "over")

    def __init__(self, method: str, body: bytes) -> None:
        self.method = method
        self.body = body
        self.over = False
        self.holder: _Link | _CallStream | None = None
        self.answer: Deferred[bytes] = Deferred(self._cancelled)

    def succeed(self, body: bytes) -> None:
        """It was answered."""
        if not self.over:
            self.over = True
            self.holder = None
            self.answer.callback(body)

    def fail(self, error: TxconsulError) -> None:
        """It was not."""
        if not self.over:
            self.over = True
            self.holder = None
            self.answer.errback(error)

    def too_late(self) -> None:
        """See L{Deadlines}."""
        sent = self._give_up()
        self.fail(CallTimedOut() if sent else Unreachable("failed to get conn: i/o timeout"))

    def _cancelled(self, _: Deferred[bytes]) -> None:
        self._give_up()
        self.over = True

    def _give_up(self) -> bool:
        holder, self.holder = self.holder, None
        return holder is not None and holder.given_up(self)


class _Link:
    """
    The connection to one server, and its streams.

    @ivar peer: the server.
    """

    def __init__(self, pool: ConnectionPool, peer: Peer) -> None:
        self.peer = peer
        self._pool = pool
        self._multiplex = Multiplex(pool.clock, True, gone_away=self.retire, closed=self._closed)
        self._connected = False
        self._over = False
        self._retired = False
        #: Calls that wait for the connection, in order.
        self._waiting: dict[_Call, None] = {}
        #: Streams without a call, the one last used at the end.
        self._idle: list[_CallStream] = []
        self._active = 0
        self._idle_alarm = Alarm(pool.clock, self._rested)
        self._idle_since = 0.0
        self._connecting: Deferred[None] | None = None
        #: Why there is no connection.
        self._problem = Unreachable()

    # ---- calls ----

    def begin(self, made: _Call) -> None:
        """Make a call as soon as there is a connection."""
        if made.over:
            return
        if not self._connected:
            if self._over:
                made.fail(self._problem)
                return
            made.holder = self
            self._waiting[made] = None
            return
        idle = self._idle
        try:
            stream = idle.pop() if idle else _CallStream(self, self._multiplex, self._pool.reply_bytes_max)
        except SessionOver:
            self.retire()
            self._pool.begin(self.peer, made)
            return
        self._active += 1
        stream.begin(made, next(self._pool.sequence))

    def given_up(self, made: _Call) -> bool:
        """A call that waits for the connection is wanted no more. @return: whether it was sent."""
        self._waiting.pop(made, None)
        return False

    def used(self, stream: _CallStream, again: bool) -> None:
        """A stream's call is over. @param again: whether another one may use it."""
        self._active -= 1
        if again and not self._retired and len(self._idle) < self._pool.idle_streams_max:
            self._idle.append(stream)
        elif again:
            stream.end()
        if not self._active:
            self._idle_since = self._pool.clock.seconds()
            if self._retired:
                self.close()
            else:
                self._idle_alarm.set(self._idle_since + self._pool.idle_seconds)

    def lost(self, stream: _CallStream) -> None:
        """A stream without a call is over."""
        if stream in self._idle:
            self._idle.remove(stream)

    # ---- the connection ----

    def connect(self) -> None:
        """Open the connection."""
        connecting = self._connecting = self._pool.dialer.dial(self.peer, FirstByte.MULTIPLEX, self._multiplex)
        connecting.addCallbacks(self._dialed, self._not_dialed)

    def retire(self) -> None:
        """Take no new calls, and close after the last one."""
        if self._retired or self._over:
            return
        self._retired = True
        self._pool.retired(self)
        idle, self._idle = self._idle, []
        for stream in idle:
            stream.end()
        if not self._active and not self._waiting:
            self.close()

    def close(self) -> None:
        """Close now; calls under way fail."""
        if self._over:
            return
        if self._connected:
            self._multiplex.close()
        elif self._connecting is not None:
            self._connecting.cancel()

    def _dialed(self, _: None) -> None:
        if self._over:
            return
        self._connected = True
        waiting, self._waiting = self._waiting, {}
        for made in waiting:
            self.begin(made)
        if not self._active:
            self._idle_since = self._pool.clock.seconds()
            self._idle_alarm.set(self._idle_since + self._pool.idle_seconds)

    def _not_dialed(self, failure: Failure) -> None:
        error = failure.value
        if not isinstance(error, Unreachable):
            _log.failure("no connection to {peer}", failure, peer=self.peer.address)
            error = Unreachable(f"failed to get conn: {failure.getErrorMessage()}")
        self._end(error)

    def _closed(self, why: str) -> None:
        if why and why != "connection lost":
            _log.warn("connection to {peer} ended: {why}", peer=self.peer.address, why=why)
        self._end(Unreachable(f"failed to get conn: {why or 'the connection is closed'}"))

    def _end(self, error: Unreachable) -> None:
        self._over = True
        self._problem = error
        self._connected = False
        self._idle_alarm.cancel()
        waiting, self._waiting = self._waiting, {}
        self._idle.clear()
        self._pool.gone(self)
        for made in waiting:
            made.fail(error)

    def _rested(self) -> None:
        if self._active or self._over:
            return
        if self._idle_since + self._pool.idle_seconds <= self._pool.clock.seconds():
            self.retire()
        else:
            self._idle_alarm.set(self._idle_since + self._pool.idle_seconds)


class _CallStream:
    """A stream and the call on it."""

    __slots__ = ("_call", "_link", "_multiplex", "_reader", "_sequence", "_stream")

    def __init__(self, link: _Link, multiplex: Multiplex, reply_bytes_max: int) -> None:
        self._link = link
        self._multiplex = multiplex
        self._reader = call.ReplyReader(reply_bytes_max)
        self._call: _Call | None = None
        self._sequence = 0
        self._stream: Stream = multiplex.open(self)

    def begin(self, made: _Call, sequence: int) -> None:
        """Make a call."""
        made.holder = self
        self._call = made
        self._sequence = sequence
        self._multiplex.write(self._stream, call.request(sequence, made.method, made.body))

    def end(self) -> None:
        """It is used no more."""
        self._multiplex.end(self._stream)

    def given_up(self, made: _Call) -> bool:
        """The call is wanted no more: so is the stream. @return: whether it was sent."""
        self._call = None
        self._multiplex.reset(self._stream)
        self._link.used(self, False)
        return True

    # ---- L{txconsul.rpc.multiplex.Receiver} ----

    def received(self, data: bytes) -> None:
        """See L{Receiver<txconsul.rpc.multiplex.Receiver>}."""
        try:
            self._reader.feed(data)
            reply = self._reader.next()
        except BadMessage as error:
            self._misbehaves(str(error))
            return
        self._multiplex.consumed(self._stream, len(data))
        if reply is None:
            if self._call is None:
                self._misbehaves("an answer to nothing")
            return
        made, self._call = self._call, None
        if made is None or reply.sequence != self._sequence or self._reader.within:
            self._call = made
            self._misbehaves("an answer to nothing")
            return
        if reply.error:
            # What the other side thinks of the stream now is its own affair: some close it after an error.
            self.end()
            self._link.used(self, False)
            made.fail(RemoteError(reply.error))
        else:
            self._link.used(self, True)
            made.succeed(reply.body)

    def ended(self) -> None:
        """See L{Receiver<txconsul.rpc.multiplex.Receiver>}."""
        self.end()
        self._lost(CallLost())

    def flushed(self) -> None:
        """See L{Receiver<txconsul.rpc.multiplex.Receiver>}."""

    def broken(self, why: str) -> None:
        """See L{Receiver<txconsul.rpc.multiplex.Receiver>}."""
        self._lost(CallLost("EOF" if why == "connection lost" else f"{why}: EOF"))

    def _misbehaves(self, text: str) -> None:
        self._multiplex.reset(self._stream)
        self._lost(PeerMisbehaved(f"{self._link.peer.address} answered with what cannot be understood: {text}"))

    def _lost(self, error: TxconsulError) -> None:
        made, self._call = self._call, None
        if made is None:
            self._link.lost(self)
            return
        self._link.used(self, False)
        made.fail(error)
