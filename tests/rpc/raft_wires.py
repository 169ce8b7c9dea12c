"""Connections for tests of Raft's transport: dialled by hand, carried by hand."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from txconsul.interfaces import ISnapshotReceiver
from txconsul.raft.messages import InstallSnapshot, Message


class Wire(StringTransport):
    """One end of a connection: what was written, and whether it was broken off."""

    def __init__(self, protocol: Any) -> None:
        super().__init__()
        self.protocol = protocol
        self.lost = False

    def abortConnection(self) -> None:
        """See L{ITCPTransport}."""
        self.aborting = True
        self.lose()

    def loseConnection(self) -> None:
        """See L{ITransport}."""
        super().loseConnection()
        self.lose()

    def lose(self) -> None:
        """The connection ends."""
        if not self.lost:
            self.lost = True
            self.protocol.connectionLost(Failure(ConnectionDone()))

    def take(self) -> bytes:
        """What was written since the last call."""
        data: bytes = self.value()
        self.clear()
        return data

    def give(self, data: bytes) -> None:
        """The other side wrote this."""
        self.protocol.dataReceived(data)


def wired(protocol: Any) -> Wire:
    """C{protocol}, connected."""
    wire = Wire(protocol)
    protocol.makeConnection(wire)
    return wire


class Dialled:
    """
    A way to dial that waits to be told how it went.

    @ivar attempts: addresses, protocols and Deferreds of what was dialled.
    @ivar cancelled: addresses of the attempts that were given up.
    """

    def __init__(self) -> None:
        self.attempts: list[tuple[str, Any, Deferred[None]]] = []
        self.cancelled: list[str] = []

    def __call__(self, address: str, protocol: Any) -> Deferred[None]:
        waiting: Deferred[None] = Deferred(lambda _: self.cancelled.append(address))
        self.attempts.append((address, protocol, waiting))
        return waiting

    def connect(self, number: int = -1) -> Wire:
        """An attempt succeeds."""
        _, protocol, waiting = self.attempts[number]
        wire = wired(protocol)
        if not waiting.called:
            waiting.callback(None)
        return wire


class Pieces:
    """Takes a snapshot."""

    def __init__(self) -> None:
        self.events: list[bytes | str] = []

    def write(self, data: bytes) -> None:
        """See L{ISnapshotReceiver}."""
        self.events.append(data)

    def finished(self) -> None:
        """See L{ISnapshotReceiver}."""
        self.events.append("finished")

    def lost(self) -> None:
        """See L{ISnapshotReceiver}."""
        self.events.append("lost")


class Heard:
    """What stands for a consensus: notes what it is told."""

    def __init__(self) -> None:
        self.is_running = True
        self.term = 7
        self.messages: list[tuple[str, Message]] = []
        self.snapshots: list[tuple[str, InstallSnapshot]] = []
        self.pieces = Pieces()
        self.missing: list[str] = []

    def receive(self, sender: str, message: Message) -> None:
        """See L{Consensus}."""
        self.messages.append((sender, message))

    def receive_snapshot(self, sender: str, message: InstallSnapshot) -> ISnapshotReceiver:
        """See L{Consensus}."""
        self.snapshots.append((sender, message))
        self.pieces = Pieces()
        return self.pieces  # type: ignore[return-value]

    def unreachable(self, server: str) -> None:
        """See L{Consensus}."""
        self.missing.append(server)
