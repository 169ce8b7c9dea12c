"""Coalescing: what several events come to, and when it is told."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from txconsul.serf.coalesce import MemberCoalescer, UserEventCoalescer
from txconsul.serf.members import Member
from txconsul.serf.messages import Status
from txconsul.serf.outputs import EventKind, MemberEvent, MembersChanged, UserEventCame

JOIN, LEAVE, FAILED, UPDATE, REAP = EventKind


def event(kind: EventKind, name: str) -> MemberEvent:
    """Something became of a member."""
    return MemberEvent(kind, Member(name, b"\x0a\0\0\1", 7946, {}, Status.ALIVE, b""))


class MemberTests(SynchronousTestCase):
    """Events of members."""

    def setUp(self) -> None:
        self.core = MemberCoalescer(3.0, 1.0)

    def told(self) -> list[tuple[EventKind, list[str]]]:
        """What came out."""
        out = self.core.take_output()
        for one in out:
            assert isinstance(one, MembersChanged)
        return [(one.kind, [member.name for member in one.members]) for one in out]

    def flushed(self, *events: MemberEvent) -> list[tuple[EventKind, list[str]]]:
        """What some events come to."""
        for one in events:
            self.assertTrue(self.core.hear(one, 0.0))
        self.core.flush()
        return self.told()

    def test_quiescent(self) -> None:
        """It is told a second after the last event."""
        self.assertIsNone(self.core.next_deadline())
        self.core.hear(event(JOIN, "a"), 10.0)
        self.core.hear(event(JOIN, "b"), 10.5)
        self.assertEqual(self.core.next_deadline(), 11.5)
        self.core.wake(11.4)
        self.assertEqual(self.told(), [])
        self.core.wake(11.5)
        self.assertEqual(self.told(), [(JOIN, ["a", "b"])])
        self.assertIsNone(self.core.next_deadline())

    def test_period(self) -> None:
        """Where events do not cease, it is told three seconds after the first one."""
        for tenth in range(30):
            self.core.hear(event(JOIN, str(tenth)), tenth / 10)
        self.assertEqual(self.core.next_deadline(), 3.0)
        self.core.wake(3.0)
        self.assertEqual([len(names) for _, names in self.told()], [30])

    def test_last(self) -> None:
        """Of each member the last event is told, in one event of each kind."""
        events = [event(JOIN, "a"), event(FAILED, "a"), event(FAILED, "b"), event(JOIN, "b"), event(JOIN, "c")]
        self.assertEqual(self.flushed(*events), [(JOIN, ["b", "c"]), (FAILED, ["a"])])

    def test_known(self) -> None:
        """What was told before is not told again, but for updates."""
        self.flushed(event(JOIN, "a"))
        self.assertEqual(self.flushed(event(FAILED, "a"), event(JOIN, "a")), [])
        for _ in range(2):
            self.assertEqual(self.flushed(event(UPDATE, "a")), [(UPDATE, ["a"])])
        self.assertEqual(self.flushed(event(LEAVE, "a")), [(LEAVE, ["a"])])

    def test_forgets(self) -> None:
        """Nothing is remembered of members that were reaped."""
        for number in range(100):
            self.flushed(event(JOIN, str(number)))
            self.assertEqual(self.flushed(event(REAP, str(number))), [(REAP, [str(number)])])
        self.assertEqual(self.core._told, {})

    def test_model(self) -> None:
        """Whoever follows what is told holds of each member what its last event said."""
        random = Random(3)
        for _ in range(200):
            self.core = MemberCoalescer(3.0, 1.0)
            truth: dict[str, EventKind] = {}
            followed: dict[str, EventKind] = {}
            now = 0.0
            for _ in range(60):
                now += random.expovariate(1.0)
                self.core.wake(now)
                followed.update({name: kind for kind, names in self.told() for name in names})
                one = event(random.choice([JOIN, LEAVE, FAILED, REAP]), random.choice("abc"))
                truth[one.member.name] = one.kind
                self.core.hear(one, now)
                self.assertLessEqual(self.core.next_deadline() or 0.0, now + 1.0)
            self.core.flush()
            followed.update({name: kind for kind, names in self.told() for name in names})
            self.assertEqual(followed, truth)


class UserEventTests(SynchronousTestCase):
    """Events of users."""

    def test_latest(self) -> None:
        """Of one name, those of the latest time are told; others names and events not to be coalesced are apart."""
        core = UserEventCoalescer(3.0, 1.0)

        def came(l_time: int, name: str, payload: bytes, coalesce: bool = True) -> UserEventCame:
            return UserEventCame(l_time, name, payload, coalesce)

        self.assertFalse(core.hear(came(1, "a", b"", False), 0.0))
        self.assertIsNone(core.next_deadline())
        for one in (came(2, "a", b"2"), came(3, "a", b"3"), came(1, "a", b"1"), came(3, "a", b"4"), came(1, "b", b"")):
            self.assertTrue(core.hear(one, 0.5))
        core.wake(1.5)
        self.assertEqual(core.take_output(), [came(3, "a", b"3"), came(3, "a", b"4"), came(1, "b", b"")])
        core.hear(came(1, "a", b"1"), 2.0)
        core.flush()
        self.assertEqual(core.take_output(), [came(1, "a", b"1")])
