"""Raft's transport: which answer belongs to which request, and what is done when there is none."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.interfaces import IPullProducer
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.rpc.raft_wires import Dialled, Heard, Wire, wired
from txconsul.errors import Unavailable
from txconsul.interfaces import IRaftTransport
from txconsul.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    InstallSnapshot,
    InstallSnapshotReply,
    Message,
    PreVoteReply,
    RequestPreVote,
    RequestVote,
    TimeoutNow,
    VoteReply,
)
from txconsul.records.raft import Entry
from txconsul.rpc.raft_lane import IDLE_SECONDS, PAUSE_SECONDS, PAUSE_SECONDS_MAX
from txconsul.rpc.raft_serving import PENDING_MAX, UNSUPPORTED_PROTOCOL
from txconsul.rpc.raft_transport import TIMEOUT_SECONDS, RaftTransport
from txconsul.rpc.raftwire import (
    NOBODY,
    Answer,
    Header,
    Request,
    RequestEncoder,
    Requests,
    Responses,
    encode_error,
    encode_reply,
)
from txconsul.simulation.clock import SimulatedClock

A, B = Header("id-a", "10.0.0.1:8300"), Header("id-b", "10.0.0.2:8300")
HEARTBEAT = AppendEntries(7, A.address, round=1)


def append(number: int, count: int = 1) -> AppendEntries:
    """An append of some entries, of this round."""
    entries = tuple(Entry(index=number + place, term=7, data=b"\x02x") for place in range(count))
    return AppendEntries(7, A.address, number - 1, 7, 0, entries, number)


def asked(wire: Wire) -> list[Message]:
    """The requests that were written, without their rounds."""
    found = []
    for event in Requests().feed(wire.take()):
        assert isinstance(event, Request)
        assert event.header == A
        found.append(event.message)
    return found


def answers(wire: Wire) -> list[Answer]:
    """The answers that were written."""
    return list(Responses().feed(wire.take()))


class TransportTestCase(SynchronousTestCase):
    """A transport of server a, whose connections are made by hand."""

    def setUp(self) -> None:
        self.clock = SimulatedClock()
        self.dialled = Dialled()
        self.heard = Heard()
        self.transport = RaftTransport(
            A.id, A.address, dial=self.dialled, clock=self.clock, heartbeat_timeout=1.0, locate=self.locate
        )
        self.transport.consensus = self.heard
        self.moved = ""

    def locate(self, id: str) -> str:
        """Where a server is by now."""
        return self.moved

    def send(self, *messages: Message) -> None:
        """To server b."""
        for message in messages:
            self.transport.send(B.id, B.address, message)


class AskingTests(TransportTestCase):
    """The asking end."""

    def test_provides(self) -> None:
        """It is what consensus wants."""
        verifyObject(IRaftTransport, self.transport)

    def test_answersInOrder(self) -> None:
        """The n-th answer of a connection is completed from its n-th request."""
        self.send(append(5, 2), append(7))
        wire = self.dialled.connect()
        self.assertEqual([m.prev_log_entry for m in asked(wire) if isinstance(m, AppendEntries)], [4, 6])
        first = encode_reply(AppendEntriesReply(7, True, 6), B)
        second = encode_reply(AppendEntriesReply(7, False, 6, True), B)
        wire.give(first + second[:9])
        self.assertEqual(self.heard.messages, [(B.id, AppendEntriesReply(7, True, 6, False, 6, 4, 5))])
        wire.give(second[9:])
        self.assertEqual(self.heard.messages[1:], [(B.id, AppendEntriesReply(7, False, 6, True, 7, 6, 7))])

    def test_connectionsOfTheirOwn(self) -> None:
        """Heartbeats, entries and votes wait for nothing of each other."""
        self.send(HEARTBEAT, append(5), RequestVote(8, A.address, 4, 7), append(6), TimeoutNow(7))
        self.assertEqual([address for address, _, _ in self.dialled.attempts], [B.address] * 3)
        kinds = [[type(m).__name__ for m in asked(self.dialled.connect(n))] for n in range(3)]
        self.assertEqual(kinds, [["AppendEntries"], ["AppendEntries"] * 2, ["RequestVote", "TimeoutNow"]])

    def test_calls(self) -> None:
        """Votes and pre-votes come back with the round of their question; the answer to TimeoutNow says nothing."""
        self.send(RequestPreVote(8, 4, 7, round=3), TimeoutNow(7), RequestVote(8, A.address, 4, 7, round=4))
        wire = self.dialled.connect()
        wire.give(encode_reply(PreVoteReply(8, True), B) + encode_reply(TimeoutNow(), NOBODY))
        wire.give(encode_reply(VoteReply(9, False), B))
        self.assertEqual(self.heard.messages, [(B.id, PreVoteReply(8, True, 3)), (B.id, VoteReply(9, False, 4))])

    def test_newestHeartbeatWaits(self) -> None:
        """One heartbeat is out at a time; of those that come meanwhile the newest goes next."""
        self.send(HEARTBEAT)
        wire = self.dialled.connect()
        asked(wire)
        self.send(*[AppendEntries(7, A.address, round=number) for number in (2, 3, 4)])
        self.assertEqual(asked(wire), [])
        wire.give(encode_reply(AppendEntriesReply(7, True, 9), B))
        self.assertEqual(len(asked(wire)), 1)
        wire.give(encode_reply(AppendEntriesReply(7, True, 9), B))
        self.assertEqual([m.round for _, m in self.heard.messages if isinstance(m, AppendEntriesReply)], [1, 4])

    def test_oldPeersGrantPreVotes(self) -> None:
        """A server that does not know pre-votes counts as having granted."""
        self.send(RequestPreVote(8, 4, 7, round=3))
        self.dialled.connect().give(encode_error("unexpected command"))
        self.assertEqual(self.heard.messages, [(B.id, PreVoteReply(8, True, 3))])

    def test_errors(self) -> None:
        """Another error is no answer: of a vote nothing is heard, and an append may not have arrived."""
        self.send(RequestPreVote(8, 4, 7), append(5))
        for number in (0, 1):
            self.dialled.connect(number).give(encode_error("raft is already shutdown"))
        self.assertEqual((self.heard.messages, self.heard.missing), ([], [B.id]))

    def test_unreachable(self) -> None:
        """Who cannot be dialled is tried again after a pause that grows, up to a limit."""
        pauses = []
        self.send(append(5))
        for count in range(1, 8):
            began = self.clock.seconds()
            self.dialled.attempts[-1][2].errback(ConnectionRefusedError())
            while len(self.dialled.attempts) == count:
                self.clock.advance(0.01)
                self.send(append(5))
            pauses.append(self.clock.seconds() - began)
        for pause, expected in ((0, PAUSE_SECONDS), (1, 2 * PAUSE_SECONDS), (-1, PAUSE_SECONDS_MAX)):
            self.assertTrue(expected <= pauses[pause] < expected + 0.02, pauses)
        self.assertEqual(set(self.heard.missing), {B.id})

    def test_brokenConnection(self) -> None:
        """What was out when a connection breaks may not have arrived; the next message makes another."""
        self.send(append(5))
        wire = self.dialled.connect()
        wire.lose()
        self.assertEqual(self.heard.missing, [B.id])
        self.clock.advance(PAUSE_SECONDS)
        self.send(append(5))
        self.assertEqual(len(asked(self.dialled.connect())), 1)

    def test_quietConnectionBreaks(self) -> None:
        """A connection that breaks while nothing is out is no news."""
        self.send(append(5))
        wire = self.dialled.connect()
        wire.give(encode_reply(AppendEntriesReply(7, True, 5), B))
        wire.lose()
        self.assertEqual(self.heard.missing, [])
        self.send(append(6))
        self.assertEqual(len(self.dialled.attempts), 2)

    def test_timeouts(self) -> None:
        """Who does not answer in time is given up, a heartbeat sooner; later requests do not put that off."""
        self.send(HEARTBEAT, append(5))
        beats, entries = self.dialled.connect(0), self.dialled.connect(1)
        for _ in range(9):
            self.clock.advance(0.1)
            self.send(HEARTBEAT, append(6))
        self.assertFalse(beats.lost)
        self.clock.advance(0.11)
        self.assertTrue(beats.lost)
        self.clock.advance(TIMEOUT_SECONDS - 1)
        self.assertTrue(entries.lost)
        self.assertEqual(self.heard.missing, [B.id])

    def test_slowAnswersCount(self) -> None:
        """Each answer gives the next its full time."""
        self.send(append(5), append(6))
        wire = self.dialled.connect()
        self.clock.advance(TIMEOUT_SECONDS - 1)
        wire.give(encode_reply(AppendEntriesReply(7, True, 5), B))
        self.clock.advance(TIMEOUT_SECONDS - 1)
        self.assertFalse(wire.lost)

    def test_dialledTooLong(self) -> None:
        """Dialling, too, has its time."""
        self.send(append(5))
        self.clock.advance(TIMEOUT_SECONDS + 0.1)
        self.assertEqual(self.dialled.cancelled, [B.address])
        self.assertEqual(self.heard.missing, [B.id])

    def test_idleConnectionsGo(self) -> None:
        """A connection without anything to do is closed after a while."""
        self.send(RequestVote(8))
        wire = self.dialled.connect()
        wire.give(encode_reply(VoteReply(8, True), B))
        self.clock.advance(IDLE_SECONDS + 0.1)
        self.assertTrue(wire.lost)
        self.assertEqual(self.heard.missing, [])

    def test_oldestWaitersAreLost(self) -> None:
        """While it is dialled, no more is kept than could be wanted still."""
        self.send(*[append(number) for number in range(1, 30)])
        self.assertEqual([m.prev_log_entry for m in asked(self.dialled.connect())][-1], 28)  # type: ignore[union-attr]

    def test_movedServer(self) -> None:
        """A server that has another address now is dialled there; what the old one says does not count."""
        self.send(append(5))
        old = self.dialled.connect()
        self.moved = "10.0.0.9:8300"
        self.send(append(6))
        self.assertTrue(old.lost)
        self.assertEqual(self.dialled.attempts[-1][0], "10.0.0.9:8300")

    def test_lateConnection(self) -> None:
        """A connection that was given up and comes all the same is closed."""
        self.send(append(5))
        self.moved = "10.0.0.9:8300"
        self.send(append(6))
        self.assertEqual(self.dialled.cancelled, [B.address])
        self.assertTrue(self.dialled.connect(0).lost)
        self.assertFalse(self.dialled.connect(1).lost)

    def test_nonsense(self) -> None:
        """Answers to nothing, or that are none, break the connection."""
        for data in (encode_reply(VoteReply(8, True), B) * 2, b"\xc1", encode_error("")):
            self.send(RequestVote(8))
            wire = self.dialled.connect()
            wire.give(data)
            self.assertTrue(wire.lost, data)
            self.clock.advance(PAUSE_SECONDS_MAX)

    def test_close(self) -> None:
        """Afterwards there is no connection and nothing is dialled."""
        serving = wired(self.transport.factory.buildProtocol(None))
        self.send(append(5), RequestVote(8))
        wire = self.dialled.connect(0)
        self.transport.close()
        self.send(append(6))
        self.assertTrue(wire.lost and serving.lost)
        self.assertEqual(self.dialled.cancelled, [B.address])
        self.assertEqual((len(self.dialled.attempts), self.clock.getDelayedCalls()), (2, []))


class ServingTests(TransportTestCase):
    """The answering end."""

    def setUp(self) -> None:
        super().setUp()
        self.wire = wired(self.transport.factory.buildProtocol(None))
        self.encoder = RequestEncoder(B)

    def ask(self, *messages: Message) -> None:
        """Server b asks."""
        self.wire.give(b"".join(map(self.encoder.encode, messages)))

    def answer(self, *messages: Message) -> None:
        """The core answers."""
        for message in messages:
            self.transport.send(B.id, "", message)

    def test_answersInOrder(self) -> None:
        """Whatever the order in which the core answers, the other side reads its own."""
        self.ask(append(5), append(6), RequestVote(9))
        one, two, three = [message for _, message in self.heard.messages]
        self.assertEqual({sender for sender, _ in self.heard.messages}, {B.id})
        self.answer(VoteReply(9, True, three.round), AppendEntriesReply(7, True, 6, round=two.round))  # type: ignore[union-attr]
        self.assertEqual(answers(self.wire), [])
        self.answer(AppendEntriesReply(7, True, 5, round=one.round))  # type: ignore[union-attr]
        found = answers(self.wire)
        self.assertEqual([answer.body[b"LastLog"] for answer in found[:2] if answer.body], [5, 6])
        self.assertEqual([answer.header for answer in found], [A] * 3)

    def test_answersFindTheirConnection(self) -> None:
        """Two connections may ask the same; each gets its own answer."""
        other = wired(self.transport.factory.buildProtocol(None))
        self.ask(RequestVote(9))
        other.give(self.encoder.encode(RequestVote(9)))
        (_, first), (_, second) = self.heard.messages
        self.answer(VoteReply(9, True, second.round))  # type: ignore[union-attr]
        self.assertEqual((len(answers(self.wire)), len(answers(other))), (0, 1))
        self.answer(VoteReply(9, False, first.round), VoteReply(9, False, first.round), VoteReply(9, True, 0))  # type: ignore[union-attr]
        self.assertEqual((len(answers(self.wire)), len(answers(other))), (1, 0))

    def test_timeoutNow(self) -> None:
        """It is confirmed at once, by nobody, and the core told."""
        self.ask(TimeoutNow())
        self.assertEqual(self.wire.take(), encode_reply(TimeoutNow(), NOBODY))
        self.assertEqual(self.heard.messages, [(B.id, TimeoutNow())])

    def test_otherProtocols(self) -> None:
        """A request of a protocol that is not spoken is refused in hashicorp/raft's words."""
        for version in (0, 1, 4):
            self.wire.give(RequestEncoder(Header("x", "y:1", version)).encode(RequestVote(9)))
            self.assertEqual(answers(self.wire), [Answer(UNSUPPORTED_PROTOCOL, None)])
        self.wire.give(RequestEncoder(Header("", "y:1", 2)).encode(RequestVote(9)))
        self.assertEqual([sender for sender, _ in self.heard.messages], ["y:1"])

    def test_strangers(self) -> None:
        """A request of nobody or of this server itself, and bytes that are no request, end the connection."""
        for data in (
            RequestEncoder(Header()).encode(RequestVote(9)),
            RequestEncoder(A).encode(RequestVote(9)),
            b"\x07\x80",
            b"\x00\x01",
        ):
            wire = wired(self.transport.factory.buildProtocol(None))
            wire.give(data)
            self.assertTrue(wire.lost, data)
        self.assertEqual(self.heard.messages, [])

    def test_notRunning(self) -> None:
        """While the server is not ready, or stopped, the connection is closed: the other side tries again."""
        self.heard.is_running = False
        self.ask(RequestVote(9), RequestVote(9))
        self.assertTrue(self.wire.lost)
        self.transport.consensus = None
        self.assertTrue(self.heard.messages == [])

    def test_lostConnection(self) -> None:
        """What is answered after the connection is gone goes nowhere, and nothing is kept of it."""
        self.ask(append(5), append(6))
        self.wire.lose()
        self.answer(*[AppendEntriesReply(7, True, round=m.round) for _, m in self.heard.messages])  # type: ignore[union-attr]
        self.assertEqual((self.wire.take(), self.transport._expected, self.transport.servings), (b"", {}, set()))

    def test_tooManyUnanswered(self) -> None:
        """No more is read while so much is unanswered, and again once it is answered."""
        self.ask(*[append(number) for number in range(1, PENDING_MAX + 3)])
        self.assertEqual(self.wire.producerState, "paused")
        numbers = [message.round for _, message in self.heard.messages]  # type: ignore[union-attr]
        self.answer(*[AppendEntriesReply(7, True, round=number) for number in numbers[:3]])
        self.assertEqual(self.wire.producerState, "producing")

    def test_congestion(self) -> None:
        """Who does not read its answers is not read."""
        producer: Any = self.wire.producer
        producer.pauseProducing()
        self.assertEqual(self.wire.producerState, "paused")
        producer.resumeProducing()
        self.assertEqual(self.wire.producerState, "producing")


class SnapshotTests(TransportTestCase):
    """Snapshots, out and in."""

    MESSAGE = InstallSnapshot(7, A.address, 40, 6, size=200_000, round=9)

    def start(self, size: int = 200_000) -> tuple[Deferred[None], BytesIO]:
        """Send a snapshot to b."""
        stream = BytesIO(bytes(range(250)) * (size // 250))
        return self.transport.send_snapshot(B.id, B.address, self.MESSAGE, stream), stream

    def pull(self, wire: Wire) -> None:
        """The connection takes one more piece."""
        producer: Any = wire.producer
        verifyObject(IPullProducer, producer)
        producer.resumeProducing()

    def test_sent(self) -> None:
        """The bytes go out as the connection takes them; then the answer is awaited."""
        done, stream = self.start()
        wire = self.dialled.connect()
        begin = len(wire.value())
        self.pull(wire)
        self.assertTrue(begin < len(wire.value()) < begin + 100_000)
        while wire.producer is not None:
            self.assertNoResult(done)
            self.pull(wire)
        self.successResultOf(done)
        self.assertTrue(stream.closed)
        request, *pieces = Requests().feed(wire.take())
        assert isinstance(request, Request)
        self.assertEqual(
            (request.message, b"".join(pieces)),
            (InstallSnapshot(7, A.address, 40, 6, size=200_000), bytes(range(250)) * 800),
        )  # type: ignore[arg-type]
        wire.give(encode_reply(InstallSnapshotReply(7, True), NOBODY))
        self.assertEqual(self.heard.messages, [(B.id, InstallSnapshotReply(7, True, 40, 9))])
        self.assertTrue(wire.lost)
        self.assertEqual((self.transport._sendings, self.clock.getDelayedCalls()), (set(), []))

    def test_refused(self) -> None:
        """An error is a refusal."""
        done, _ = self.start()
        wire = self.dialled.connect()
        while wire.producer is not None:
            self.pull(wire)
        wire.give(encode_error("no room"))
        self.assertEqual(self.heard.messages, [(B.id, InstallSnapshotReply(7, False, 40, 9))])
        self.successResultOf(done)

    def test_answeredEarly(self) -> None:
        """An answer before the end gives the rest up."""
        done, stream = self.start()
        wire = self.dialled.connect()
        wire.give(encode_reply(InstallSnapshotReply(9, False), NOBODY))
        self.failureResultOf(done)
        self.assertTrue(wire.lost and stream.closed)
        self.assertEqual(self.heard.messages, [(B.id, InstallSnapshotReply(9, False, 40, 9))])

    def test_cancelled(self) -> None:
        """Cancelling closes file and connection, whether it was there or not."""
        for connected in (False, True):
            done, stream = self.start()
            wire = self.dialled.connect() if connected else None
            done.cancel()
            self.failureResultOf(done, CancelledError)
            self.assertTrue(stream.closed)
            self.assertTrue(wire is None or wire.lost)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stalled(self) -> None:
        """A connection that takes nothing for too long is given up; so is one that cannot be made."""
        for connected in (False, True):
            done, _ = self.start()
            if connected:
                self.pull(self.dialled.connect())
            self.clock.advance(TIMEOUT_SECONDS + 0.1)
            self.failureResultOf(done, Unavailable)

    def test_unanswered(self) -> None:
        """The answer has its time, longer for more bytes, and then the connection is closed."""
        done, _ = self.start()
        wire = self.dialled.connect()
        while wire.producer is not None:
            self.pull(wire)
        self.clock.advance(TIMEOUT_SECONDS + 0.1)
        self.assertTrue(wire.lost)
        self.successResultOf(done)

    def test_tooShort(self) -> None:
        """A file that ends too early is not passed off as whole."""
        done, _ = self.start(1000)
        wire = self.dialled.connect()
        self.pull(wire)
        self.pull(wire)
        self.failureResultOf(done, Unavailable)
        self.assertTrue(wire.lost)

    def test_closed(self) -> None:
        """Closing the transport gives it up."""
        done, stream = self.start()
        self.transport.close()
        self.failureResultOf(done)
        self.assertTrue(stream.closed)

    def test_received(self) -> None:
        """The bytes go to the receiver; the answer is written when they are all there."""
        wire = wired(self.transport.factory.buildProtocol(None))
        wire.give(RequestEncoder(B).encode(InstallSnapshot(7, B.address, 40, 6, size=6)) + b"abc")
        (_, message) = self.heard.snapshots[0]
        self.transport.send(B.id, "", InstallSnapshotReply(7, True, 40, message.round))
        self.assertEqual(wire.take(), b"")
        wire.give(b"def" + RequestEncoder(B).encode(RequestVote(9)))
        self.assertEqual(self.heard.pieces.events, [b"abc", b"def", "finished"])
        self.assertEqual(wire.take(), encode_reply(InstallSnapshotReply(7, True), NOBODY))
        self.assertEqual(len(self.heard.messages), 1)

    def test_receivedInPart(self) -> None:
        """When the connection breaks before the end, the receiver is told."""
        wire = wired(self.transport.factory.buildProtocol(None))
        wire.give(RequestEncoder(B).encode(InstallSnapshot(7, B.address, 40, 6, size=6)) + b"abc")
        wire.lose()
        self.assertEqual(self.heard.pieces.events, [b"abc", "lost"])

    def test_emptySnapshot(self) -> None:
        """One without bytes ends at once."""
        wire = wired(self.transport.factory.buildProtocol(None))
        wire.give(RequestEncoder(B).encode(InstallSnapshot(7, B.address, 40, 6)))
        self.assertEqual(self.heard.pieces.events, ["finished"])

    def test_otherVersions(self) -> None:
        """A snapshot of another version is read to its end and refused."""
        wire = wired(self.transport.factory.buildProtocol(None))
        data = RequestEncoder(B).encode(InstallSnapshot(7, B.address, 40, 6, size=3))
        wire.give(data.replace(b"SnapshotVersion\x01", b"SnapshotVersion\x02") + b"abc")
        self.assertEqual([answer.error for answer in answers(wire)], ["unsupported snapshot version 2"])
        self.assertEqual(self.heard.snapshots, [])
