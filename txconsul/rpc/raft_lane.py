"""
One kept connection to another server's Raft: what is asked goes out in order, and is answered in that order.

A server has several to each other one, so that nothing waits behind what takes longer (L{txconsul.rpc.raft_transport}).
A connection is made when there is something to send, given up when an answer stays out too long, made anew with growing
pauses, and closed when it has had nothing to do for a while.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from txconsul.driver import Alarm
from txconsul.raft.messages import Message
from txconsul.rpc.raftwire import Answer, BadRaft, Responses

__all__ = ["IDLE_SECONDS", "Dial", "Lane"]

#: A connection that has had nothing to do for this long is closed: a follower rarely asks anything.
IDLE_SECONDS = 60.0
#: The pause after a first failure, in seconds, doubled with each one that follows, and the longest. Short enough for a
#: server that comes back to hear of its leader before it stands for election.
PAUSE_SECONDS = 0.05
PAUSE_SECONDS_MAX = 0.5

#: Opens a connection to a server's port (C{host:port}), says that it is for Raft, and gives it to a protocol. The
#: Deferred fires when that has it.
Dial = Callable[[str, IProtocol], "Deferred[None]"]


class Lane:
    """
    Requests to one server.

    @ivar address: where it was last dialled.
    """

    log = Logger("txconsul.raft")

    def __init__(
        self,
        name: str,
        *,
        dial: Dial,
        clock: IReactorTime,
        encode: Callable[[Message], bytes],
        answered: Callable[[Message, Answer], object],
        lost: Callable[[], object],
        timeout: float,
        in_flight_max: int,
        waiting_max: int,
    ) -> None:
        """
        @param name: whose server it is and what for, in logs.
        @param answered: told of a request and its answer.
        @param lost: told when requests may not have arrived.
        @param timeout: seconds for dialling, and for each answer once it is the next.
        @param in_flight_max: requests sent and not answered; what is beyond waits.
        @param waiting_max: of these the newest are kept.
        """
        self.address = ""
        self._name = name
        self._dial = dial
        self._clock = clock
        self._encode = encode
        self._answered = answered
        self._lost = lost
        self._timeout = timeout
        self._in_flight_max = in_flight_max
        self._in_flight: deque[Message] = deque()
        self._waiting: deque[Message] = deque(maxlen=waiting_max)
        self._alarm = Alarm(clock, self._overdue)
        self._attempt = 0
        self._dialling: Deferred[None] | None = None
        self._connecting = False
        self._connection: _Connection | None = None
        self._failures = 0
        self._not_before = float("-inf")

    def send(self, address: str, message: Message) -> None:
        """Ask, now or as soon as the connection allows; what cannot be kept so long is lost."""
        if address != self.address:
            self.close()
            self.address = address
            self._failures = 0
            self._not_before = float("-inf")
        self._waiting.append(message)
        if self._connection is not None:
            self._pump(False)
        elif not self._connecting:
            if self._clock.seconds() < self._not_before:
                self._waiting.clear()
                self._lost()
            else:
                self._connect()

    def close(self) -> None:
        """Give up the connection, and what is under way on it."""
        idle = not self._in_flight
        self._alarm.cancel()
        self._in_flight.clear()
        self._waiting.clear()
        self._attempt += 1
        self._connecting = False
        dialling, self._dialling = self._dialling, None
        if dialling is not None:
            dialling.cancel()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close(idle)

    # ---- the connection ----

    def _connect(self) -> None:
        self._attempt = attempt = self._attempt + 1
        self._connecting = True
        self._alarm.set(self._clock.seconds() + self._timeout)
        dialling = self._dial(self.address, _Connection(self, attempt))
        if self._connecting and self._attempt == attempt:
            self._dialling = dialling
        dialling.addErrback(self._not_connected, attempt)

    def _not_connected(self, reason: Failure, attempt: int) -> None:
        if self._attempt == attempt and self._connecting:
            self._dialling = None
            self._break(reason.getErrorMessage())

    def connected(self, connection: _Connection, attempt: int) -> None:
        """It is there: send what has waited."""
        if attempt != self._attempt:
            connection.close(True)
            return
        self._connecting = False
        self._dialling = None
        self._connection = connection
        self._pump(True)

    def received(self, connection: _Connection, answer: Answer) -> None:
        """An answer came, to the oldest request."""
        if connection is not self._connection:
            return
        if not self._in_flight:
            self._break("it answers what was not asked")
            return
        request = self._in_flight.popleft()
        if self._failures:
            self._failures = 0
            self.log.info("{name}: reached again at {address}", name=self._name, address=self.address)
        self._answered(request, answer)
        if connection is self._connection:
            self._pump(True)

    def broken(self, connection: _Connection, reason: str) -> None:
        """The connection ended, or must end."""
        if connection is self._connection:
            self._break(reason)

    def _pump(self, progress: bool) -> None:
        """@param progress: something came: the next answer has its time anew."""
        waiting, in_flight, connection = self._waiting, self._in_flight, self._connection
        assert connection is not None
        if not in_flight:
            progress = True
        while waiting and len(in_flight) < self._in_flight_max:
            message = waiting.popleft()
            in_flight.append(message)
            connection.write(self._encode(message))
        if progress:
            self._alarm.set(self._clock.seconds() + (self._timeout if in_flight else IDLE_SECONDS))

    def _overdue(self) -> None:
        if self._in_flight:
            self._break(f"no answer within {self._timeout:g} s")
        elif self._connection is not None:
            self.close()
        else:
            self._break(f"no connection within {self._timeout:g} s")

    def _break(self, reason: str) -> None:
        wanted = bool(self._in_flight or self._waiting)
        self.close()
        if not wanted:
            return
        self._failures += 1
        pause = min(PAUSE_SECONDS * 2 ** min(self._failures - 1, 10), PAUSE_SECONDS_MAX)
        self._not_before = self._clock.seconds() + pause
        if self._failures == 1:
            self.log.warn("{name}: {address}: {reason}", name=self._name, address=self.address, reason=reason)
        self._lost()


class _Connection(Protocol):
    """The asking end of a Raft connection."""

    def __init__(self, lane: Lane, attempt: int) -> None:
        self._lane = lane
        self._attempt = attempt
        self._responses = Responses()

    def write(self, data: bytes) -> None:
        """Send a request."""
        transport: Any = self.transport
        transport.write(data)

    def close(self, idle: bool) -> None:
        """@param idle: nothing is under way: end it properly, rather than at once."""
        transport: Any = self.transport
        if idle:
            transport.loseConnection()
        else:
            transport.abortConnection()

    def connectionMade(self) -> None:
        """See L{Protocol}."""
        self._lane.connected(self, self._attempt)

    def dataReceived(self, data: bytes) -> None:
        """See L{Protocol}."""
        try:
            for answer in self._responses.feed(data):
                self._lane.received(self, answer)
        except BadRaft as error:
            self._lane.broken(self, str(error))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See L{Protocol}."""
        self._lane.broken(self, reason.getErrorMessage())
