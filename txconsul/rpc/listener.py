"""
Calls that come in: read from streams, given to whoever serves them, answered.

A stream's calls are served one after the other, as Go's servers do; whoever wants several at a time opens several
streams. Nothing is served on a stream whose answers the other side does not take.

Source: the wire documents, RPC sections 3 and 4; Go's net/rpc for what becomes of bad requests.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer, IReactorTime
from twisted.internet.protocol import Protocol as BaseProtocol
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txconsul.codec.gomsgpack import BadMessage
from txconsul.errors import RequestRefused, TxconsulError, UnknownMethod
from txconsul.metrics.metrics import Metrics
from txconsul.rpc import call
from txconsul.rpc.addresses import host_of, written
from txconsul.rpc.complaints import Complaints
from txconsul.rpc.demux import FirstByte, ServerPort
from txconsul.rpc.multiplex import Multiplex
from txconsul.rpc.streams import INITIAL_WINDOW, Stream

__all__ = ["HELD_BYTES_MAX", "CallServer", "Serve"]

#: Bytes of requests that are not whole, on all streams of a connection: some hundred windows. One that is larger, where
#: that is allowed, still has all of it to itself.
HELD_BYTES_MAX = 32 << 20

_log = Logger()

#: Serves a call: a method, the request's body and where it came from (C{host:port}) in, the answer's body out. It
#: raises, or fails with, classes of L{txconsul.errors}, whose text is what the caller sees.
Serve = Callable[[str, bytes, str], "bytes | Deferred[bytes]"]


class IllFormed(UnknownMethod):
    """A method's name that has no service in front."""

    def __init__(self, method: str) -> None:
        RequestRefused.__init__(self, f"rpc: service/method request ill-formed: {method}")


class CallServer:
    """
    Serves calls on connections of the server port.

    @ivar requests: counts calls that were answered, as C{errors} those that ended their stream.
    @ivar active: the connections.
    """

    def __init__(
        self,
        clock: IReactorTime,
        serve: Serve,
        complaints: Complaints,
        *,
        metrics: Metrics | None = None,
        request_bytes_max: int = call.REQUEST_BYTES_MAX,
    ) -> None:
        """@param request_bytes_max: the largest request that is read."""
        metrics = metrics or Metrics()
        self.clock = clock
        self.serve = serve
        self.complaints = complaints
        self.request_bytes_max = request_bytes_max
        self.held_bytes_max = max(HELD_BYTES_MAX, 2 * request_bytes_max)
        self.requests = metrics.counter("rpc.request")
        self.errors = metrics.counter("rpc.request_error")
        self.active: set[_Connection | _Single] = set()

    def register(self, port: ServerPort) -> None:
        """Serve what calls come by at a port, multiplexed or single."""
        port.protocols[FirstByte.MULTIPLEX] = self.multiplexed
        port.protocols[FirstByte.RPC] = self.single

    def multiplexed(self, address: Any) -> BaseProtocol:
        """The protocol of a connection with many streams."""
        return _Connection(self, address).multiplex

    def single(self, address: Any) -> BaseProtocol:
        """The protocol of a connection which is one stream."""
        return _Single(self, address)

    def go_away(self) -> None:
        """Tell everybody to open no more streams here; what is being served goes on."""
        for connection in list(self.active):
            connection.go_away()

    def complain(self, peer: Any, about: str, what: str) -> None:
        """Somebody misbehaves."""
        self.complaints.say((host_of(peer), about), "RPC with {peer}: {what}", peer=written(peer), what=what)


class _Budget:
    """
    What one connection may hold of requests that are not whole.

    @ivar held: bytes that it holds.
    @ivar source: where the calls come from.
    """

    __slots__ = ("held", "peer", "source")

    def __init__(self, peer: Any) -> None:
        self.held = 0
        self.peer = peer
        self.source = written(peer)


class _Channel(Protocol):
    """What a L{_Serving} answers on."""

    @property
    def held_up(self) -> bool:
        """Whether the other side does not take what was sent already."""

    def write(self, data: bytes) -> None:
        """Send."""

    def consumed(self, size: int) -> None:
        """So many received bytes are done with."""

    def end(self) -> None:
        """Send nothing more, after what was sent."""

    def abandon(self, why: str) -> None:
        """Break it off."""


class _Serving:
    """The calls of one stream, one after the other."""

    __slots__ = (
        "_answer",
        "_budget",
        "_channel",
        "_held",
        "_looping",
        "_over",
        "_reader",
        "_remote_ended",
        "_server",
        "_unconsumed",
    )

    def __init__(self, server: CallServer, channel: _Channel, budget: _Budget) -> None:
        self._server = server
        self._channel = channel
        self._budget = budget
        self._reader = call.RequestReader(server.request_bytes_max)
        #: Of the call that is being served, if it is not answered at once.
        self._answer: Deferred[bytes] | None = None
        self._held = 0
        self._unconsumed = 0
        self._looping = False
        self._remote_ended = False
        self._over = False

    # ---- the stream ----

    def received(self, data: bytes) -> None:
        """The next bytes."""
        if self._over:
            return
        self._unconsumed += len(data)
        try:
            self._reader.feed(data)
        except BadMessage as error:
            self._refuse(error)
            return
        self._serve()

    def ended(self) -> None:
        """The other side asks no more: what it asked is answered still."""
        self._remote_ended = True
        self._serve()

    def flushed(self) -> None:
        """The other side takes more."""
        self._serve()

    def broken(self, why: str) -> None:
        """The stream is gone: nobody waits for an answer any more."""
        self._finish()
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.cancel()

    # ---- serving ----

    def _serve(self) -> None:
        """Serve what is whole, for as long as it is answered at once."""
        if self._looping or self._over:
            return
        self._looping = True
        channel = self._channel
        try:
            while self._answer is None and not self._over and not channel.held_up:
                request = self._reader.next()
                if request is None:
                    self._wait_for_more()
                    return
                self._call(request)
        except BadMessage as error:
            self._refuse(error)
        finally:
            self._looping = False

    def _wait_for_more(self) -> None:
        held = self._reader.held
        if held != self._held:
            self._budget.held += held - self._held
            self._held = held
            if self._budget.held > self._server.held_bytes_max:
                self._server.complain(self._budget.peer, "held", "too much of requests that are not whole")
                self._channel.abandon("too much of requests that are not whole")
                self._finish()
                return
        if self._remote_ended:
            if self._reader.within:
                self._server.complain(self._budget.peer, "cut", "a stream ended within a request")
            self._finish()
            self._channel.end()
            return
        size, self._unconsumed = self._unconsumed, 0
        if size:
            self._channel.consumed(size)

    def _call(self, request: call.Request) -> None:
        server = self._server
        try:
            if "." not in request.method:
                raise IllFormed(request.method)
            answer = server.serve(request.method, request.body, self._budget.source)
        except Exception:
            self._failed(Failure(), request)
            return
        if not isinstance(answer, Deferred):
            server.requests.add()
            self._channel.write(call.reply(request.sequence, request.method, answer))
            return
        self._answer = answer
        answer.addCallbacks(self._answered, self._failed, callbackArgs=(request,), errbackArgs=(request,))

    def _answered(self, body: bytes, request: call.Request) -> None:
        self._answer = None
        if self._over:
            return
        self._server.requests.add()
        self._channel.write(call.reply(request.sequence, request.method, body))
        self._serve()

    def _failed(self, failure: Failure, request: call.Request) -> None:
        self._answer = None
        if self._over:
            return
        error = failure.value
        if isinstance(error, TxconsulError):
            text = str(error)
        else:
            _log.failure("call of {method} failed", failure, method=request.method)
            text = TxconsulError.text
        self._server.requests.add()
        self._channel.write(call.reply(request.sequence, request.method, call.EMPTY, text or TxconsulError.text))
        if isinstance(error, UnknownMethod | BadMessage):
            # So do Go's servers, and it keeps those who talk nonsense from going on.
            self._server.errors.add()
            self._server.complain(self._budget.peer, "call", text)
            self._finish()
            self._channel.end()
            return
        self._serve()

    def _refuse(self, error: BadMessage) -> None:
        text = f"rpc: server cannot decode request: {error}"
        self._server.errors.add()
        self._server.complain(self._budget.peer, "request", text)
        self._finish()
        self._channel.abandon(text)

    def _finish(self) -> None:
        self._over = True
        self._budget.held -= self._held
        self._held = 0


class _Connection:
    """A connection with many streams."""

    def __init__(self, server: CallServer, peer: Any) -> None:
        self._server = server
        self._peer = peer
        self._budget = _Budget(peer)
        self.multiplex = Multiplex(server.clock, False, accept=self._accept, closed=self._closed)
        server.active.add(self)

    def _accept(self, stream: Stream) -> _Serving:
        return _Serving(self._server, _StreamChannel(self.multiplex, stream), self._budget)

    def _closed(self, why: str) -> None:
        self._server.active.discard(self)
        if why and why != "connection lost":
            self._server.complain(self._peer, "session", why)

    def go_away(self) -> None:
        """See L{CallServer.go_away}."""
        self.multiplex.session.go_away()
        self.multiplex.fed()


class _StreamChannel:
    """A stream of a multiplexed connection."""

    __slots__ = ("_multiplex", "_stream")

    def __init__(self, multiplex: Multiplex, stream: Stream) -> None:
        self._multiplex = multiplex
        self._stream = stream

    @property
    def held_up(self) -> bool:
        """See L{_Channel}."""
        return self._multiplex.held_up or bool(self._stream.unsent)

    def write(self, data: bytes) -> None:
        """See L{_Channel}."""
        self._multiplex.write(self._stream, data)

    def consumed(self, size: int) -> None:
        """See L{_Channel}."""
        self._multiplex.consumed(self._stream, size)

    def end(self) -> None:
        """See L{_Channel}."""
        self._multiplex.end(self._stream)

    def abandon(self, why: str) -> None:
        """See L{_Channel}."""
        self._multiplex.reset(self._stream)


@implementer(IHalfCloseableProtocol, IPushProducer)
class _Single(BaseProtocol):
    """A connection which is one stream."""

    def __init__(self, server: CallServer, peer: Any) -> None:
        self.held_up = False
        self._server = server
        self._serving = _Serving(server, self, _Budget(peer))
        self._unconsumed = 0
        self._reading = True

    def connectionMade(self) -> None:
        """See L{BaseProtocol}."""
        self._server.active.add(self)
        transport: Any = self.transport
        transport.registerProducer(self, True)

    def dataReceived(self, data: bytes) -> None:
        """See L{BaseProtocol}."""
        self._unconsumed += len(data)
        self._serving.received(data)
        if self._unconsumed > INITIAL_WINDOW and self._reading:
            self._reading = False
            transport: Any = self.transport
            transport.pauseProducing()

    def readConnectionLost(self) -> None:
        """See L{IHalfCloseableProtocol}."""
        self._serving.ended()

    def writeConnectionLost(self) -> None:
        """See L{IHalfCloseableProtocol}."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See L{BaseProtocol}."""
        self._server.active.discard(self)
        self._serving.broken("connection lost")

    def pauseProducing(self) -> None:
        """See L{IPushProducer}."""
        self.held_up = True

    def resumeProducing(self) -> None:
        """See L{IPushProducer}."""
        self.held_up = False
        self._serving.flushed()

    def stopProducing(self) -> None:
        """See L{IPushProducer}."""

    # ---- L{_Channel} ----

    def write(self, data: bytes) -> None:
        """See L{_Channel}."""
        transport: Any = self.transport
        transport.write(data)

    def consumed(self, size: int) -> None:
        """See L{_Channel}."""
        self._unconsumed -= size
        if not self._reading and self._unconsumed <= INITIAL_WINDOW:
            self._reading = True
            transport: Any = self.transport
            transport.resumeProducing()

    def end(self) -> None:
        """See L{_Channel}."""
        transport: Any = self.transport
        transport.unregisterProducer()
        transport.loseConnection()

    def abandon(self, why: str) -> None:
        """See L{_Channel}."""
        transport: Any = self.transport
        transport.abortConnection()

    def go_away(self) -> None:
        """See L{CallServer.go_away}: there is one stream only, which lives for as long as it is used."""
