"""
DNS over UDP and TCP: messages in, messages out.

A question whose answer is kept costs one look-up: the answer's bytes, behind the question's id. Everything else is
decoded, answered from the catalog or by a recursor, and kept if it stands.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txconsul.dns.answers import Answerer, Reply, is_complete, refusal
from txconsul.dns.cache import AnswerCache
from txconsul.dns.lookups import IDoor, Lookups
from txconsul.dns.measuring import QuestionTimes
from txconsul.dns.message import FORMERR, NOTIMP, SERVFAIL, Malformed, Message, decode, encode, read_id
from txconsul.dns.recursor import Recursor
from txconsul.dns.settings import DNSSettings
from txconsul.dns.trimming import answers_worth_making, encode_for_tcp, encode_for_udp
from txconsul.interfaces import INetwork
from txconsul.metrics.metrics import Metrics

__all__ = ["CONNECTIONS_MAX", "IDLE_SECONDS", "DNSServer"]

#: TCP connections at the same time: each holds a descriptor.
CONNECTIONS_MAX = 1024
#: A TCP connection that asks nothing for so long is closed (RFC 7766 6.2.3 wants "a few seconds").
IDLE_SECONDS = 10.0
#: Where answers may not be older than this, they are not kept: the age of what is kept is not looked at.
MAX_STALE_KEPT_SECONDS = 3600.0

_QR = 0x80

_log = Logger()

Send = Callable[[bytes], object]


class DNSServer:
    """
    Answers questions.

    @ivar datagrams: the receiver for UDP; one for each address.
    @ivar streams: the factory for TCP.
    """

    def __init__(
        self,
        door: IDoor,
        settings: DNSSettings,
        network: INetwork,
        rng: Random,
        secret_rng: Random,
        now_utc: Callable[[], float],
        metrics: Metrics | None = None,
        node: str = "",
    ) -> None:
        """
        @param rng: for the order of records.
        @param secret_rng: for the ids of questions that are asked of others.
        @param now_utc: seconds since 1970.
        @param metrics: the instruments of what is measured.
        @param node: the node's name, for those.
        """
        self.times = QuestionTimes(metrics or Metrics(), node, network.clock.seconds)
        self._door = door
        self._network = network
        self._rng = rng
        self._secret_rng = secret_rng
        self._now_utc = now_utc
        self.udp_answers = AnswerCache()
        self.tcp_answers = AnswerCache()
        self.streams = _StreamFactory(self, network.clock)
        self._heed(settings)

    def change(self, settings: DNSSettings) -> None:
        """Answer differently from now on; what was kept is not what would be made. The domains stay what they are."""
        now = self._settings
        self._heed(msgspec.structs.replace(settings, domain=now.domain, alternative=now.alternative))
        self.udp_answers.clear()
        self.tcp_answers.clear()

    def _heed(self, settings: DNSSettings) -> None:
        self._settings = settings
        self._recursor = Recursor(self._network, settings, self._secret_rng) if settings.recursors else None
        resolve = None if self._recursor is None else self._recursor.resolve
        self._answerer = Answerer(self._door, settings, self._rng, self._now_utc, resolve)
        self._keeping = settings.allow_stale and settings.max_stale >= MAX_STALE_KEPT_SECONDS

    def datagrams(self) -> DatagramProtocol:
        """A receiver for UDP."""
        return _Datagrams(self)

    def stop(self) -> None:
        """Forget kept answers and close connections; the ports are closed already."""
        self.udp_answers.clear()
        self.tcp_answers.clear()
        for stream in list(self.streams.open):
            stream.close()

    def answer(self, packet: bytes, udp: bool, send: Send, asker: str = "") -> None:
        """
        Answer a message for which no answer is kept.

        @param asker: the address of whoever asks, where it is known.

        @param send: is given the answer, at once or later; not called for what is not to be answered.
        """
        try:
            question = decode(packet)
        except Malformed as error:
            self._malformed(packet, error, send)
            return
        if question.response:
            return
        if question.opcode or not is_complete(question):
            question.additional = []
            send(encode(refusal(question, NOTIMP if question.opcode else FORMERR)))
            return
        began = self.times.seconds()
        lookups = self._answerer.lookups(asker)
        done = Deferred.fromCoroutine(self._answer(packet, question, udp, lookups))
        at_once = done.called
        done.addCallbacks(
            self._answered,
            self._failed,
            callbackArgs=(packet, question, udp, lookups, at_once, began, send),
            errbackArgs=(packet, question, send),
        )

    async def _answer(
        self, packet: bytes, question: Message, udp: bool, lookups: Lookups
    ) -> tuple[bytes | None, Reply | None]:
        edns = question.edns()
        size = None if edns is None else edns.size
        reply = await self._answerer.answer(question, lookups, answers_worth_making(udp, size))
        if reply.forward and self._recursor is not None:
            forwarded = await self._recursor.forward(packet, question.questions[0], udp)
            if forwarded is not None:
                return forwarded, None
        it = self._settings
        compress = not it.disable_compression
        if udp:
            encoded = encode_for_udp(reply.message, compress, size, it.udp_answer_limit, it.enable_truncate)
        else:
            encoded = encode_for_tcp(reply.message, compress, it.enable_truncate)
        return encoded, reply

    def _answered(
        self,
        result: tuple[bytes, Reply | None],
        packet: bytes,
        question: Message,
        udp: bool,
        lookups: Lookups,
        at_once: bool,
        began: float,
        send: Send,
    ) -> None:
        encoded, reply = result
        send(encoded)
        self.times.taken(packet, began)
        # What took time may have changed meanwhile, and others' answers are theirs to keep. Options make questions
        # that come only once.
        if not (self._keeping and at_once and lookups.lasting) or reply is None or reply.forward:
            return
        edns = question.edns()
        if edns is not None and edns.options:
            return
        answers = self.udp_answers if udp else self.tcp_answers
        answers.put(packet[2:], encoded[2:], lookups.drawn, lambda gone: self._door.watch(lookups.asked, gone))

    def _malformed(self, packet: bytes, error: Malformed, send: Send) -> None:
        id = read_id(packet)
        if id is None or packet[2] & _QR:
            return
        _log.debug("a malformed question: {error}", error=error)
        send(encode(Message(id=id, response=True, rcode=FORMERR)))

    def _failed(self, failure: Failure, packet: bytes, question: Message, send: Send) -> None:
        if failure.check(Malformed):
            self._malformed(packet, failure.value, send)  # type: ignore[arg-type]
            return
        _log.failure("a question could not be answered", failure)
        question.additional = []
        send(encode(refusal(question, SERVFAIL)))


class _Datagrams(DatagramProtocol):
    """UDP at one address."""

    noisy = False

    def __init__(self, server: DNSServer) -> None:
        self._server = server
        self._kept = server.udp_answers.get
        self._seconds = server.times.seconds
        self._taken = server.times.taken

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        """Answer a message."""
        began = self._seconds()
        kept = self._kept(datagram[2:])
        if kept is not None:
            self.transport.write(datagram[:2] + kept, addr)  # type: ignore[union-attr]
            self._taken(datagram, began)
            return
        self._server.answer(datagram, True, lambda answer: self._send(answer, addr), addr[0])

    def _send(self, answer: bytes, addr: tuple[str, int]) -> None:
        if self.transport is not None:
            self.transport.write(answer, addr)


@implementer(IPushProducer)
class _Streams(Protocol):
    """
    A TCP connection: each message has its length before it (RFC 1035 4.2.2). Answers go out as they are ready (RFC 7766
    6.2.1.1). While the other side does not take them, no more questions are read.
    """

    transport: Any

    def __init__(self, factory: _StreamFactory) -> None:
        self._factory = factory
        self._data = bytearray()
        self._timer: IDelayedCall | None = None
        self._is_open = False
        self._paused = False
        self._asker = ""

    def connectionMade(self) -> None:
        """Begin."""
        self._is_open = True
        self._asker = getattr(self.transport.getPeer(), "host", "")
        self._factory.open.add(self)
        self._timer = self._factory.clock.callLater(IDLE_SECONDS, self.close)
        self.transport.registerProducer(self, True)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """End."""
        self._is_open = False
        self._factory.open.discard(self)
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def dataReceived(self, data: bytes) -> None:
        """Answer what is whole."""
        self._data += data
        server = self._factory.server
        while len(self._data) >= 2 and self._is_open:
            end = int.from_bytes(self._data[:2], "big") + 2
            if len(self._data) < end:
                break
            packet = bytes(self._data[2:end])
            del self._data[:end]
            if self._timer is not None and self._timer.active():
                self._timer.reset(IDLE_SECONDS)
            began = server.times.seconds()
            kept = server.tcp_answers.get(packet[2:])
            if kept is not None:
                self._send(packet[:2] + kept)
                server.times.taken(packet, began)
            else:
                server.answer(packet, False, self._send, self._asker)

    def _send(self, answer: bytes) -> None:
        if self._is_open:
            self.transport.write(len(answer).to_bytes(2, "big") + answer)

    def close(self) -> None:
        """Say no more."""
        if self._is_open:
            self._is_open = False
            self.transport.unregisterProducer()
            if self._paused:
                self.transport.abortConnection()
            else:
                self.transport.loseConnection()

    def pauseProducing(self) -> None:
        """The other side does not take what it has asked for."""
        self._paused = True
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """It does again."""
        self._paused = False
        self.transport.resumeProducing()

    def stopProducing(self) -> None:
        """The connection is lost."""


class _StreamFactory(Factory):
    """
    TCP at all addresses.

    @ivar open: the connections that are there.
    """

    noisy = False

    def __init__(self, server: DNSServer, clock: Any) -> None:
        self.server = server
        self.clock = clock
        self.open: set[_Streams] = set()

    def buildProtocol(self, addr: object) -> _Streams | None:
        """A connection, unless there are too many."""
        return _Streams(self) if len(self.open) < CONNECTIONS_MAX else None
