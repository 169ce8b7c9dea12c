"""A SWIM node by itself: what it believes of what it hears, and what it says."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

from twisted.trial.unittest import SynchronousTestCase

from tests.swim.pool import VSN
from txconsul.swim import node as nodes
from txconsul.swim.beliefs import INCARNATION_MAX
from txconsul.swim.delegate import Delegate
from txconsul.swim.members import Address, Member
from txconsul.swim.messages import (
    Ack,
    Alive,
    Dead,
    ErrorMessage,
    IndirectPing,
    Message,
    Nack,
    NodeState,
    Ping,
    State,
    Suspect,
    User,
)
from txconsul.swim.node import SwimNode
from txconsul.swim.outputs import (
    Change,
    Conflict,
    Exchanged,
    MemberChanged,
    Output,
    Ponged,
    Problem,
    Request,
    Send,
    Sent,
    UserMessage,
    UserState,
)
from txconsul.swim.packet import Wrapping
from txconsul.swim.stream import PushPull
from txconsul.swim.timing import LAN, Timing

HOME: Address = (b"\x0a\0\0\1", 8301)
THERE: Address = (b"\x0a\0\0\2", 8301)
ELSEWHERE: Address = (b"\x0a\0\0\3", 8301)

T = TypeVar("T")


def alive(
    name: str = "b", incarnation: int = 1, address: Address = THERE, meta: bytes = b"", vsn: bytes = VSN
) -> Alive:
    """Somebody is there."""
    return Alive(addr=address[0], incarnation=incarnation, meta=meta, node=name, port=address[1], vsn=vsn)


def state_of(said: Alive, state: State = State.ALIVE) -> NodeState:
    """The same in an exchange of states."""
    return NodeState(
        addr=said.addr,
        incarnation=said.incarnation,
        meta=said.meta,
        name=said.node,
        port=said.port,
        state=int(state),
        vsn=said.vsn,
    )


class NodeCase(SynchronousTestCase):
    """One node, "a", fed by hand."""

    def setUp(self) -> None:
        self.now = 100.0
        self.node = self.make()
        self.out()

    def make(self, timing: Timing = LAN, delegate: Delegate | None = None) -> SwimNode:
        """The node."""
        return SwimNode(
            "a",
            HOME,
            meta=b"mine",
            vsn=VSN,
            timing=timing,
            random=Random(5),
            delegate=delegate or Delegate(),
            now=self.now,
        )

    def hear(self, *messages: Message, sender: Address = THERE) -> list[Output]:
        """What the node says to messages."""
        for message in messages:
            self.node.receive(message, sender, self.now)
        return self.out()

    def out(self) -> list[Output]:
        """What the node has said."""
        return self.node.take_output()

    def until(self, seconds: float) -> list[Output]:
        """What the node says in so many seconds, hearing nothing."""
        end, said = self.now + seconds, list[Output]()
        while (deadline := self.node.next_deadline()) is not None and deadline <= end:
            self.now = max(self.now, deadline)
            self.node.wake(self.now)
            said += self.out()
        self.now = end
        return said

    def of(self, outputs: Sequence[Output], kind: type[T]) -> list[T]:
        """The outputs of one kind."""
        return [one for one in outputs if isinstance(one, kind)]

    def messages(self, outputs: Sequence[Output], kind: type[T]) -> list[tuple[Address, T]]:
        """The messages of one kind in packets, with where they go."""
        opened = [(one.to, Wrapping(entropy=bytes).open(one.data)) for one in self.of(outputs, Send)]
        return [(to, message) for to, packet in opened for message in packet.messages if isinstance(message, kind)]

    def state(self, name: str = "b") -> tuple[State, int] | None:
        """State and incarnation of a member."""
        member = self.node.members.get(name)
        return None if member is None else (member.state, member.incarnation)


class BeliefTests(NodeCase):
    """Which word counts: the wire documents, GOSSIP section 3.1."""

    def test_newMember(self) -> None:
        """One that was not known has joined, and others are told."""
        changed = self.of(self.hear(alive(meta=b"m")), MemberChanged)
        self.assertEqual(
            [(one.change, one.member.name, one.member.meta) for one in changed], [(Change.JOINED, "b", b"m")]
        )
        told = [message for _, message in self.messages(self.until(0.3), Alive)]
        self.assertEqual({one.node for one in told}, {"a", "b"})

    def test_incarnations(self) -> None:
        """A word of an older life changes nothing; whether one of the same life does depends on what it says."""
        begin = [alive(incarnation=5)]
        suspected = [*begin, Suspect(from_="c", incarnation=5, node="b")]
        dead = [*begin, Dead(from_="c", incarnation=5, node="b")]
        for heard, said, state in (
            (begin, Suspect(from_="c", incarnation=4, node="b"), (State.ALIVE, 5)),
            (begin, Suspect(from_="c", incarnation=5, node="b"), (State.SUSPECT, 5)),
            (begin, Suspect(from_="c", incarnation=6, node="b"), (State.SUSPECT, 6)),
            (begin, Dead(from_="c", incarnation=4, node="b"), (State.ALIVE, 5)),
            (begin, Dead(from_="c", incarnation=5, node="b"), (State.DEAD, 5)),
            (begin, Dead(from_="b", incarnation=5, node="b"), (State.LEFT, 5)),
            (suspected, alive(incarnation=5), (State.SUSPECT, 5)),
            (suspected, alive(incarnation=6), (State.ALIVE, 6)),
            (suspected, Dead(from_="c", incarnation=5, node="b"), (State.DEAD, 5)),
            (dead, alive(incarnation=5), (State.DEAD, 5)),
            (dead, alive(incarnation=6), (State.ALIVE, 6)),
            (dead, Suspect(from_="c", incarnation=9, node="b"), (State.DEAD, 5)),
            (dead, Dead(from_="b", incarnation=9, node="b"), (State.DEAD, 5)),
        ):
            self.node = self.make()
            self.hear(*heard, said)
            self.assertEqual(self.state(), state, (heard, said))

    def test_unknown(self) -> None:
        """Nobody is suspected or dead who was not known."""
        self.hear(Suspect(from_="c", incarnation=1, node="b"), Dead(from_="c", incarnation=1, node="b"))
        self.assertIs(self.state(), None)

    def test_update(self) -> None:
        """A member that says something else of itself is updated; one that says the same is not."""
        self.hear(alive(incarnation=1, meta=b"one"))
        outputs = self.hear(alive(incarnation=2, meta=b"two"), alive(incarnation=3, meta=b"two"))
        self.assertEqual([one.change for one in self.of(outputs, MemberChanged)], [Change.UPDATED])
        self.assertEqual(self.state(), (State.ALIVE, 3))

    def test_comesBack(self) -> None:
        """A member that was dead has joined again; one that was only suspect has not."""
        self.hear(alive(), Suspect(from_="c", incarnation=1, node="b"))
        self.assertEqual(self.of(self.hear(alive(incarnation=2)), MemberChanged), [])
        gone = self.of(self.hear(Dead(from_="c", incarnation=2, node="b")), MemberChanged)
        back = self.of(self.hear(alive(incarnation=3)), MemberChanged)
        self.assertEqual([one.change for one in gone + back], [Change.GONE, Change.JOINED])

    def test_nameTaken(self) -> None:
        """A name's bearer keeps it: somebody else of that name is a conflict, whatever the incarnation."""
        self.hear(alive())
        outputs = self.hear(alive(incarnation=7, address=ELSEWHERE))
        conflict = self.of(outputs, Conflict)[0]
        self.assertEqual((conflict.known.address, conflict.other.address), (THERE, ELSEWHERE))
        self.assertEqual(self.state(), (State.ALIVE, 1))

    def test_nameFree(self) -> None:
        """It is free when its bearer has left; or has been dead for long, where that is set."""
        for timing, said, seconds, moved in (
            (LAN, Dead(from_="b", incarnation=1, node="b"), 0, True),
            (LAN, Dead(from_="c", incarnation=1, node="b"), 20, False),
            (Timing(dead_node_reclaim_time=30), Dead(from_="c", incarnation=1, node="b"), 20, False),
            (Timing(dead_node_reclaim_time=10), Dead(from_="c", incarnation=1, node="b"), 20, True),
        ):
            self.node = self.make(timing)
            self.hear(alive(), said)
            self.now += seconds
            self.hear(alive(address=ELSEWHERE))
            member = self.node.members.get("b")
            assert member is not None
            self.assertEqual(member.address == ELSEWHERE and member.state is State.ALIVE, moved, (timing, said))

    def test_impossibleVersions(self) -> None:
        """A member whose smallest version is larger than its largest is not let in."""
        outputs = self.hear(alive(vsn=bytes([3, 2, 2, 2, 5, 4])), alive(vsn=bytes(6)))
        self.assertEqual((len(self.of(outputs, Problem)), self.state()), (2, None))

    def test_refused(self) -> None:
        """The layer above may keep a member out."""

        class Picky(Delegate):
            def refuse_alive(self, member: Member) -> str:
                return "too fat" if member.meta == b"fat" else ""

        self.node = self.make(delegate=Picky())
        self.hear(alive(meta=b"slim"))
        problems = self.of(self.hear(alive(incarnation=2, meta=b"fat")), Problem)
        self.assertIn("too fat", problems[0].text)
        self.assertEqual(self.state(), (State.ALIVE, 1))


class DefenceTests(NodeCase):
    """SWIM 4.2: only a member itself raises its incarnation."""

    def defended(self, *messages: Message) -> list[int]:
        """The incarnations with which the node says that it is there, in order."""
        self.hear(alive())
        outputs = self.hear(*messages) + self.until(1.0)
        told = [message.incarnation for _, message in self.messages(outputs, Alive) if message.node == "a"]
        return sorted(set(told))

    def test_suspected(self) -> None:
        """Called suspect or dead, it says that it is there, with an incarnation that outdoes the accusation."""
        for said, incarnation in (
            (Suspect(from_="b", incarnation=1, node="a"), 2),
            (Suspect(from_="b", incarnation=9, node="a"), 10),
            (Dead(from_="b", incarnation=1, node="a"), 2),
            (Dead(from_="a", incarnation=4, node="a"), 5),
            (alive("a", 1, HOME, b"not mine"), 2),
            (alive("a", 7, HOME, b"mine"), 8),
        ):
            self.node = self.make()
            self.assertEqual(self.defended(said), [incarnation], said)
            self.assertEqual(self.state("a"), (State.ALIVE, incarnation))
            self.assertEqual(self.node.health_score, 1)

    def test_nothingToDefend(self) -> None:
        """Old accusations, and its own words coming back, are let pass."""
        self.node.change_meta(b"other", self.now)
        for said in (Suspect(from_="b", incarnation=1, node="a"), alive("a", 2, HOME, b"other"), alive("a", 1, HOME)):
            self.hear(said)
            self.assertEqual((self.state("a"), self.node.health_score), ((State.ALIVE, 2), 0), said)

    def test_largestIncarnation(self) -> None:
        """An accusation that cannot be outdone is reported, and does no other harm."""
        outputs = self.hear(Suspect(from_="b", incarnation=INCARNATION_MAX, node="a"))
        self.assertTrue(self.of(outputs, Problem)[0].severe)
        self.assertEqual(self.state("a"), (State.ALIVE, INCARNATION_MAX))

    def test_leaving(self) -> None:
        """Once it leaves it says so, does not defend itself, and tells when it was said often enough."""
        self.hear(alive())
        self.node.leave(self.now, "gone")
        outputs = self.hear(alive("a", 9, HOME)) + self.until(5.0)
        told = {message for _, message in self.messages(outputs, Dead)}
        self.assertEqual(told, {Dead(from_="a", incarnation=1, node="a")})
        self.assertEqual(self.of(outputs, Sent), [Sent("gone")])
        self.assertEqual((self.state("a"), self.node.is_leaving), ((State.LEFT, 1), True))


class ProbeTests(NodeCase):
    """SWIM 4.1, and what Lifeguard adds."""

    def pinged(self) -> tuple[Ping, float]:
        """Wait until the node pings "b", answering other pings. @return: the ping, and when it was sent."""
        while True:
            deadline = self.node.next_deadline()
            assert deadline is not None
            for to, ping in self.messages(self.until(deadline - self.now), Ping):
                if to == THERE:
                    return ping, self.now
                self.hear(Ack(seq_no=ping.seq_no))

    def test_answered(self) -> None:
        """The answer comes directly: how long it took is told, with what the other's layer above said."""
        self.hear(alive())
        ping, sent = self.pinged()
        self.assertEqual((ping.node, ping.source_node, ping.source_addr, ping.source_port), ("b", "a", *HOME))
        self.now += 0.25
        answer = self.of(self.hear(Ack(payload=b"here", seq_no=ping.seq_no)), Ponged)[0]
        self.assertEqual((answer.member.name, answer.rtt, answer.payload), ("b", self.now - sent, b"here"))
        self.assertEqual(self.messages(self.until(0.7), IndirectPing), [])

    def test_helpers(self) -> None:
        """Without an answer others are asked, and a stream is tried; an answer that they got ends the probe."""
        self.hear(alive("b"), *(alive(name, 1, (b"\x0a\0\1" + name.encode(), 8301)) for name in "cdefg"))
        ping, _ = self.pinged()
        outputs = self.until(0.5)
        asked = self.messages(outputs, IndirectPing)
        self.assertEqual(len({to for to, _ in asked}), 3)
        self.assertEqual(
            {(one.node, one.target, one.port, one.seq_no, one.nack) for _, one in asked},
            {("b", *THERE, ping.seq_no, True)},
        )
        stream = self.of(outputs, Request)[0]
        self.assertEqual((stream.to, stream.message), (THERE, ping))
        self.assertEqual(self.of(self.hear(Ack(seq_no=ping.seq_no)), Ponged), [])
        self.until(0.4)
        self.assertEqual(self.state(), (State.ALIVE, 1))

    def test_suspected(self) -> None:
        """Nobody got an answer: the member is suspect, and dead when the suspicion's time is over."""
        self.hear(alive())
        self.pinged()
        self.until(1.0)
        self.assertEqual(self.state(), (State.SUSPECT, 1))
        self.until(3.9)
        self.assertEqual(self.state(), (State.SUSPECT, 1))
        gone = self.of(self.until(0.2), MemberChanged)
        self.assertEqual([(one.change, one.member.state) for one in gone], [(Change.GONE, State.DEAD)])

    def test_suspectHearsOfIt(self) -> None:
        """Who is suspect is told with the next ping, so that it can defend itself at once."""
        self.hear(alive(), Suspect(from_="c", incarnation=1, node="b"))
        while True:
            outputs = self.until(0.1)
            for to, _ in self.messages(outputs, Ping):
                told = [message for where, message in self.messages(outputs, Suspect) if where == to]
                self.assertIn(Suspect(from_="a", incarnation=1, node="b"), told)
                return

    def test_onlyByStream(self) -> None:
        """A member that answers over a stream only is not suspected, but an operator is told."""
        self.hear(alive())
        ping, _ = self.pinged()
        request = self.of(self.until(0.5), Request)[0]
        self.node.answered(request.number, Ack(seq_no=ping.seq_no), self.now)
        problems = self.of(self.until(0.6), Problem)
        self.assertEqual([one.severe for one in problems], [True])
        self.assertEqual(self.state(), (State.ALIVE, 1))

    def test_nacks(self) -> None:
        """Missing nacks speak against this node itself; it then gives others more time."""
        self.hear(alive("b"), *(alive(name, 1, (b"\x0a\0\1" + name.encode(), 8301)) for name in "cd"))
        ping, _ = self.pinged()
        self.until(0.6)
        self.hear(Nack(seq_no=ping.seq_no), Nack(seq_no=ping.seq_no + 1))
        self.until(0.5)
        self.assertEqual(self.node.health_score, 1)
        self.hear(alive("b", 2))
        _, begin = self.pinged()
        self.until(begin + 1.9 - self.now)
        self.assertEqual(self.state(), (State.ALIVE, 2))

    def test_answers(self) -> None:
        """A ping is answered where it says, or where it came from; one for somebody else is not."""

        class Placed(Delegate):
            def ack_payload(self) -> bytes:
                return b"here"

        self.node = self.make(delegate=Placed())
        self.out()
        answers = self.messages(self.hear(Ping(node="a", seq_no=4)), Ack)
        self.assertEqual(answers, [(THERE, Ack(payload=b"here", seq_no=4))])
        ping = Ping(node="a", seq_no=5, source_addr=ELSEWHERE[0], source_node="c", source_port=ELSEWHERE[1])
        self.assertEqual(self.messages(self.hear(ping), Ack), [(ELSEWHERE, Ack(payload=b"here", seq_no=5))])
        self.assertEqual(self.messages(self.hear(Ping(node="z", seq_no=6)), Ack), [])
        self.assertEqual(len(self.messages(self.hear(Ping(seq_no=7)), Ack)), 1)

    def ask(self, nack: bool = True) -> tuple[Ping, list[Output]]:
        """Somebody at THERE asks for a member at ELSEWHERE."""
        request = IndirectPing(nack=nack, node="c", port=ELSEWHERE[1], seq_no=77, target=ELSEWHERE[0])
        outputs = self.hear(request)
        [(to, ping)] = self.messages(outputs, Ping)
        self.assertEqual(to, ELSEWHERE)
        return ping, outputs

    def test_helps(self) -> None:
        """It asks for others: their member's answer is passed on, under the number that they know."""
        ping, _ = self.ask()
        self.assertEqual(
            self.messages(self.hear(Ack(payload=b"x", seq_no=ping.seq_no)), Ack), [(THERE, Ack(seq_no=77))]
        )
        self.assertEqual(self.messages(self.hear(Ack(seq_no=ping.seq_no)), Ack), [])
        self.assertEqual(self.messages(self.until(2.0), Nack), [])

    def test_helpsInVain(self) -> None:
        """Without an answer it says so to who wants to know; a late one is passed on all the same."""
        ping, _ = self.ask()
        self.assertEqual(self.messages(self.until(0.6), Nack), [(THERE, Nack(seq_no=77))])
        self.assertEqual(len(self.messages(self.hear(Ack(seq_no=ping.seq_no)), Ack)), 1)
        self.ask(nack=False)
        self.assertEqual(self.messages(self.until(2.0), Nack), [])

    def test_helpIsBounded(self) -> None:
        """However many ask, only so many are remembered, and all are forgotten."""
        self.patch(nodes, "RELAYS_MAX", 3)
        for number in range(10):
            self.hear(IndirectPing(node="c", port=1, seq_no=number, target=ELSEWHERE[0]))
        self.assertEqual(len(self.node._relays), 3)
        self.until(1.5)
        self.assertEqual(len(self.node._relays), 0)

    def test_forgets(self) -> None:
        """The dead are told of it for a while, then forgotten."""
        self.hear(alive("b"), alive("c", 1, ELSEWHERE), Dead(from_="c", incarnation=1, node="b"))
        self.until(25.0)
        self.assertIsNot(self.state("b"), None)
        self.until(30.0)
        self.assertIs(self.state("b"), None)


class ExchangeTests(NodeCase):
    """Exchanges of whole states."""

    def test_joins(self) -> None:
        """A pool is joined by exchanging states with one of it."""
        number = self.node.exchange(THERE, self.now, join=True)
        request = self.of(self.out(), Request)[0]
        assert isinstance(request.message, PushPull)
        self.assertEqual((request.number, request.to, request.message.join), (number, THERE, True))
        self.assertEqual([one.name for one in request.message.nodes], ["a"])
        answer = PushPull(True, [state_of(alive("b")), state_of(alive("c", 4, ELSEWHERE))], b"above")
        self.node.answered(number, answer, self.now)
        outputs = self.out()
        self.assertEqual(self.of(outputs, Exchanged), [Exchanged(number, THERE, "")])
        self.assertEqual(self.of(outputs, UserState), [UserState(b"above", True)])
        self.assertEqual((self.state("b"), self.state("c")), ((State.ALIVE, 1), (State.ALIVE, 4)))

    def test_fails(self) -> None:
        """It comes to nothing where nobody answers, or with something else, or with a refusal."""
        for act in (
            lambda number: self.node.failed(number, "connection refused", self.now),
            lambda number: self.node.answered(number, Ack(), self.now),
            lambda number: self.node.answered(number, ErrorMessage(error="go away"), self.now),
        ):
            number = self.node.exchange(THERE, self.now, join=True)
            act(number)
            [ended] = self.of(self.out(), Exchanged)
            self.assertTrue(ended.problem)

    def test_serves(self) -> None:
        """The other side gets what was believed before, and what it said is believed after."""
        self.hear(alive("c", 4, ELSEWHERE))
        answer = self.node.serve(PushPull(False, [state_of(alive("b"))], b""), self.now)
        assert isinstance(answer, PushPull)
        self.assertEqual({one.name for one in answer.nodes}, {"a", "c"})
        self.assertEqual(self.state("b"), (State.ALIVE, 1))

    def test_theirDead(self) -> None:
        """What others hold dead is suspected only; who left has left."""
        self.hear(alive("b"), alive("c", 1, ELSEWHERE))
        told = [state_of(alive("b"), State.DEAD), state_of(alive("c", 1, ELSEWHERE), State.LEFT)]
        self.node.serve(PushPull(False, told, b""), self.now)
        self.assertEqual((self.state("b"), self.state("c")), ((State.SUSPECT, 1), (State.LEFT, 1)))

    def test_versionsClash(self) -> None:
        """Pools that do not speak the same protocol are not joined."""
        stranger = state_of(alive("b", vsn=bytes([3, 5, 3, 2, 5, 4])))
        self.node.serve(PushPull(True, [stranger], b""), self.now)
        [problem] = self.of(self.out(), Problem)
        self.assertIn("protocol version", problem.text)
        self.assertIs(self.state("b"), None)

    def test_refused(self) -> None:
        """The layer above may refuse a pool; between members it is not asked."""

        class Picky(Delegate):
            def refuse_merge(self, nodes: Sequence[NodeState]) -> str:
                return "other datacenter"

        self.node = self.make(delegate=Picky())
        self.node.serve(PushPull(True, [state_of(alive())], b""), self.now)
        self.assertIs(self.state("b"), None)
        self.node.serve(PushPull(False, [state_of(alive())], b""), self.now)
        self.assertEqual(self.state("b"), (State.ALIVE, 1))

    def test_periodically(self) -> None:
        """Now and then a member is chosen for an exchange."""
        self.node = self.make(Timing(probe_interval=0))
        self.hear(alive())
        asked = [one for one in self.of(self.until(70.0), Request) if isinstance(one.message, PushPull)]
        self.assertTrue(1 <= len(asked) <= 3)

    def test_otherStreams(self) -> None:
        """Pings and messages of the layer above come over streams, too."""
        self.assertEqual(self.node.serve(Ping(node="a", seq_no=3), self.now), Ack(seq_no=3))
        self.assertIs(self.node.serve(Ping(node="z", seq_no=3), self.now), None)
        self.assertIs(self.node.serve(User(payload=b"hello"), self.now), None)
        self.assertEqual(self.of(self.out(), UserMessage), [UserMessage(b"hello")])


class TellingTests(NodeCase):
    """Packets, and what goes along in them."""

    def test_quiet(self) -> None:
        """A node that has nothing to tell is woken for probes and exchanges only."""
        self.hear(alive())
        self.until(10.0)
        wakes = 0
        end = self.now + 10
        while (deadline := self.node.next_deadline()) is not None and deadline <= end:
            self.now = deadline
            self.node.wake(self.now)
            self.out()
            wakes += 1
        self.assertLess(wakes, 40)

    def test_layerAbove(self) -> None:
        """The layer above has the room that is left, in gossip and in answers."""

        class Talking(Delegate):
            rooms: list[int] = []

            def has_broadcasts(self) -> bool:
                return True

            def broadcasts(self, overhead: int, room: int) -> list[bytes]:
                self.rooms.append(room)
                return [b"\x08above"] if room > 10 else []

        self.node = self.make(delegate=Talking())
        self.hear(alive())
        outputs = self.hear(Ping(node="a", seq_no=4))
        self.assertEqual([message for _, message in self.messages(outputs, User)], [User(payload=b"above")])
        self.assertLess(max(Talking.rooms), LAN.packet_bytes)

    def test_packetsFit(self) -> None:
        """No packet is longer than it may be, however much there is to tell."""
        self.node = SwimNode(
            "a",
            HOME,
            meta=b"",
            vsn=VSN,
            timing=LAN,
            random=Random(1),
            delegate=Delegate(),
            now=self.now,
            overhead_bytes=29,
        )
        self.hear(*(alive(f"node-{number}", 1, (bytes([10, 1, 1, number]), 8301), b"m" * 200) for number in range(100)))
        outputs = self.until(3.0) + self.hear(Ping(node="a", seq_no=4))
        sizes = [len(one.data) + 29 + 5 for one in self.of(outputs, Send)]
        self.assertLessEqual(max(sizes), LAN.packet_bytes)
        self.assertGreater(max(sizes), LAN.packet_bytes - 300)

    def test_users(self) -> None:
        """Messages of the layer above go by packet or by stream, and come."""
        self.node.send_user(THERE, b"one")
        self.node.send_user_reliably(THERE, b"two", self.now)
        outputs = self.out()
        self.assertEqual([message for _, message in self.messages(outputs, User)], [User(payload=b"one")])
        self.assertEqual([one.message for one in self.of(outputs, Request)], [User(payload=b"two")])
        self.assertEqual(self.of(self.hear(User(payload=b"three")), UserMessage), [UserMessage(b"three")])

    def test_metaIsBounded(self) -> None:
        """What a member says of itself has a limit."""
        self.assertRaises(ValueError, self.node.change_meta, bytes(513), self.now)
