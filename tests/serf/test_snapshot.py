"""Serf's snapshot: what its lines add up to, whatever happened to them."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txconsul.serf.lamport import LTIME_MAX
from txconsul.serf.members import Member
from txconsul.serf.messages import Status
from txconsul.serf.outputs import EventKind, MemberEvent, UserEventCame
from txconsul.serf.snapshot import COMPACT_MIN_BYTES, LINE_BYTES_MAX, Snapshot
from txconsul.swim.members import Address

HOME = (bytes([10, 0, 0, 1]), 7946)
OTHER = (bytes(15) + b"\1", 1)


def event(kind: EventKind, name: str, address: Address = HOME) -> MemberEvent:
    """Something became of a member."""
    return MemberEvent(kind, Member(name, *address, {}, Status.ALIVE, b""))


def came(l_time: int) -> UserEventCame:
    """A user event."""
    return UserEventCame(l_time, "deploy", b"", False)


def lines(data: bytes) -> list[bytes]:
    """Lines as a file gives them: only a newline ends one."""
    return [one + b"\n" for one in data.split(b"\n")[:-1]] + [one for one in data.split(b"\n")[-1:] if one]


def replayed(data: bytes, *, rejoin_after_leave: bool = False) -> tuple[Snapshot, list[str]]:
    """What a file says, and what was skipped."""
    snapshot = Snapshot(rejoin_after_leave=rejoin_after_leave)
    return snapshot, snapshot.replay(lines(data))


#: Names as they come from the wire: any bytes.
names = st.binary(max_size=12).map(lambda data: data.decode("utf-8", "surrogateescape"))
addresses = st.tuples(
    st.one_of(st.binary(min_size=4, max_size=4), st.binary(min_size=16, max_size=16)), st.integers(0, 65535)
)
happenings = st.lists(
    st.one_of(
        st.builds(event, st.sampled_from(EventKind), st.one_of(st.sampled_from("abc"), names), addresses),
        st.builds(came, st.integers(0, LTIME_MAX)),
        st.tuples(st.integers(0, LTIME_MAX), st.integers(0, LTIME_MAX)),
    ),
    max_size=40,
)


class ModelTests(SynchronousTestCase):
    """Against a dict."""

    @given(happenings, st.sets(st.integers(0, 40)), st.integers(0, 400))
    def test_dict(
        self, happened: list[MemberEvent | UserEventCame | tuple[int, int]], at: set[int], least: int
    ) -> None:
        """Whatever happens, and whenever the file is compacted, what is read is what a dict would hold."""
        snapshot, held, file = Snapshot(compact_min=least), {}, b""
        clocks = [0, 0, 0]
        for number, one in enumerate(happened):
            if isinstance(one, MemberEvent):
                file += snapshot.hear(one)
                name, member = one.member.name, one.member
                written = "\n" not in name
                if one.kind is EventKind.JOIN or (one.kind is EventKind.UPDATE and name in held):
                    if written:
                        held[name] = (_plain(member.addr), member.port)
                elif one.kind is not EventKind.UPDATE:
                    held.pop(name, None)
            else:
                later = [(1, one.l_time)] if isinstance(one, UserEventCame) else [(0, one[0]), (2, one[1])]
                file += snapshot.hear(one) if isinstance(one, UserEventCame) else snapshot.tick(*one)
                for clock, time in later:
                    clocks[clock] = max(clocks[clock], time if time < LTIME_MAX else 0)
            if number in at or snapshot.is_due:
                file = snapshot.contents()
                self.assertFalse(snapshot.is_due)
        again, problems = replayed(file)
        self.assertEqual((dict(again.members), list(again.clocks), problems), (held, clocks, []))
        self.assertEqual((dict(snapshot.members), list(snapshot.clocks)), (held, clocks))

    @given(st.binary(max_size=300))
    def test_rubbish(self, data: bytes) -> None:
        """Any bytes are read: what cannot be understood is reported, and the file is due to be written anew."""
        snapshot, problems = replayed(data)
        self.assertEqual(snapshot.is_due, bool(problems))
        self.assertEqual(replayed(snapshot.contents())[1], [])

    def test_mutated(self) -> None:
        """A file in which bytes were changed, cut or doubled loses those lines and no others."""
        random = Random(5)
        written = [b"alive: node-%d 10.0.0.%d:7946\n" % (one, one) for one in range(100)]
        for _ in range(2000):
            at = random.randrange(100)
            line = bytearray(written[at])
            for _ in range(random.randrange(1, 4)):
                place = random.randrange(len(line))
                line[place : place + random.randrange(3)] = random.randbytes(random.randrange(3))
            data = b"".join(written[:at]) + bytes(line) + b"".join(written[at + 1 :])
            snapshot, _ = replayed(data)
            lost = {f"node-{one}" for one in range(100)} - set(snapshot.members)
            # A newline that is lost takes the next line with it.
            self.assertLessEqual(lost, {f"node-{at}", f"node-{at + 1}"})


def _plain(addr: bytes) -> bytes:
    """IPv4 within IPv6 is IPv4."""
    return addr[12:] if addr[:12] == bytes(10) + b"\xff\xff" else addr


class SnapshotTests(SynchronousTestCase):
    """The lines."""

    def test_lines(self) -> None:
        """Each event adds its line, in Serf's words; what says nothing new adds none."""
        snapshot = Snapshot()
        self.assertEqual(snapshot.hear(event(EventKind.JOIN, "a b")), b"alive: a b 10.0.0.1:7946\n")
        self.assertEqual(snapshot.hear(event(EventKind.JOIN, "a b")), b"")
        self.assertEqual(snapshot.hear(event(EventKind.UPDATE, "a b", OTHER)), b"alive: a b [::1]:1\n")
        self.assertEqual(snapshot.hear(event(EventKind.UPDATE, "c")), b"")
        self.assertEqual(snapshot.hear(event(EventKind.FAILED, "a b")), b"not-alive: a b\n")
        self.assertEqual(snapshot.hear(event(EventKind.REAP, "a b")), b"")
        self.assertEqual(snapshot.hear(came(7)), b"event-clock: 7\n")
        self.assertEqual(snapshot.hear(came(6)), b"")
        self.assertEqual(snapshot.tick(3, 4), b"clock: 3\nquery-clock: 4\n")
        self.assertEqual(snapshot.tick(3, 4), b"")
        self.assertEqual(snapshot.clocks, (3, 7, 4))

    def test_replay(self) -> None:
        """Comments and old coordinates are passed over; the last word about each counts."""
        data = b"# mine\nalive: a 10.0.0.1:7946\nalive: b [::1]:1\ncoordinate: {}\nclock: 5\nclock: 4\nnot-alive: a\n"
        snapshot, problems = replayed(data)
        self.assertEqual((dict(snapshot.members), snapshot.clocks, problems), ({"b": OTHER}, (4, 0, 0), []))

    def test_leave(self) -> None:
        """Who left does not come back, nor writes anything more; who rejoins after leaving does come back."""
        data = b"alive: a 10.0.0.1:7946\nclock: 5\nevent-clock: 6\nleave\n"
        self.assertEqual((replayed(data)[0].members, replayed(data)[0].clocks), ({}, (0, 0, 0)))
        again, _ = replayed(data, rejoin_after_leave=True)
        self.assertEqual((again.members, again.clocks), ({"a": HOME}, (5, 6, 0)))
        for rejoins, held in ((False, {}), (True, {"a": HOME})):
            snapshot = Snapshot(rejoin_after_leave=rejoins)
            snapshot.hear(event(EventKind.JOIN, "a"))
            self.assertEqual(snapshot.leave(), b"leave\n")
            more = snapshot.leave() + snapshot.hear(event(EventKind.JOIN, "b")) + snapshot.hear(came(9))
            self.assertEqual(more + snapshot.tick(9, 9), b"")
            again, _ = replayed(snapshot.contents(), rejoin_after_leave=rejoins)
            self.assertEqual(again.members, held)

    def test_damaged(self) -> None:
        """Lines that cannot be are skipped and reported, at most ten one by one, and shown no longer than they must."""
        bad = [
            b"alive: a",
            b"alive: a 10.0.0.1",
            b"alive: a host:1",
            b"alive: a 10.0.0.1:65536",
            b"clock: -1",
            b"clock: ",
        ]
        bad += [
            b"clock: +5",
            b"event-clock: 1_0",
            b"query-clock: 18446744073709551615",
            b"clock: " + b"9" * 5000,
            b"",
            b"leave ",
        ]
        bad += [b"\0" * 500]
        snapshot, problems = replayed(b"\n".join(bad) + b"\nalive: b 10.0.0.1:7946\n")
        self.assertEqual((dict(snapshot.members), snapshot.clocks), ({"b": HOME}, (0, 0, 0)))
        self.assertEqual((len(problems), problems[-1]), (11, f"{len(bad) - 10} more lines are skipped"))
        self.assertLess(max(map(len, problems)), 500)

    def test_torn(self) -> None:
        """A last line that was not written to its end does not count, and nothing is appended to it."""
        snapshot, problems = replayed(b"alive: a 10.0.0.1:7946\nclock: 12")
        self.assertEqual((dict(snapshot.members), snapshot.clocks), ({"a": HOME}, (0, 0, 0)))
        self.assertEqual(problems, ["line 2 is skipped: it does not end: 'clock: 12'"])
        self.assertTrue(snapshot.is_due)

    def test_longLine(self) -> None:
        """The pieces of a line that is too long are no lines."""
        snapshot = Snapshot()
        problems = snapshot.replay([b"x" * LINE_BYTES_MAX, b"alive: a 10.0.0.1:1" * 9, b"leave\n", b"clock: 3\n"])
        self.assertEqual((dict(snapshot.members), snapshot.clocks, len(problems)), ({}, (3, 0, 0), 1))

    def test_injected(self) -> None:
        """A name with a newline writes no lines of its own."""
        snapshot = Snapshot()
        self.assertEqual(snapshot.hear(event(EventKind.JOIN, "a 10.0.0.1:1\nleave")), b"")
        self.assertEqual(snapshot.hear(event(EventKind.JOIN, "a", (b"", 1))), b"")
        self.assertEqual(snapshot.members, {})

    def test_compacts(self) -> None:
        """A member that comes and goes without end keeps the file small, and seldom has it rewritten."""
        snapshot = Snapshot()
        size = written = most = 0
        for number in range(20_000):
            kind = EventKind.FAILED if number % 2 else EventKind.JOIN
            size += len(snapshot.hear(event(kind, "flapping")))
            most = max(most, size)
            if snapshot.is_due:
                size = len(snapshot.contents())
                written += 1
        self.assertLess(most, COMPACT_MIN_BYTES + 100)
        self.assertLess(written, 10)

    def test_longNames(self) -> None:
        """Members whose lines are longer than is reckoned with do not have the file rewritten at each event."""
        snapshot = Snapshot(compact_min=100)
        written = 0
        for number in range(200):
            snapshot.hear(event(EventKind.JOIN, f"{number}" * 500))
            written += snapshot.is_due and bool(snapshot.contents())
        self.assertLess(written, 12)
