"""
Raft messages between servers over connections: questions go out on one, and their answers come back on it.

A core sends messages and thinks nothing of connections; hashicorp/raft's wire has requests, and answers which name
nothing. The mapping, both ways:

  - A request goes to the server's port on one of three kept connections (L{Lane}): B{heartbeats}, B{appends}, and
    B{calls} (votes, pre-votes, TimeoutNow); a snapshot on a connection of its own (L{SnapshotSending}). So no heartbeat
    waits behind an append, nor a vote behind either. The n-th answer on a connection belongs to its n-th request, of
    which it gets C{round} and the rest that is not on the wire.
  - A request that comes in gets a number of ours as its C{round} (L{RaftServing}); the core's answer repeats it, and by
    it finds the connection and its place in the order there.

What the core never answers is told to the other side by a broken connection only, in time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, BinaryIO, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txconsul.interfaces import IRaftTransport, ISnapshotReceiver
from txconsul.raft.messages import AppendEntries, InstallSnapshot, Message, PreVoteReply, RequestPreVote
from txconsul.rpc.raft_lane import Dial, Lane
from txconsul.rpc.raft_serving import RaftServing
from txconsul.rpc.raft_snapshot import SnapshotSending
from txconsul.rpc.raftwire import Answer, Header, RequestEncoder

__all__ = ["TIMEOUT_SECONDS", "RaftTransport", "Receiver"]

#: For dialling, and for each answer: hashicorp/raft's.
TIMEOUT_SECONDS = 10.0
#: Requests on a connection that may be unanswered. Of appends the core itself sends no more than C{in_flight_max} and
#: then a probe now and then; this only bounds what is sent to a server that stands still.
_IN_FLIGHT_MAX = 32
_WAITING_MAX = 8
#: What an error says of a server that does not know pre-votes; it counts as having granted.
_UNEXPECTED_COMMAND = "unexpected command"


class Receiver(Protocol):
    """What a L{Consensus<txconsul.consensus.Consensus>} is to its transport."""

    @property
    def is_running(self) -> bool:
        """Whether it takes what comes in."""

    @property
    def term(self) -> int:
        """The newest term it knows."""

    def receive(self, sender: str, message: Any) -> None:
        """A message came."""

    def receive_snapshot(self, sender: str, message: InstallSnapshot) -> ISnapshotReceiver:
        """A snapshot begins."""

    def unreachable(self, server: str) -> None:
        """What was sent to a server may not have arrived."""


class _Peer:
    """The kept connections to one server."""

    def __init__(self, transport: RaftTransport, id: str) -> None:
        lane = partial(transport.lane, id)
        self.heartbeats: Lane = lane("heartbeats", transport.heartbeat_timeout, 1, 1)
        self.appends: Lane = lane("entries", transport.timeout, _IN_FLIGHT_MAX, _WAITING_MAX)
        self.calls: Lane = lane("votes", transport.timeout, _IN_FLIGHT_MAX, _WAITING_MAX)

    def close(self) -> None:
        """Give them up."""
        for lane in (self.heartbeats, self.appends, self.calls):
            lane.close()


@implementer(IRaftTransport)
class RaftTransport:
    """
    One server's.

    @ivar id: its id.
    @ivar header: what it says of itself in each message.
    @ivar consensus: who is told of what comes in; nobody is served before it is set.
    @ivar factory: of the protocol that follows the first byte of a Raft connection to this server's port.
    @ivar servings: the connections of others.
    """

    log = Logger("txconsul.raft")

    def __init__(
        self,
        id: str,
        address: str,
        *,
        dial: Dial,
        clock: IReactorTime,
        timeout: float = TIMEOUT_SECONDS,
        heartbeat_timeout: float = TIMEOUT_SECONDS,
        locate: Callable[[str], str] = lambda id: "",
    ) -> None:
        """
        @param address: where this server's port is reached by the others, C{host:port}.
        @param heartbeat_timeout: seconds for the answer to a heartbeat: when the network was away for a while, a new
            connection works sooner than an old one, whose packets are sent again at ever longer intervals.
        @param locate: where a server of this id is by now, if that is known better than by the configuration.
        """
        self.id = id
        self.header = Header(id, address)
        self.timeout = timeout
        self.heartbeat_timeout = heartbeat_timeout
        self.consensus: Receiver | None = None
        self.servings: set[RaftServing] = set()
        self.factory: Any = Factory.forProtocol(lambda: RaftServing(self))  # type: ignore[arg-type]
        self.factory.noisy = False
        self._dial = dial
        self._clock = clock
        self._locate = locate
        self._encoder = RequestEncoder(self.header)
        self._peers: dict[str, _Peer] = {}
        self._sendings: set[SnapshotSending] = set()
        self._expected: dict[int, tuple[RaftServing, Any]] = {}
        self._last_number = 0
        self._closed = False

    def close(self) -> None:
        """Give up all connections, and make no more."""
        self._closed = True
        peers, self._peers = self._peers, {}
        for peer in peers.values():
            peer.close()
        for sending in list(self._sendings):
            sending.end(Failure(ConnectionAborted()))
        for serving in list(self.servings):
            serving.abort()

    # ---- sending ----

    def send(self, to: str, address: str, message: Message) -> None:
        """See L{IRaftTransport.send}."""
        if not address:
            self._answer(message)
            return
        if self._closed:
            return
        peer = self._peers.get(to)
        if peer is None:
            peer = self._peers[to] = _Peer(self, to)
        if not isinstance(message, AppendEntries):
            lane = peer.calls
        elif message.is_heartbeat:
            lane = peer.heartbeats
        else:
            lane = peer.appends
        lane.send(self._locate(to) or address, message)

    def lane(self, id: str, what: str, timeout: float, in_flight_max: int, waiting_max: int) -> Lane:
        """A connection to a server, for some of what is asked."""
        return Lane(
            f"Raft {what} to {id}",
            dial=self._dial,
            clock=self._clock,
            encode=self._encoder.encode,
            answered=partial(self._answered, id),
            lost=partial(self._lost, id) if what == "entries" else _nothing,
            timeout=timeout,
            in_flight_max=in_flight_max,
            waiting_max=waiting_max,
        )

    def _answered(self, id: str, request: Message, answer: Answer) -> None:
        consensus = self.consensus
        if consensus is None:
            return
        if answer.error:
            self._refused(consensus, id, request, answer.error)
            return
        reply = answer.reply(request)
        if reply is not None:
            consensus.receive(id, reply)

    def _refused(self, consensus: Receiver, id: str, request: Message, error: str) -> None:
        if isinstance(request, RequestPreVote) and _UNEXPECTED_COMMAND in error:
            consensus.receive(id, PreVoteReply(request.term, True, request.round))
            return
        self.log.warn("{name} refused by {id}: {error}", name=type(request).__name__, id=id, error=error)
        if isinstance(request, AppendEntries):
            consensus.unreachable(id)

    def _lost(self, id: str) -> None:
        if self.consensus is not None and not self._closed:
            self.consensus.unreachable(id)

    def send_snapshot(self, to: str, address: str, message: InstallSnapshot, stream: BinaryIO) -> Deferred[None]:
        """See L{IRaftTransport.send_snapshot}."""

        def answered(reply: Message) -> None:
            if self.consensus is not None:
                self.consensus.receive(to, reply)

        sending = SnapshotSending(
            message,
            self._encoder.encode(message),
            stream,
            clock=self._clock,
            timeout=self.timeout,
            answered=answered,
            ended=self._sendings.discard,
        )
        self._sendings.add(sending)
        sending.begin(self._dial, self._locate(to) or address)
        return sending.done

    # ---- answering ----

    def expect(self, serving: RaftServing, slot: Any) -> int:
        """@return: the number by which the answer to a request will find its C{slot}."""
        self._last_number += 1
        self._expected[self._last_number] = (serving, slot)
        return self._last_number

    def forget(self, numbers: Iterable[int]) -> None:
        """The connection that waited for these answers is gone."""
        for number in numbers:
            self._expected.pop(number, None)

    def _answer(self, message: Message) -> None:
        number = getattr(message, "round", 0)
        expected = self._expected.pop(number, None)
        if expected is not None:
            serving, slot = expected
            serving.answer(number, slot, message)


def _nothing() -> None:
    """Nobody need be told."""
