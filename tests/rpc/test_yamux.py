"""yamux, as a core: no socket, no clock."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests import vectors
from txconsul.rpc import yamux
from txconsul.rpc.streams import INITIAL_WINDOW, TRANSITIONS, Event, State, Stream
from txconsul.rpc.yamux import Broken, Closed, Ended, Flushed, GoneAway, Opened, Received, Send, Session

SYN, ACK, FIN, RST = 1, 2, 4, 8
DATA, WINDOW, PING, AWAY = range(4)


def frame(kind: int, flags: int = 0, id: int = 0, length: int = 0, payload: bytes = b"", version: int = 0) -> bytes:
    """One frame."""
    return struct.pack(">BBHII", version, kind, flags, id, length) + payload


def data(id: int, payload: bytes, flags: int = 0) -> bytes:
    """A data frame."""
    return frame(DATA, flags, id, len(payload), payload)


def frames(sent: bytes) -> list[tuple[int, int, int, int, bytes]]:
    """What was sent: (kind, flags, id, length, payload)."""
    found = []
    while sent:
        _, kind, flags, id, length = struct.unpack_from(">BBHII", sent)
        size = length if kind == DATA else 0
        found.append((kind, flags, id, length, sent[12 : 12 + size]))
        sent = sent[12 + size :]
    return found


class Side:
    """A session and what came of it, with a user who takes everything at once."""

    def __init__(self, client: bool, takes: bool = True) -> None:
        self.session = Session(client, 0.0)
        self.takes = takes
        self.told: list[Any] = []
        self.streams: list[Stream] = []
        self.received: dict[int, bytes] = {}

    def drain(self) -> bytes:
        """Take the output; what is to be sent."""
        sent = b""
        while output := self.session.take_output():
            for one in output:
                if isinstance(one, Send):
                    sent += one.data
                    continue
                self.told.append(one)
                if isinstance(one, Opened):
                    self.streams.append(one.stream)
                    self.session.accept(one.stream)
                elif isinstance(one, Received):
                    self.received[one.stream.id] = self.received.get(one.stream.id, b"") + one.data
                    if self.takes:
                        self.session.consumed(one.stream, len(one.data))
        return sent

    def feed(self, *received: bytes) -> bytes:
        """Give it bytes; what it sends."""
        for one in received:
            self.session.receive(one, 0.0)
        return self.drain()

    @property
    def closed(self) -> str | None:
        """Why it is over; None if it is not."""
        return next((one.why for one in self.told if isinstance(one, Closed)), None)


def pair(takes: bool = True) -> tuple[Side, Side]:
    """Both sides of a connection."""
    return Side(True), Side(False, takes)


def exchange(client: Side, server: Side, cut: Callable[[bytes], list[bytes]] = lambda sent: [sent]) -> None:
    """Carry bytes both ways until nothing is left."""
    while True:
        there, back = client.drain(), server.drain()
        if not there and not back:
            return
        for one in cut(there):
            server.session.receive(one, 0.0)
        for one in cut(back):
            client.session.receive(one, 0.0)


class FrameTests(SynchronousTestCase):
    """The bytes."""

    def test_capturedClient(self) -> None:
        """What a real client agent sent is sent byte for byte alike when the same is done, and understood."""
        captured = next(v for v in vectors.load("yamux_captured") if v["name"] == "yamux-session-0-client")
        sent = bytes.fromhex(captured["hex"])[1:]
        client, server = Side(True), Side(False)
        ours = b""
        streams: dict[int, Stream] = {}
        payloads: dict[int, bytes] = {}
        for one in captured["decoded"]["frames"]:
            id = one["stream_id"]
            if one["flags"] & SYN:
                streams[id] = client.session.open(0.0)
            elif one["flags"] & FIN:
                client.session.end(streams[id], 0.0)
            else:
                payload = bytes.fromhex(one["payload"]["hex"])
                payloads[id] = payloads.get(id, b"") + payload
                client.session.write(streams[id], payload)
            step = client.drain()
            server.session.receive(step, 0.0)
            client.session.receive(server.drain(), 0.0)
            ours += step + client.drain()
        self.assertEqual(ours, sent)
        self.assertEqual(server.received, payloads)

    def test_capturedServer(self) -> None:
        """What a real server sent on a session is sent byte for byte alike, and understood by a client, however cut."""
        for name in ("yamux-session-0-server", "yamux-session-1-server"):
            captured = next(v for v in vectors.load("yamux_captured") if v["name"] == name)
            server, client = Side(False), Side(True)
            ours = b""
            for one in captured["decoded"]["frames"]:
                if one["flags"] & ACK:
                    client.session.open(0.0)
                    server.session.receive(client.drain(), 0.0)
                elif one["flags"] & FIN:
                    server.session.end(server.streams[-1], 0.0)
                else:
                    server.session.write(server.streams[-1], bytes.fromhex(one["payload"]["hex"]))
                ours += server.drain()
            self.assertEqual(ours, bytes.fromhex(captured["hex"]))
            for index in range(len(ours)):
                client.session.receive(ours[index : index + 1], 0.0)
            client.drain()
            payloads: dict[int, bytes] = {}
            for one in captured["decoded"]["frames"]:
                if one["payload"] is not None:
                    payload = bytes.fromhex(one["payload"]["hex"])
                    payloads[one["stream_id"]] = payloads.get(one["stream_id"], b"") + payload
            self.assertEqual(client.received, payloads)

    def test_vectors(self) -> None:
        """Each kind of frame is written as recorded."""
        recorded = {v["name"]: bytes.fromhex(v["hex"]) for v in vectors.load("rpc_framing")}
        client, server = pair()
        stream = client.session.open(0.0)
        opened = client.drain()
        self.assertEqual(opened, recorded["yamux-open"])
        self.assertEqual(server.feed(opened), recorded["yamux-accept"])
        client.session.end(stream, 0.0)
        self.assertEqual(client.drain(), recorded["yamux-fin"])
        other = client.session.open(0.0)
        client.drain()
        client.session.reset(other, 0.0)
        self.assertEqual(client.drain(), recorded["yamux-rst"])
        self.assertEqual(server.feed(recorded["yamux-ping"]), recorded["yamux-pong"])
        server.session.go_away()
        self.assertEqual(server.drain(), recorded["yamux-goaway"])

    def test_aTurnIsOneSend(self) -> None:
        """What is written between two drains is one piece."""
        client, _ = pair()
        for _ in range(5):
            client.session.write(client.session.open(0.0), b"x")
        output = client.session.take_output()
        self.assertEqual([type(one) for one in output], [Send])

    def test_dataWithFlags(self) -> None:
        """A data frame may open a stream, and end it after its payload."""
        server = Side(False)
        sent = server.feed(data(1, b"hello", SYN | FIN)[:14], data(1, b"hello", SYN | FIN)[14:])
        self.assertEqual(sent, frame(WINDOW, ACK, 1))
        self.assertEqual(server.received, {1: b"hello"})
        self.assertIsInstance(server.told[-1], Ended)
        self.assertIs(server.streams[0].state, State.REMOTE_ENDED)


class WindowTests(SynchronousTestCase):
    """Flow control."""

    def test_sendsNoMoreThanTheWindow(self) -> None:
        """A sender stops at the window, goes on when it is opened, and says when all is out."""
        client, server = pair(takes=False)
        stream = client.session.open(0.0)
        client.session.write(stream, b"x" * (INITIAL_WINDOW + 10))
        client.session.write(stream, b"y")
        exchange(client, server)
        self.assertEqual(len(server.received[1]), INITIAL_WINDOW)
        self.assertNotIn(Flushed(stream), client.told)
        server.session.consumed(server.streams[0], INITIAL_WINDOW // 2 - 1)
        self.assertEqual(server.drain(), b"")
        server.session.consumed(server.streams[0], 1)
        update = server.drain()
        self.assertEqual(update, frame(WINDOW, 0, 1, INITIAL_WINDOW // 2))
        server.feed(client.feed(update))
        self.assertEqual(server.received[1], b"x" * (INITIAL_WINDOW + 10) + b"y")
        self.assertIn(Flushed(stream), client.told)

    def test_endWaitsForWhatIsUnsent(self) -> None:
        """FIN follows the last byte."""
        client, server = pair(takes=False)
        stream = client.session.open(0.0)
        client.session.write(stream, b"x" * (INITIAL_WINDOW + 1))
        client.session.end(stream, 0.0)
        client.session.write(stream, b"too late")
        exchange(client, server)
        self.assertIs(stream.state, State.OPEN)
        server.session.consumed(server.streams[0], INITIAL_WINDOW)
        exchange(client, server)
        self.assertEqual(len(server.received[1]), INITIAL_WINDOW + 1)
        self.assertIs(server.streams[0].state, State.REMOTE_ENDED)

    def test_beyondTheWindow(self) -> None:
        """Who sends beyond the window has broken the protocol: it is told so, and all ends."""
        server = Side(False, takes=False)
        sent = server.feed(frame(WINDOW, SYN, 1), frame(DATA, 0, 1, INITIAL_WINDOW + 1))
        self.assertEqual(sent[-12:], frame(AWAY, 0, 0, 1))
        self.assertEqual(server.closed, f"{INITIAL_WINDOW + 1} bytes for a window of {INITIAL_WINDOW}")
        self.assertEqual(server.session.streams, {})

    def test_hugeWindow(self) -> None:
        """A window beyond 32 bits breaks the protocol."""
        server = Side(False)
        server.feed(frame(WINDOW, SYN, 1, 0xFFFFFFFF - INITIAL_WINDOW))
        self.assertEqual(server.closed, None)
        server.feed(frame(WINDOW, 0, 1, 1))
        self.assertEqual(server.closed, "a window of more than 32 bits")

    def test_dataOfForgottenStreams(self) -> None:
        """What still comes for a stream that was given up is skipped, and what follows is understood."""
        client, server = pair()
        stream = client.session.open(0.0)
        exchange(client, server)
        client.session.reset(stream, 0.0)
        client.session.receive(data(1, b"x" * 1000)[:500], 0.0)
        client.session.receive(data(1, b"x" * 1000)[500:] + frame(PING, SYN, 0, 7), 0.0)
        self.assertIn((PING, ACK, 0, 7, b""), frames(client.drain()))
        self.assertEqual(client.received, {})


class StreamTests(SynchronousTestCase):
    """Opening and ending."""

    def test_transitions(self) -> None:
        """Each state and event that the table has leads on; all others leave nothing to do or break the protocol."""
        live = {State.OPEN, State.LOCAL_ENDED, State.REMOTE_ENDED}
        self.assertEqual({state for state, _ in TRANSITIONS}, live)
        for state, event in itertools.product(live, (Event.SENT_RST, Event.GOT_RST)):
            self.assertIs(TRANSITIONS[state, event], State.RESET)
        self.assertNotIn((State.REMOTE_ENDED, Event.GOT_FIN), TRANSITIONS)
        self.assertNotIn((State.LOCAL_ENDED, Event.SENT_FIN), TRANSITIONS)

    def test_bothEnd(self) -> None:
        """A stream is over when both sides have ended it, whichever was first."""
        for first in (0, 1):
            client, server = pair()
            mine = client.session.open(0.0)
            exchange(client, server)
            ends = [(client, mine), (server, server.streams[0])]
            for side, stream in (ends[first], ends[1 - first]):
                side.session.end(stream, 0.0)
                exchange(client, server)
            for side, stream in ends:
                self.assertIs(stream.state, State.CLOSED)
                self.assertEqual(side.session.streams, {})
                self.assertEqual(side.session.next_deadline(), yamux.KEEPALIVE_INTERVAL)

    def test_halfClosed(self) -> None:
        """Who has ended still receives."""
        client, server = pair()
        mine = client.session.open(0.0)
        client.session.end(mine, 0.0)
        exchange(client, server)
        server.session.write(server.streams[0], b"answer")
        exchange(client, server)
        self.assertEqual(client.received, {1: b"answer"})

    def test_reset(self) -> None:
        """A reset ends both ways, and is told to the other side's user."""
        client, server = pair()
        mine = client.session.open(0.0)
        exchange(client, server)
        client.session.reset(mine, 0.0)
        exchange(client, server)
        self.assertEqual(server.told[-1], Broken(server.streams[0], "stream reset"))
        server.session.write(server.streams[0], b"x")
        server.session.end(server.streams[0], 0.0)
        self.assertEqual(server.drain(), b"")

    def test_backlogWaits(self) -> None:
        """This side announces no more than the backlog until it is acknowledged; the rest follows, in order."""
        client, server = pair()
        for number in range(yamux.BACKLOG + 3):
            stream = client.session.open(0.0)
            client.session.write(stream, b"%d" % number)
            client.session.end(stream, 0.0)
        first = client.drain()
        self.assertEqual(sum(one[1] & SYN for one in frames(first)), yamux.BACKLOG)
        server.session.receive(first, 0.0)
        exchange(client, server)
        self.assertEqual(list(server.received.values()), [b"%d" % number for number in range(yamux.BACKLOG + 3)])
        self.assertFalse(any(isinstance(one, Broken) for one in client.told))

    def test_backlogOfTheOther(self) -> None:
        """Streams beyond the backlog are reset; those within it are served."""
        server = Side(False)
        sent = server.feed(b"".join(frame(WINDOW, SYN, 1 + 2 * number) for number in range(yamux.BACKLOG + 1)))
        self.assertEqual(sum(one[1] == ACK for one in frames(sent)), yamux.BACKLOG)
        self.assertIn((WINDOW, RST, 1 + 2 * yamux.BACKLOG, 0, b""), frames(sent))
        self.assertEqual(server.feed(frame(WINDOW, SYN, 9999)), frame(WINDOW, ACK, 9999))

    def test_resetsGiveTheBacklogBack(self) -> None:
        """A stream that is given up before it was acknowledged no longer counts, on either side."""
        client, server = pair()
        for _ in range(3 * yamux.BACKLOG):
            client.session.reset(client.session.open(0.0), 0.0)
            server.feed(client.drain())
        exchange(client, server)
        self.assertIsNone(server.closed)
        client.session.open(0.0)
        exchange(client, server)
        self.assertIn(client.session.streams[1 + 6 * yamux.BACKLOG].acknowledged, (True,))

    def test_refusal(self) -> None:
        """A stream that the user does not want is reset, and does not count."""
        server = Side(False)
        for number in range(2 * yamux.BACKLOG):
            server.session.receive(frame(WINDOW, SYN, 1 + 2 * number), 0.0)
            opened = server.session.take_output()[0]
            assert isinstance(opened, Opened)
            server.session.reset(opened.stream, 0.0)
            self.assertEqual(server.session.take_output(), [Send(frame(WINDOW, RST, opened.stream.id))])

    def test_protocolErrors(self) -> None:
        """Each of these ends the session, and tells the other side that it broke the protocol."""
        opened = frame(WINDOW, SYN, 1)
        ended = opened + frame(WINDOW, FIN, 1)
        for wrong in (
            frame(DATA, version=1),
            frame(4),
            frame(255),
            opened + opened,
            frame(WINDOW, SYN, 0),
            frame(WINDOW, SYN, 2),
            ended + frame(WINDOW, FIN, 1),
            ended + data(1, b"x"),
        ):
            server = Side(False)
            sent = server.feed(wrong)
            self.assertEqual(sent[-12:], frame(AWAY, 0, 0, 1))
            self.assertTrue(server.closed)
            self.assertIsNone(server.session.next_deadline())
            self.assertEqual(server.feed(frame(PING, SYN, 0, 1)), b"")


class SessionTests(SynchronousTestCase):
    """The session as a whole."""

    def test_keepalive(self) -> None:
        """Every 30 s the other side is asked; an answer within 10 s keeps the session, silence ends it."""
        client, server = pair()
        self.assertEqual(client.session.next_deadline(), 30.0)
        client.session.wake(30.0)
        self.assertEqual(client.session.next_deadline(), 40.0)
        asked = client.drain()
        self.assertEqual(asked, frame(PING, SYN, 0, 1))
        client.session.receive(server.feed(asked), 31.0)
        self.assertEqual(client.session.next_deadline(), 61.0)
        client.session.wake(61.0)
        client.session.receive(frame(PING, ACK, 0, 1), 62.0)
        self.assertEqual(client.session.next_deadline(), 71.0)
        client.session.wake(71.0)
        client.drain()
        self.assertEqual(client.closed, "no answer to a keepalive ping")

    def test_unacknowledged(self) -> None:
        """A session on which a stream is not acknowledged within 75 s is over."""
        client, _ = pair()
        stream = client.session.open(0.0)
        client.drain()
        for now in (30.0, 60.0):
            client.session.wake(now)
            client.session.receive(frame(PING, ACK, 0, int(now // 30)), now)
        self.assertEqual(client.session.next_deadline(), 75.0)
        client.session.wake(75.0)
        client.drain()
        self.assertEqual(client.closed, "a stream was not acknowledged in time")
        self.assertIs(stream.state, State.RESET)

    def test_halfClosedTooLong(self) -> None:
        """A stream that the other side does not end is reset after 5 minutes, and costs nothing more."""
        client, server = pair()
        stream = client.session.open(0.0)
        exchange(client, server)
        client.session.end(stream, 0.0)
        exchange(client, server)
        now = 0.0
        while now < yamux.CLOSE_TIMEOUT:
            now = client.session.next_deadline() or 0.0
            client.session.wake(now)
            for kind, flags, _, number, _ in frames(client.drain()):
                if kind == PING and flags == SYN:
                    client.session.receive(frame(PING, ACK, 0, number), now)
        self.assertEqual(now, yamux.CLOSE_TIMEOUT)
        self.assertEqual(client.session.streams, {})
        self.assertIsInstance(client.told[-1], Broken)

    def test_goneAway(self) -> None:
        """After a normal go away no stream can be opened, those which are open go on, and new ones are reset there."""
        client, server = pair()
        stream = client.session.open(0.0)
        exchange(client, server)
        server.session.go_away()
        exchange(client, server)
        self.assertEqual(client.told[-1], GoneAway())
        self.assertRaises(yamux.SessionOver, client.session.open, 0.0)
        client.session.write(stream, b"still")
        exchange(client, server)
        self.assertEqual(server.received, {1: b"still"})
        self.assertEqual(server.feed(frame(WINDOW, SYN, 3)), frame(WINDOW, RST, 3))

    def test_goneAwayForAReason(self) -> None:
        """A go away with an error ends everything."""
        for code in (1, 2, 77):
            client, server = pair()
            stream = client.session.open(0.0)
            exchange(client, server)
            client.feed(frame(AWAY, 0, 0, code))
            self.assertTrue(client.closed)
            self.assertEqual([type(one) for one in client.told], [Broken, Closed])
            self.assertIs(stream.state, State.RESET)

    def test_close(self) -> None:
        """Closing says goodbye first, and breaks what was open."""
        client, server = pair()
        stream = client.session.open(0.0)
        exchange(client, server)
        client.session.close()
        self.assertEqual(
            client.session.take_output(),
            [Broken(stream, "session closed"), Send(frame(AWAY)), Closed("")],
        )
        client.session.close()
        client.session.lost()
        self.assertEqual(client.session.take_output(), [])

    def test_lost(self) -> None:
        """A lost connection breaks all streams, and nothing is sent any more."""
        client, _ = pair()
        client.session.write(client.session.open(0.0), b"x")
        client.session.lost()
        self.assertEqual([type(one) for one in client.session.take_output()], [Broken, Closed])


class PropertyTests(SynchronousTestCase):
    """Whatever is done, in whatever order, cut in whatever way."""

    @settings(max_examples=60, deadline=None)
    @given(st.integers(0, 2**32), st.integers(1, 60))
    def test_everythingArrives(self, seed: int, steps: int) -> None:
        """What is written arrives whole and in order, on each stream, both ways, while windows are never overrun."""
        rng = Random(seed)
        client, server = pair()
        written: dict[tuple[bool, int], bytes] = {}

        def cut(sent: bytes) -> list[bytes]:
            pieces = []
            while sent:
                size = rng.choice((1, 5, 12, 100, 65536))
                pieces.append(sent[:size])
                sent = sent[size:]
            return pieces

        for _ in range(steps):
            act = rng.random()
            if act < 0.2:
                client.session.open(0.0)
            elif act < 0.9:
                side = rng.choice((client, server))
                if side.session.streams:
                    stream = rng.choice(list(side.session.streams.values()))
                    payload = rng.randbytes(1) * rng.choice((1, 300, INITIAL_WINDOW, INITIAL_WINDOW * 2 + 3))
                    if not stream.ending:
                        key = (side is client, stream.id)
                        written[key] = written.get(key, b"") + payload
                    side.session.write(stream, payload)
            elif client.session.streams:
                client.session.end(rng.choice(list(client.session.streams.values())), 0.0)
            if rng.random() < 0.5:
                exchange(client, server, cut)
        exchange(client, server, cut)
        self.assertIsNone(client.closed)
        self.assertIsNone(server.closed)
        self.assertEqual(server.received, {id: sent for (mine, id), sent in written.items() if mine})
        self.assertEqual(client.received, {id: sent for (mine, id), sent in written.items() if not mine})

    @settings(max_examples=300, deadline=None)
    @given(
        st.lists(
            st.one_of(
                st.binary(max_size=40),
                st.builds(
                    frame,
                    st.integers(0, 5),
                    st.integers(0, 15),
                    st.integers(0, 6),
                    st.sampled_from((0, 1, 5, INITIAL_WINDOW, INITIAL_WINDOW + 1, 0xFFFFFFFF)),
                    st.binary(max_size=8),
                ),
            ),
            max_size=30,
        ),
        st.booleans(),
    )
    def test_anyBytes(self, received: list[bytes], client: bool) -> None:
        """No bytes make it fail otherwise than by ending the session; then it says so once, last."""
        side = Side(client)
        for _ in range(3 if client else 0):
            side.session.open(0.0)
        for one in received:
            side.feed(one)
        ends = [one for one in side.told if isinstance(one, Closed)]
        if ends:
            self.assertEqual(len(ends), 1)
            self.assertIs(side.told[-1], ends[0])
            self.assertTrue(side.session.over)
        for stream in side.session.streams.values():
            self.assertFalse(stream.over)
