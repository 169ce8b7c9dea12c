"""
The answering end of a Raft connection: what another server asks goes to the consensus, and its answers back in order.

Requests of one connection may all be in work at once; what the consensus answers early waits for those before it.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from txconsul.interfaces import ISnapshotReceiver
from txconsul.raft.messages import InstallSnapshot, InstallSnapshotReply, Message, TimeoutNow
from txconsul.rpc.raftwire import (
    NOBODY,
    PROTOCOL_VERSION,
    PROTOCOL_VERSION_MIN,
    BadRaft,
    Request,
    Requests,
    encode_error,
    encode_reply,
)

if TYPE_CHECKING:
    from txconsul.rpc.raft_transport import RaftTransport

__all__ = ["PENDING_MAX", "UNSUPPORTED_PROTOCOL", "RaftServing"]

#: Requests of one connection that may be unanswered; then no more are read. hashicorp/raft's leaders send two.
PENDING_MAX = 64
#: hashicorp/raft's words for a request of a protocol that is not spoken.
UNSUPPORTED_PROTOCOL = "operation not supported with current protocol version"


class _Slot:
    """The place of one answer in the order of its connection."""

    __slots__ = ("data",)

    def __init__(self) -> None:
        self.data: bytes | None = None


class RaftServing(Protocol):
    """
    What speaks to a peer's Raft after the first byte of a connection to the server port.
    """

    log = Logger("txconsul.raft")

    def __init__(self, raft: RaftTransport) -> None:
        self._raft = raft
        self._requests = Requests()
        self._slots: deque[_Slot] = deque()
        self._rounds: set[int] = set()
        self._receiver: ISnapshotReceiver | None = None
        self._reading = True
        self._congested = False
        self._broken = False

    # ---- the connection ----

    def connectionMade(self) -> None:
        """See L{Protocol}."""
        transport: Any = self.transport
        self._raft.servings.add(self)
        # Who asks and does not read its answers is not read either.
        transport.registerProducer(self, True)

    def dataReceived(self, data: bytes) -> None:
        """See L{Protocol}."""
        if self._broken:
            return
        try:
            for event in self._requests.feed(data):
                if isinstance(event, bytes):
                    self._snapshot_came(event)
                else:
                    self._asked(event)
                if self._broken:
                    return
        except BadRaft as error:
            transport: Any = self.transport
            self.log.error("Raft connection from {peer}: {error}", peer=transport.getPeer(), error=error)
            self.abort()
            return
        self._consider_reading()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See L{Protocol}."""
        self._broken = True
        self._raft.servings.discard(self)
        self._raft.forget(self._rounds)
        self._slots.clear()
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.lost()

    def abort(self) -> None:
        """Break the connection off."""
        self._broken = True
        transport: Any = self.transport
        transport.abortConnection()

    # ---- how much is read ----

    def pauseProducing(self) -> None:
        """The other side does not read what it is answered."""
        self._congested = True
        self._consider_reading()

    def resumeProducing(self) -> None:
        """It reads again."""
        self._congested = False
        self._consider_reading()

    def stopProducing(self) -> None:
        """The connection ends."""

    def _consider_reading(self) -> None:
        wanted = not self._congested and len(self._slots) < PENDING_MAX
        if wanted is not self._reading and not self._broken:
            self._reading = wanted
            transport: Any = self.transport
            if wanted:
                transport.resumeProducing()
            else:
                transport.pauseProducing()

    # ---- requests ----

    def _asked(self, request: Request) -> None:
        consensus = self._raft.consensus
        if consensus is None or not consensus.is_running:
            self.abort()  # not yet, or not any more: the other side tries again
            return
        slot = _Slot()
        self._slots.append(slot)
        message, header, legacy = request
        sender = header.id or header.address
        if not PROTOCOL_VERSION_MIN <= header.version <= PROTOCOL_VERSION:
            self._fill(slot, encode_error(UNSUPPORTED_PROTOCOL))
        elif not sender or sender == self._raft.id:
            raise BadRaft("a request of nobody, or of this server")
        elif isinstance(message, TimeoutNow):
            self._fill(slot, encode_reply(message, NOBODY))
            consensus.receive(sender, message)
        elif legacy is not None:
            refusal = InstallSnapshotReply(consensus.term, False)
            self._fill(slot, encode_reply(refusal, NOBODY, f"unsupported snapshot version {legacy}"))
        else:
            self._ask(slot, sender, message)

    def _ask(self, slot: _Slot, sender: str, message: Message) -> None:
        consensus = self._raft.consensus
        assert consensus is not None
        number = self._raft.expect(self, slot)
        self._rounds.add(number)
        message = replace(message, round=number)
        if isinstance(message, InstallSnapshot):
            self._receiver = consensus.receive_snapshot(sender, message)
            if not message.size:
                self._snapshot_ends()
        else:
            consensus.receive(sender, message)

    def _snapshot_came(self, data: bytes) -> None:
        receiver = self._receiver
        if receiver is not None:
            receiver.write(data)
        if not self._requests.snapshot_left:
            self._snapshot_ends()

    def _snapshot_ends(self) -> None:
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.finished()
        self._flush()

    # ---- answers ----

    def answer(self, number: int, slot: _Slot, message: Message) -> None:
        """The consensus answers the request of this number."""
        self._rounds.discard(number)
        header = NOBODY if isinstance(message, InstallSnapshotReply) else self._raft.header
        self._fill(slot, encode_reply(message, header))

    def _fill(self, slot: _Slot, data: bytes) -> None:
        slot.data = data
        if slot is self._slots[0]:
            self._flush()

    def _flush(self) -> None:
        """Write what is answered, in order; nothing while a snapshot is still coming in: its sender only writes."""
        slots = self._slots
        ready: list[bytes] = []
        while slots and not self._requests.snapshot_left:
            data = slots[0].data
            if data is None:
                break
            ready.append(data)
            slots.popleft()
        if ready and not self._broken:
            transport: Any = self.transport
            transport.write(b"".join(ready))
            self._consider_reading()
