"""Pools of Serf nodes: members, events, queries and keys, in virtual time."""

from __future__ import annotations

from base64 import b64encode

from twisted.trial.unittest import SynchronousTestCase

from tests.serf.pool import SerfPool
from txconsul.errors import InvalidRequest
from txconsul.serf.asking import QueryParameters
from txconsul.serf.keyquery import INSTALL, LIST, REMOVE, USE, KeyResults, request
from txconsul.serf.members import Member
from txconsul.serf.messages import Kind, LeaveIntent, Status, write
from txconsul.serf.node import SerfNode
from txconsul.serf.outputs import (
    Asked,
    EventKind,
    Joined,
    Left,
    MemberEvent,
    NameLost,
    QueryAck,
    QueryAnswer,
    QueryEnded,
    RingChanged,
    UserEventCame,
)
from txconsul.serf.settings import TooLarge
from txconsul.serf.tags import TagsTooLong
from txconsul.swim.keyring import Keyring
from txconsul.swim.outputs import Problem

OLD, NEW = bytes(range(16)), bytes(range(32))


class SerfCase(SynchronousTestCase):
    """Questions to a pool."""

    def pool(self, count: int = 10, **settings: object) -> SerfPool:
        """A pool that has found together."""
        pool = SerfPool(count, **settings)  # type: ignore[arg-type]
        pool.join_all()
        return pool

    def events(self, pool: SerfPool, name: str, about: str) -> list[EventKind]:
        """What a node was told of a member."""
        told = pool.outputs(name, MemberEvent)
        return [one.kind for one in told if isinstance(one, MemberEvent) and one.member.name == about]

    def heard(self, pool: SerfPool) -> dict[str, list[tuple[str, bytes]]]:
        """The events that each node heard."""
        found: dict[str, list[tuple[str, bytes]]] = {}
        for name in pool.nodes:
            came = [one for one in pool.outputs(name, UserEventCame) if isinstance(one, UserEventCame)]
            found[name] = [(one.name, one.payload) for one in came]
        return found


class MemberTests(SerfCase):
    """Who is a member, and what has become of the others."""

    def test_join(self) -> None:
        """Everybody is alive to everybody, with tags; who joined is told that it did."""
        pool = self.pool()
        for name in pool.nodes:
            self.assertEqual(pool.status(name), {Status.ALIVE})
        self.assertEqual(pool.nodes["n3"].members.get("n7").tags, {"role": "web"})  # type: ignore[union-attr]
        self.assertEqual([one.problem for one in pool.outputs("n3", Joined)], [""])  # type: ignore[union-attr]
        self.assertEqual(self.events(pool, "n3", "n7"), [EventKind.JOIN])

    def test_joinFails(self) -> None:
        """Where nobody is, joining comes to nothing."""
        pool = self.pool(2)
        node = pool.nodes["n1"]
        pool.do(node, lambda: node.join(pool.address(77), pool.now))
        pool.run(1.0)
        self.assertTrue(pool.outputs("n1", Joined)[-1].problem)  # type: ignore[union-attr]

    def test_leave(self) -> None:
        """A node that leaves has left to all; it is told when it may stop."""
        pool = self.pool()
        node = pool.nodes["n4"]
        pool.do(node, lambda: node.leave(pool.now))
        self.assertTrue(pool.until(lambda: bool(pool.outputs("n4", Left)), 15.0))
        pool.kill("n4")
        self.assertEqual(pool.status("n4"), {Status.LEFT})
        self.assertEqual(self.events(pool, "n0", "n4"), [EventKind.JOIN, EventKind.LEAVE])
        pool.run(60.0)
        self.assertEqual(pool.status("n4"), {Status.LEFT})

    def test_leaveAlone(self) -> None:
        """A node that is alone leaves at once."""
        pool = self.pool(1)
        node = pool.nodes["n0"]
        pool.do(node, lambda: node.leave(pool.now))
        pool.run(0.0)
        self.assertEqual(pool.outputs("n0", Left), [Left()])

    def test_leaveTwice(self) -> None:
        """Leaving twice is leaving once."""
        pool = self.pool(3)
        node = pool.nodes["n1"]
        for _ in range(2):
            pool.do(node, lambda: node.leave(pool.now))
        pool.run(30.0)
        self.assertEqual(pool.outputs("n1", Left), [Left()])

    def test_failure(self) -> None:
        """A killed node has failed; forced to leave, it has left; if that says prune, it is forgotten at once."""
        for prune, status, kinds in (
            (False, {Status.LEFT}, [EventKind.JOIN, EventKind.FAILED, EventKind.LEAVE]),
            (True, {None}, [EventKind.JOIN, EventKind.FAILED, EventKind.LEAVE, EventKind.REAP]),
        ):
            pool = self.pool()
            pool.kill("n4")
            self.assertTrue(pool.until(lambda pool=pool: pool.status("n4") == {Status.FAILED}, 40.0))  # type: ignore[misc]
            node = pool.nodes["n1"]
            pool.do(node, lambda pool=pool, node=node, prune=prune: node.force_leave("n4", pool.now, prune=prune))  # type: ignore[misc]
            self.assertTrue(pool.until(lambda pool=pool, status=status: pool.status("n4") == status, 5.0))  # type: ignore[misc]
            self.assertEqual(self.events(pool, "n0", "n4"), kinds)
            pool.run(120.0)
            self.assertEqual(pool.status("n4"), status)

    def test_forcedWhileAlive(self) -> None:
        """A node that is said to leave, and does not, says so and stays."""
        pool = self.pool()
        node = pool.nodes["n1"]
        pool.do(node, lambda: node.force_leave("n4", pool.now))
        pool.run(10.0)
        self.assertEqual(pool.status("n4"), {Status.ALIVE})

    def test_comesBack(self) -> None:
        """A failed node that comes back is alive to all, by its own will or by the others' trying."""
        pool = self.pool(8, reconnect_interval=5.0)
        half = {f"n{number}" for number in range(4)}
        cut = {(one, other) for one in pool.nodes for other in pool.nodes if (one in half) != (other in half)}
        pool.cut |= cut
        pool.cut_streams |= cut
        # So long that SWIM has forgotten the others: only Serf still knows them.
        pool.run(150.0)
        self.assertEqual(pool.nodes["n0"].members.get("n7").status, Status.FAILED)  # type: ignore[union-attr]
        pool.cut.clear()
        pool.cut_streams.clear()
        self.assertTrue(pool.until(lambda: all(pool.status(name) == {Status.ALIVE} for name in pool.nodes), 60.0))

    def test_reaped(self) -> None:
        """Who is gone for long is forgotten; a member may say itself how long."""
        pool = SerfPool(6, reconnect_timeout=100.0, tombstone_timeout=50.0)
        pool.add("brief", tags={"rc_tm": "20s"})
        pool.join_all()
        leaver = pool.nodes["n2"]
        pool.do(leaver, lambda: leaver.leave(pool.now))
        for name in ("brief", "n3"):
            pool.kill(name)
        pool.run(15.0)
        pool.kill("n2")
        self.assertEqual((pool.status("n2"), pool.status("n3")), ({Status.LEFT}, {Status.FAILED}))
        pool.run(40.0)
        self.assertEqual((pool.status("brief"), pool.status("n3")), ({None}, {Status.FAILED}))
        pool.run(30.0)
        self.assertEqual((pool.status("n2"), pool.status("n3")), ({None}, {Status.FAILED}))
        pool.run(60.0)
        self.assertEqual(pool.status("n3"), {None})
        self.assertEqual(self.events(pool, "n0", "n3"), [EventKind.JOIN, EventKind.FAILED, EventKind.REAP])

    def test_tags(self) -> None:
        """Changed tags are heard by all; too many are refused, and nothing changes."""
        pool = self.pool()
        node = pool.nodes["n4"]
        pool.do(node, lambda: node.change_tags({"role": "db"}, pool.now))
        self.assertRaises(TagsTooLong, node.change_tags, {"role": "x" * 600}, pool.now)
        pool.run(3.0)
        tags = [one.members.get("n4").tags for one in pool.nodes.values()]  # type: ignore[union-attr]
        self.assertEqual(tags, [{"role": "db"}] * 10)
        self.assertEqual(self.events(pool, "n0", "n4"), [EventKind.JOIN, EventKind.UPDATE])

    def test_refused(self) -> None:
        """A pool may keep others out: who is refused is not known to anybody who refuses it."""

        def refuse(members: list[Member]) -> str:
            return "another datacenter" if any(one.tags.get("dc") == "dc2" for one in members) else ""

        pool = SerfPool(0)
        for _ in range(3):
            pool.add(tags={"dc": "dc1"}, refuse=refuse)
        pool.add("stranger", tags={"dc": "dc2"})
        pool.join_all()
        self.assertIs(pool.nodes["n0"].members.get("stranger"), None)
        problems = [one.text for one in pool.outputs("n0", Problem) if isinstance(one, Problem)]
        self.assertTrue(any("another datacenter" in one for one in problems))

    def test_positions(self) -> None:
        """Nodes learn where they are, and where the others say that they are."""
        pool = self.pool()
        pool.run(60.0)
        node = pool.nodes["n1"]
        assert node.vivaldi is not None
        self.assertLess(node.vivaldi.position.error, 1.5)
        self.assertGreater(len(node.positions), 5)
        pool = self.pool(3, coordinates=False)
        pool.run(10.0)
        self.assertEqual((pool.nodes["n1"].vivaldi, pool.nodes["n1"].positions), (None, {}))

    def test_nameTaken(self) -> None:
        """Of two nodes of one name, the one that fewer know is told to stop."""
        for resolves, lost in ((True, [NameLost()]), (False, [])):
            pool = self.pool(6, resolves_conflicts=resolves)
            twin = pool.add("n2", at=50, label="twin")
            pool.join(twin)
            pool.run(10.0)
            self.assertEqual(pool.outputs("twin", NameLost), lost)
            self.assertEqual(pool.outputs("n2", NameLost), [])


class EventTests(SerfCase):
    """What is told to all."""

    def test_heardOnce(self) -> None:
        """Every node hears each event exactly once, the one that told it first."""
        pool = self.pool(20)
        for number in range(5):
            node = pool.nodes[f"n{number}"]
            pool.do(node, lambda node=node, number=number: node.event("deploy", b"%d" % number, pool.now))  # type: ignore[misc]
        pool.run(5.0)
        expected = sorted(("deploy", b"%d" % number) for number in range(5))
        self.assertEqual(
            {name: sorted(came) for name, came in self.heard(pool).items()}, dict.fromkeys(pool.nodes, expected)
        )

    def test_lateComer(self) -> None:
        """A node that joins later hears what was told before, unless it does not want to."""
        pool = self.pool(5)
        node = pool.nodes["n1"]
        pool.do(node, lambda: node.event("before", b"", pool.now))
        pool.run(3.0)
        for name, ignore, came in (("eager", False, [("before", b"")]), ("late", True, [])):
            late = pool.add(name)
            pool.do(late, lambda late=late, ignore=ignore: late.join(pool.address(0), pool.now, ignore_old=ignore))  # type: ignore[misc]
            pool.run(5.0)
            self.assertEqual(self.heard(pool)[name], came)
        pool.do(node, lambda: node.event("after", b"", pool.now))
        pool.run(3.0)
        self.assertEqual(self.heard(pool)["late"], [("after", b"")])

    def test_secondLife(self) -> None:
        """A node that was there before does not hear again what it heard then."""
        pool = self.pool(5)
        node = pool.nodes["n1"]
        pool.do(node, lambda: node.event("before", b"", pool.now))
        pool.run(3.0)
        clocks = pool.kill("n3").l_times()
        again = pool.add("n3", at=3)
        again.remember(*(time - 1 for time in clocks))
        pool.join(again)
        pool.run(10.0)
        self.assertEqual(self.heard(pool)["n3"], [])
        pool.do(node, lambda: node.event("after", b"", pool.now))
        pool.run(3.0)
        self.assertEqual(self.heard(pool)["n3"], [("after", b"")])

    def test_tooLarge(self) -> None:
        """An event has a size that it may have; no time is spent on one that is refused."""
        node = self.pool(1).nodes["n0"]
        before = node.l_times()
        self.assertRaises(TooLarge, node.event, "x" * 300, b"y" * 300, 0.0)
        self.assertRaises(TooLarge, node.event, "x", b"y" * 505, 0.0)
        self.assertEqual(node.l_times(), before)

    def test_queuesAreBounded(self) -> None:
        """A node that cannot tell as fast as it hears forgets the oldest, and says so."""
        pool = self.pool(2, queue_min=10)
        node = pool.nodes["n1"]
        pool.kill("n0")
        for number in range(50):
            pool.do(node, lambda number=number: node.event("e", b"%d" % number, pool.now))  # type: ignore[misc]
        pool.cut.add((None, "n0"))
        self.patch(node.swim, "stir", lambda now: None)
        pool.run(31.0)
        self.assertLessEqual(len(node.queues[2]), 10)


class QueryTests(SerfCase):
    """What is asked of all."""

    def ask(self, pool: SerfPool, name: str = "uptime", parameters: QueryParameters | None = None) -> tuple[int, int]:
        """A node asks, and all who are asked answer with their own name."""
        node = pool.nodes["n1"]
        keys: list[tuple[int, int]] = []
        pool.do(node, lambda: keys.append(node.query(name, b"?", pool.now, parameters)))
        end = pool.now + 10
        done: set[str] = set()
        while pool.now < end:
            pool.run(0.1)
            for one, asked_node in pool.nodes.items():
                for asked in pool.outputs(one, Asked):
                    if isinstance(asked, Asked) and asked.key == keys[0] and one not in done:
                        done.add(one)
                        self.assertEqual((asked.name, asked.payload, asked.source), (name, b"?", "n1"))
                        pool.do(asked_node, lambda n=asked_node, k=asked.key, o=one: n.answer(k, o.encode(), pool.now))  # type: ignore[misc]
        return keys[0]

    def answers(self, pool: SerfPool, key: tuple[int, int]) -> list[str]:
        """Who answered."""
        found = [one for one in pool.outputs("n1", QueryAnswer) if isinstance(one, QueryAnswer) and one.key == key]
        self.assertEqual([one.sender.encode() for one in found], [one.payload for one in found])
        return sorted(one.sender for one in found)

    def test_all(self) -> None:
        """Everybody is asked, and each answer comes once; then the query is over."""
        pool = self.pool()
        key = self.ask(pool)
        self.assertEqual(self.answers(pool, key), sorted(pool.nodes))
        self.assertEqual(pool.outputs("n1", QueryEnded), [QueryEnded(key)])
        self.assertEqual(pool.outputs("n1", QueryAck), [])

    def test_filters(self) -> None:
        """Only those who pass the filters are asked."""
        pool = self.pool(6)
        pool.do(pool.nodes["n3"], lambda: pool.nodes["n3"].change_tags({"role": "db"}, pool.now))
        for parameters, meant in (
            (QueryParameters(nodes=["n2", "n4", "absent"]), ["n2", "n4"]),
            (QueryParameters(tags={"role": "^d"}), ["n3"]),
            (QueryParameters(nodes=["n2"], tags={"role": "db"}), []),
        ):
            self.assertEqual(self.answers(pool, self.ask(pool, parameters=parameters)), meant)

    def test_acks(self) -> None:
        """Whoever is meant says at once that it has the query, if that is wanted."""
        pool = self.pool(6)
        key = self.ask(pool, parameters=QueryParameters(wants_acks=True, nodes=["n2", "n4"]))
        self.assertEqual(
            sorted(one.sender for one in pool.outputs("n1", QueryAck)),
            ["n2", "n4"],  # type: ignore[union-attr]
        )
        self.assertEqual(self.answers(pool, key), ["n2", "n4"])

    def test_relays(self) -> None:
        """Where the straight way is cut, answers come through others; those that come twice count once."""
        pool = self.pool(12)
        pool.cut |= {("n5", "n1"), ("n6", "n1")}
        key = self.ask(pool, parameters=QueryParameters(relay_factor=4, timeout=8.0))
        self.assertEqual(self.answers(pool, key), sorted(pool.nodes))

    def test_answered(self) -> None:
        """A query is answered once, in time, and briefly."""
        pool = self.pool(2)
        node = pool.nodes["n1"]
        pool.do(node, lambda: node.query("q", b"", pool.now))
        pool.run(1.0)
        [asked] = pool.outputs("n0", Asked)
        assert isinstance(asked, Asked)
        other = pool.nodes["n0"]
        self.assertRaises(TooLarge, other.answer, asked.key, b"x" * 1100, pool.now)
        other.answer(asked.key, b"yes", pool.now)
        self.assertRaises(InvalidRequest, other.answer, asked.key, b"yes", pool.now)
        [mine] = pool.outputs("n1", Asked)
        assert isinstance(mine, Asked)
        pool.run(10.0)
        self.assertRaises(InvalidRequest, node.answer, mine.key, b"late", pool.now)

    def test_tooLarge(self) -> None:
        """A query has a size that it may have."""
        node = self.pool(1).nodes["n0"]
        self.assertRaises(TooLarge, node.query, "q", b"x" * 1100, 0.0)

    def test_ping(self) -> None:
        """Serf's own ping is only acked, and not told to whoever drives a node."""
        pool = self.pool(3)
        node = pool.nodes["n1"]
        pool.do(node, lambda: node.query("_serf_ping", b"", pool.now, QueryParameters(wants_acks=True)))
        pool.run(5.0)
        self.assertEqual(len(pool.outputs("n1", QueryAck)), 3)
        self.assertEqual(pool.outputs("n0", Asked), [])

    def test_strayMessages(self) -> None:
        """What has no place among members is reported, and does nothing."""
        node = self.pool(1).nodes["n0"]
        for raw in (
            b"",
            b"\x63",
            bytes([Kind.KEY_REQUEST]) + b"\x80",
            b"\x05\x80",
            write(LeaveIntent(node="x")) + b"x",
        ):
            node._hear_message(raw, 1.0)
        problems = [one for one in node.take_output() if isinstance(one, Problem)]
        self.assertEqual(len(problems), 4)


class KeyTests(SerfCase):
    """Keys of a pool, changed by queries."""

    def encrypted(self, rings: list[Keyring | None]) -> SerfPool:
        """A pool whose nodes have these rings (the network of the tests encrypts nothing)."""
        pool = SerfPool(0)
        for ring in rings:
            pool.add(keyring=ring)
        pool.join_all()
        return pool

    #: Nodes whose disk does not take the keys.
    full: frozenset[str] = frozenset()

    def keep(self, pool: SerfPool, node: SerfNode, changed: RingChanged) -> None:
        """What a driver does: write the keys, then say so."""
        problem = "no space left" if node.name in self.full else ""
        pool.do(node, lambda: node.keys_kept(changed.key, problem, pool.now))

    def change(self, pool: SerfPool, operation: str, key: bytes = b"") -> KeyResults:
        """Have all do something, and add up what they say."""
        node: SerfNode = pool.nodes["n0"]
        before = len(pool.outputs("n0", QueryAnswer))
        results = KeyResults(len(pool.nodes))
        told = {name: len(pool.outputs(name, RingChanged)) for name in pool.nodes}
        pool.do(node, lambda: node.query(operation, request(operation, key), pool.now))
        for _ in range(10):
            pool.run(0.5)
            for name, other in pool.nodes.items():
                for changed in pool.outputs(name, RingChanged)[told[name] :]:
                    assert isinstance(changed, RingChanged)
                    self.keep(pool, other, changed)
                told[name] = len(pool.outputs(name, RingChanged))
        for one in pool.outputs("n0", QueryAnswer)[before:]:
            assert isinstance(one, QueryAnswer)
            results.add(one.sender, one.payload)
        return results

    def test_rotation(self) -> None:
        """A new key is installed, used, and the old one removed, on all; each writes its ring down each time."""
        rings = [Keyring([OLD]) for _ in range(4)]
        pool = self.encrypted([*rings])
        for operation, key in ((INSTALL, NEW), (USE, NEW), (REMOVE, OLD)):
            results = self.change(pool, operation, key)
            self.assertEqual((results.responses, results.problem), (4, ""), operation)
        self.assertEqual([ring.keys for ring in rings], [[NEW]] * 4)
        self.assertEqual(len(pool.outputs("n3", RingChanged)), 3)

    def test_notWritten(self) -> None:
        """A node that cannot write its keys down has not done what was asked, and says why."""
        self.full = frozenset({"n2"})
        pool = self.encrypted([Keyring([OLD]) for _ in range(3)])
        results = self.change(pool, INSTALL, NEW)
        self.assertEqual((results.problem, results.messages), ("1/3 nodes reported failure", {"n2": "no space left"}))

    def test_answeredWhenKept(self) -> None:
        """Nobody answers before its keys are written down, nor after the time for an answer; twice changes nothing."""
        pool = self.encrypted([Keyring([OLD])])
        node: SerfNode = pool.nodes["n0"]
        pool.do(node, lambda: node.query(INSTALL, request(INSTALL, NEW), pool.now))
        pool.run(1.0)
        (changed,) = pool.outputs("n0", RingChanged)
        assert isinstance(changed, RingChanged)
        self.assertEqual(pool.outputs("n0", QueryAnswer), [])
        pool.do(node, lambda: node.keys_kept(changed.key, "", pool.now))
        pool.do(node, lambda: node.keys_kept(changed.key, "", pool.now))
        self.assertEqual(len(pool.outputs("n0", QueryAnswer)), 1)
        pool.do(node, lambda: node.query(INSTALL, request(INSTALL, OLD), pool.now))
        pool.run(60.0)
        late = pool.outputs("n0", RingChanged)[1]
        assert isinstance(late, RingChanged)
        pool.do(node, lambda: node.keys_kept(late.key, "", pool.now))
        self.assertEqual(len(pool.outputs("n0", QueryAnswer)), 1)

    def test_list(self) -> None:
        """How many have each key, and as their primary one."""
        pool = self.encrypted([Keyring([OLD]), Keyring([NEW, OLD])])
        results = self.change(pool, LIST)
        old, new = b64encode(OLD).decode(), b64encode(NEW).decode()
        self.assertEqual((results.keys, results.primary_keys), ({old: 2, new: 1}, {old: 1, new: 1}))

    def test_longList(self) -> None:
        """A list that does not fit into an answer is cut, and says so."""
        keys = [bytes([number]) * 32 for number in range(60)]
        results = self.change(self.encrypted([Keyring(keys)]), LIST)
        self.assertEqual((results.responses, results.problem), (1, ""))
        self.assertTrue(5 < len(results.keys) < 60)
        self.assertIn(f"showing first {len(results.keys)} of 60 keys", results.messages["n0"])

    def test_problems(self) -> None:
        """Who cannot do it says why: no encryption, a key that is not there, or is in use."""
        pool = self.encrypted([Keyring([OLD]), None])
        results = self.change(pool, INSTALL, NEW)
        self.assertEqual(results.problem, "1/2 nodes reported failure")
        self.assertIn("encryption not enabled", results.messages["n1"])
        self.assertIn("not in the keyring", self.change(pool, USE, bytes(24)).messages["n0"])
        self.assertIn("primary key", self.change(pool, REMOVE, OLD).messages["n0"])
        self.assertEqual(self.change(pool, LIST).messages, {"n1": "Keyring is empty (encryption not enabled)"})

    def test_unheard(self) -> None:
        """Who does not answer is missed; what is no answer is an error."""
        results = KeyResults(3)
        results.add("a", b"\x08\x81\xa6Result\xc3")
        self.assertEqual(results.problem, "1/3 nodes reported success")
        results.add("b", b"nonsense")
        self.assertEqual(results.problem, "1/3 nodes reported failure")
