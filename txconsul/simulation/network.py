"""
Messages between simulated servers: late, lost, doubled, out of order, and cut off in one direction or both.

They are carried as records, since their bytes are tested by the wire vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from io import BytesIO
from random import Random
from typing import Any, BinaryIO, Protocol

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from zope.interface import implementer

from txconsul.interfaces import IRaftTransport, ISnapshotReceiver
from txconsul.raft.messages import InstallSnapshot
from txconsul.simulation.clock import SimulatedClock

__all__ = ["Conditions", "Network", "Transport"]

#: Bytes of a snapshot in one go: small, so that much can happen between two.
_PIECE_BYTES = 64


class Conditions(msgspec.Struct):
    """
    How bad the network is, between all alike.

    @ivar delay: seconds of an ordinary way; each takes between half and twice of it.
    @ivar late: the share of messages that take up to ten times as long, and so are overtaken.
    """

    delay: float = 0.002
    late: float = 0.0
    loss: float = 0.0
    double: float = 0.0


class Receiver(Protocol):
    """What a server does with what comes in."""

    def receive(self, sender: str, message: Any) -> None:
        """A message came."""

    def receive_snapshot(self, sender: str, message: InstallSnapshot) -> ISnapshotReceiver:
        """A snapshot begins."""

    def unreachable(self, server: str) -> None:
        """A message to C{server} could not even be sent."""


class Network:
    """
    @ivar cuts: pairs (from, to) between which nothing gets through.
    @ivar servers: who is up, by id.
    @ivar paused_until: until when a server stands still and takes nothing.
    @ivar sent: told of everything sent: from whom, to whom, what.
    """

    def __init__(self, clock: SimulatedClock, rng: Random, tell: Callable[[str], None]) -> None:
        self.conditions = Conditions()
        self.cuts: set[tuple[str, str]] = set()
        self.servers: dict[str, Receiver] = {}
        self.clock = clock
        self.sent: Callable[[str, str, Any], None] = lambda sender, to, message: None
        self.paused_until: Callable[[str], float] = lambda server: 0.0
        self._rng = rng
        self._tell = tell

    def cut(self, from_: Iterable[str], to: Iterable[str]) -> None:
        """Nothing gets from these to those."""
        to = list(to)
        self.cuts.update((one, other) for one in from_ for other in to if one != other)

    def heal(self) -> None:
        """All cuts are mended."""
        self.cuts.clear()

    def carry(self, sender: str, to: str, message: Any) -> None:
        """Take one message."""
        self._tell(f"{sender}> {to} {message_text(message)}")
        self.sent(sender, to, message)
        rng, conditions = self._rng, self.conditions
        if rng.random() >= conditions.loss:
            self.clock.callLater(self._way(), self._arrive, sender, to, message)
        if conditions.double and rng.random() < conditions.double:
            self.clock.callLater(self._way(), self._arrive, sender, to, message)

    def _way(self) -> float:
        rng, conditions = self._rng, self.conditions
        seconds = conditions.delay * (0.5 + 1.5 * rng.random())
        if conditions.late and rng.random() < conditions.late:
            seconds *= 1 + 9 * rng.random()
        return seconds

    def _arrive(self, sender: str, to: str, message: Any) -> None:
        if (sender, to) in self.cuts:
            return
        receiver = self.servers.get(to)
        paused = self.paused_until(to)
        if paused > self.clock.now:
            self.clock.callLater(paused - self.clock.now, self._arrive, sender, to, message)
        elif receiver is not None:
            receiver.receive(sender, message)
        elif sender in self.servers and self._rng.random() < 0.5:
            self.servers[sender].unreachable(to)

    def carry_snapshot(self, sender: str, to: str, message: InstallSnapshot, stream: BinaryIO) -> Deferred[None]:
        """Take a snapshot, piece by piece; the way of one may break at each."""
        self._tell(f"{sender}> {to} {message_text(message)}")
        self.sent(sender, to, message)
        data = BytesIO(stream.read())
        stream.close()
        given_up: list[bool] = []
        done: Deferred[None] = Deferred(lambda _: given_up.append(True))
        sending, receiving = self.servers.get(sender), self.servers.get(to)
        taker: list[ISnapshotReceiver] = []

        def lost() -> None:
            if taker and self.servers.get(to) is receiving:
                taker[0].lost()
            if not done.called:
                done.errback(ConnectionLost())

        def step() -> None:
            broken = (sender, to) in self.cuts or self._rng.random() < self.conditions.loss
            if self.servers.get(sender) is not sending or given_up:
                if taker and self.servers.get(to) is receiving:
                    taker[0].lost()
                return
            paused = max(self.paused_until(sender), self.paused_until(to))
            if paused > self.clock.now:
                self.clock.callLater(paused - self.clock.now, step)
                return
            if broken or receiving is None or self.servers.get(to) is not receiving:
                lost()
                return
            if not taker:
                taker.append(receiving.receive_snapshot(sender, message))
            piece = data.read(_PIECE_BYTES)
            if piece:
                taker[0].write(piece)
                self.clock.callLater(self._way(), step)
            else:
                taker[0].finished()
                if not done.called:
                    done.callback(None)

        self.clock.callLater(self._way(), step)
        return done


def message_text(message: Any) -> str:
    """A message in few words: its name, and what differs from its defaults."""
    words = [type(message).__name__]
    for name in message.__struct_fields__:
        value = getattr(message, name)
        if name in ("leader", "candidate", "configuration") or value in (0, "", ()) or value is False:
            continue
        if name == "entries":
            value = " ".join(f"{entry.term}/{entry.index}" for entry in (value[:1] + value[1:][-1:]))
        elif value is True:
            words.append(name)
            continue
        words.append(f"{name}={value}")
    return " ".join(words)


@implementer(IRaftTransport)
class Transport:
    """One server's side of the network."""

    def __init__(self, network: Network, id: str) -> None:
        self._carry = partial(network.carry, id)
        self._carry_snapshot = partial(network.carry_snapshot, id)

    def send(self, to: str, address: str, message: Any) -> None:
        """See L{IRaftTransport.send}."""
        self._carry(to, message)

    def send_snapshot(self, to: str, address: str, message: InstallSnapshot, stream: BinaryIO) -> Deferred[None]:
        """See L{IRaftTransport.send_snapshot}."""
        return self._carry_snapshot(to, message, stream)
