"""
Questions that are somebody else's to answer, asked of other DNS servers.

Each question goes out from a socket of its own with an id of its own, so that an answer is hard to forge (RFC 5452 4).
"""

from __future__ import annotations

from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost, ConnectionRefusedError
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from txconsul.dns.message import NOERROR, NXDOMAIN, A, Malformed, Message, Name, Question, Record, decode, encode
from txconsul.dns.settings import DNSSettings
from txconsul.interfaces import INetwork

__all__ = ["QUESTIONS_UNDER_WAY_MAX", "Recursor"]

#: Questions asked at the same time: each holds a socket. More are not asked, which also ends a circle of servers.
QUESTIONS_UNDER_WAY_MAX = 256

_log = Logger()


def _answers(packet: bytes, question: Question, id: int) -> Message | None:
    """The message, if it answers this question."""
    try:
        message = decode(packet)
    except Malformed:
        return None
    if not message.response or message.id != id or len(message.questions) != 1:
        return None
    got = message.questions[0]
    same = got.type == question.type and got.class_ == question.class_
    return message if same and _folded(got.name) == _folded(question.name) else None


def _folded(name: Name) -> Name:
    return tuple([label.lower() for label in name])


class _Datagram(DatagramProtocol):
    """
    Waits for one answer from one server; everything else that comes is no matter.

    @ivar over: nobody waits any more.
    """

    noisy = False

    def __init__(self, server: tuple[str, int], question: Question, id: int) -> None:
        self._server = server
        self._question = question
        self._id = id
        self.over = False
        self.answer: Deferred[tuple[bytes, Message]] = Deferred()

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        """Take it if it is the answer."""
        if addr[:2] != self._server or self.over or self.answer.called:
            return
        message = _answers(datagram, self._question, self._id)
        if message is not None:
            self.answer.callback((datagram, message))

    def connectionRefused(self) -> None:
        """Nobody is there."""
        if not (self.over or self.answer.called):
            self.answer.errback(ConnectionRefusedError())

    stopProtocol = connectionRefused


class _Stream(Protocol):
    """
    One question and its answer in TCP.

    @ivar over: nobody waits any more.
    """

    def __init__(self, packet: bytes, question: Question, id: int) -> None:
        self._packet = packet
        self._question = question
        self._id = id
        self._data = b""
        self.over = False
        self.answer: Deferred[tuple[bytes, Message]] = Deferred()

    def connectionMade(self) -> None:
        """Ask."""
        assert self.transport is not None
        self.transport.write(len(self._packet).to_bytes(2, "big") + self._packet)

    def dataReceived(self, data: bytes) -> None:
        """Gather the answer."""
        self._data += data
        size = int.from_bytes(self._data[:2], "big") + 2 if len(self._data) > 1 else 0
        if not size or len(self._data) < size or self.over or self.answer.called:
            return
        packet = self._data[2:size]
        message = _answers(packet, self._question, self._id)
        if message is None:
            self.answer.errback(Malformed("the answer is to another question"))
        else:
            self.answer.callback((packet, message))

    def connectionLost(self, reason: Failure = Failure(ConnectionLost())) -> None:  # noqa: B008
        """There is no answer."""
        if not (self.over or self.answer.called):
            self.answer.errback(reason)


class Recursor:
    """
    @param rng: for ids and the order of servers; it must be hard to guess.
    """

    def __init__(self, network: INetwork, settings: DNSSettings, rng: Random) -> None:
        self._network = network
        self._servers = settings.recursors
        self._timeout = settings.recursor_timeout
        self._random = settings.recursor_random
        self._rng = rng
        self._under_way = 0

    async def forward(self, packet: bytes, question: Question, udp: bool) -> bytes | None:
        """
        Ask one server after the other.

        @param packet: the question as it came.
        @param udp: how it came; it goes on in the same way.
        @return: the first answer that says what is there, or that nothing is; None if nobody gave one.
        """
        found = await self._ask(packet, question, udp)
        return None if found is None else packet[:2] + found[0][2:]

    async def resolve(self, name: Name) -> list[Record]:
        """The records that lead to the IPv4 addresses of a host; none if they cannot be found."""
        question = Question(name, A)
        packet = encode(Message(recursion_desired=True, questions=[question]))
        found = await self._ask(packet, question, True)
        return [] if found is None else found[1].answer

    async def _ask(self, packet: bytes, question: Question, udp: bool) -> tuple[bytes, Message] | None:
        if self._under_way >= QUESTIONS_UNDER_WAY_MAX:
            _log.warn("{count} questions are asked of recursors already", count=self._under_way)
            return None
        servers = [*self._servers]
        if self._random:
            self._rng.shuffle(servers)
        self._under_way += 1
        try:
            for server in servers:
                found = await self._ask_one(packet, question, udp, server)
                if found is not None:
                    return found
        finally:
            self._under_way -= 1
        return None

    async def _ask_one(
        self, packet: bytes, question: Question, udp: bool, server: tuple[str, int]
    ) -> tuple[bytes, Message] | None:
        id = self._rng.getrandbits(16)
        packet = id.to_bytes(2, "big") + packet[2:]
        try:
            found = await (self._by_udp if udp else self._by_tcp)(packet, question, id, server)
        except Exception as error:
            _log.info("recursor {host}:{port} failed: {error!r}", host=server[0], port=server[1], error=error)
            return None
        return found if found[1].rcode in (NOERROR, NXDOMAIN) else None

    async def _by_udp(
        self, packet: bytes, question: Question, id: int, server: tuple[str, int]
    ) -> tuple[bytes, Message]:
        protocol = _Datagram(server, question, id)
        interface = r"\:\:" if ":" in server[0] else "0.0.0.0"
        port: Any = await self._network.datagrams(f"udp:0:interface={interface}", protocol)
        try:
            assert protocol.transport is not None
            protocol.transport.connect(*server)
            if not protocol.answer.called:
                protocol.transport.write(packet, None)
            return await protocol.answer.addTimeout(self._timeout, self._network.clock)
        finally:
            protocol.over = True
            port.stopListening()

    async def _by_tcp(
        self, packet: bytes, question: Question, id: int, server: tuple[str, int]
    ) -> tuple[bytes, Message]:
        protocol = _Stream(packet, question, id)
        host = server[0].replace(":", r"\:")
        factory = Factory.forProtocol(lambda: protocol)  # type: ignore[arg-type]
        factory.noisy = False
        clock = self._network.clock
        connected: Deferred[Any] = self._network.connect(f"tcp:{host}:{server[1]}", factory)
        await connected.addTimeout(self._timeout, clock)
        try:
            return await protocol.answer.addTimeout(self._timeout, clock)
        finally:
            protocol.over = True
            if protocol.transport is not None:
                protocol.transport.loseConnection()
