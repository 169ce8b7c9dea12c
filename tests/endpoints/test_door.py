"""The one door: placing, consistency, blocking, waiting for a leader, and what is proposed."""

from __future__ import annotations

from itertools import product
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.endpoints.serving import SECOND, Served
from txconsul.codec.gomsgpack import decode
from txconsul.endpoints.placing import Me, Place, Rule, place
from txconsul.endpoints.registry import Answer
from txconsul.errors import (
    BadRequest,
    InvalidRequest,
    LeadershipLost,
    NoLeader,
    NoPathToDatacenter,
    NotReadyForConsistentReads,
    UnknownMethod,
)
from txconsul.records.catalog import DeregisterRequest, RegisterRequest
from txconsul.records.command import Command
from txconsul.records.health import HealthCheck
from txconsul.records.kv import DirEntry, KeyListRequest, KeyRequest, KVSRequest
from txconsul.records.queries import DCSpecificRequest
from txconsul.records.query import Context, QueryOptions
from txconsul.records.service import NodeService
from txconsul.records.session import Session, SessionRequest, SessionSpecificRequest


def put(key: bytes, value: bytes = b"v", op: str = "set", **more: Any) -> KVSRequest:
    """A change of a key."""
    return KVSRequest(datacenter="dc1", op=op, dir_ent=DirEntry(key=key, value=value, **more))


def get(key: bytes, **options: Any) -> KeyRequest:
    """A question for a key."""
    return KeyRequest(datacenter="dc1", key=key, options=QueryOptions(**options))


class PlaceTests(SynchronousTestCase):
    """Where a request belongs."""

    def test_everyCase(self) -> None:
        """Every combination has a place, and these laws hold for it."""
        flags = (False, True)
        for rule, there, stale, server, leads, known, heard in product(Rule, flags, flags, flags, flags, flags, flags):
            me = Me("dc1", server, leads and server, known, heard)
            where = place(rule, "mars" if there else "dc1", stale, me)
            said = (rule, there, stale, me)
            if rule is Rule.AGENT:
                self.assertIs(where, Place.HERE, said)
            elif not server:
                self.assertIs(where, Place.SERVER, said)
            elif there:
                self.assertIs(where, Place.DATACENTER, said)
            elif me.is_leader:
                self.assertIs(where, Place.HERE, said)
            elif rule is Rule.WRITE or (rule is Rule.READ and not (stale and heard)):
                self.assertIs(where, Place.LEADER if known else Place.NOWHERE, said)
            else:
                self.assertIs(where, Place.HERE, said)

    def test_noDatacenterIsMine(self) -> None:
        """A request that names no datacenter is for this one."""
        self.assertIs(place(Rule.READ, "", False, Me("dc1", True, True, True, True)), Place.HERE)


class DoorTests(SynchronousTestCase):
    """Reads and writes at the leader."""

    def test_nowIsNow(self) -> None:
        """What can be answered at once is no Deferred."""
        served = Served()
        self.assertEqual(served.call("KVS.Get", get(b"a")), Answer(1, None))
        self.successResultOf(served.call("KVS.Apply", put(b"a")))
        answer = served.call("KVS.Get", get(b"a"))
        self.assertEqual((answer.index, answer.value.value), (1, b"v"))

    def test_unknownMethod(self) -> None:
        """A method that nobody declared."""
        served = Served()
        self.assertRaises(UnknownMethod, served.call, "KVS.Nothing", get(b"a"))

    def test_anotherDatacenter(self) -> None:
        """There is no way to another datacenter."""
        served = Served()
        self.assertRaises(NoPathToDatacenter, served.call, "KVS.Get", KeyRequest(datacenter="mars", key=b"a"))

    def test_whatIsLogged(self) -> None:
        """The log gets the command's type byte and its record, without the token."""
        served = Served()
        request = KVSRequest(datacenter="dc1", op="set", dir_ent=DirEntry(key=b"a", value=b"v"), token="secret")
        self.successResultOf(served.call("KVS.Apply", request))
        data, record = served.consensus.proposed[0]
        self.assertEqual(data[0], Command.KVS)
        self.assertEqual(decode(KVSRequest, data[1:]), record)
        self.assertNotIn(b"secret", data)

    def test_consistent(self) -> None:
        """A consistent read waits until leadership is verified."""
        served = Served()
        served.consensus.unverified = Deferred()
        answer = served.call("KVS.Get", get(b"a", require_consistent=True))
        self.assertNoResult(answer)
        served.consensus.unverified.callback(None)
        self.assertEqual(self.successResultOf(answer).value, None)

    def test_neverVerified(self) -> None:
        """A read that cannot be verified within the hold timeout is not ready; whoever goes away leaves nothing."""
        served = Served()
        served.consensus.unverified = Deferred()
        answer = served.call("KVS.Get", get(b"a", require_consistent=True))
        served.clock.advance(7.1)
        self.failureResultOf(answer, NotReadyForConsistentReads)
        served.consensus.unverified = Deferred()
        answer = served.call("KVS.Get", get(b"a", require_consistent=True))
        answer.cancel()
        self.failureResultOf(answer, CancelledError)
        self.assertEqual(served.clock.getDelayedCalls(), [])

    def test_leaseIsOver(self) -> None:
        """A default read is verified where the lease is over; a stale one never is."""
        served = Served()
        served.consensus.leased = False
        served.consensus.unverified = Deferred()
        self.assertIsInstance(served.call("KVS.Get", get(b"a")), Deferred)
        self.assertIsInstance(served.call("KVS.Get", get(b"a", allow_stale=True)), Answer)

    def test_follower(self) -> None:
        """A stale read at a follower says how old it may be."""
        served = Served(is_leader=False)
        served.site.me = served.site.me._replace(leader_known=True, heard_of_leader=True)
        served.consensus.contact = 0.25
        answer = served.call("KVS.Get", get(b"a", allow_stale=True))
        self.assertEqual((answer.last_contact, answer.known_leader), (0.25, True))


class HoldTests(SynchronousTestCase):
    """Without a leader a request waits for one, and not for ever."""

    def test_waits(self) -> None:
        """It is answered as soon as there is a leader."""
        served = Served(is_leader=False)
        answer = served.call("KVS.Get", get(b"a"))
        self.assertNoResult(answer)
        served.lead()
        self.assertEqual(self.successResultOf(answer).value, None)
        self.assertEqual(served.clock.getDelayedCalls(), [])

    def test_givesUp(self) -> None:
        """After the hold timeout there is no leader."""
        served = Served(is_leader=False)
        answer = served.call("KVS.Get", get(b"a"))
        served.clock.advance(6.9)
        self.assertNoResult(answer)
        served.clock.advance(0.2)
        self.failureResultOf(answer, NoLeader)

    def test_cancelled(self) -> None:
        """Whoever goes away leaves nothing behind."""
        served = Served(is_leader=False)
        answer = served.call("KVS.Get", get(b"a"))
        answer.cancel()
        self.failureResultOf(answer)
        self.assertEqual(served.clock.getDelayedCalls(), [])
        served.lead()

    def test_notProposed(self) -> None:
        """A write that was not even proposed is tried again with the next leader."""
        served = Served()
        served.consensus.refused = NoLeader()
        done = served.call("KVS.Apply", put(b"a"))
        self.assertNoResult(done)
        served.consensus.refused = None
        served.lead()
        self.successResultOf(done)
        self.assertEqual(len(served.consensus.proposed), 1)

    def test_fateUnknown(self) -> None:
        """A write whose fate is not known is never tried again."""
        served = Served()
        served.consensus.refused = LeadershipLost()
        self.failureResultOf(served.call("KVS.Apply", put(b"a")), LeadershipLost)


class BlockingTests(SynchronousTestCase):
    """Reads that wait."""

    def setUp(self) -> None:
        """A key at index 1."""
        self.served = Served()
        self.write(b"a", b"1")

    def write(self, key: bytes, value: bytes) -> None:
        """Change a key."""
        self.successResultOf(self.served.call("KVS.Apply", put(key, value)))

    def test_passedAlready(self) -> None:
        """An index that the answer has passed is answered now."""
        self.write(b"a", b"2")
        self.assertIsInstance(self.served.call("KVS.Get", get(b"a", min_query_index=1)), Answer)

    def test_woken(self) -> None:
        """A change of the key answers; one of another key does not."""
        answer = self.served.call("KVS.Get", get(b"a", min_query_index=1))
        self.write(b"b", b"x")
        self.assertNoResult(answer)
        self.write(b"a", b"2")
        found = self.successResultOf(answer)
        self.assertEqual((found.index, found.value.value), (3, b"2"))
        self.assertEqual(self.served.clock.getDelayedCalls(), [])

    def test_timeUp(self) -> None:
        """When its time is up the answer of that moment is given; a wait is longer by a sixteenth at most."""
        answer = self.served.call("KVS.Get", get(b"a", min_query_index=1, max_query_time=16 * SECOND))
        self.served.clock.advance(15.9)
        self.assertNoResult(answer)
        self.served.clock.advance(1.2)
        self.assertEqual(self.successResultOf(answer).index, 1)
        self.assertEqual(len(self.served.store.watches), 0)

    def test_longest(self) -> None:
        """No wait is longer than the configuration allows, and one that does not say waits for the default."""
        answer = self.served.call("KVS.Get", get(b"a", min_query_index=1, max_query_time=10_000 * SECOND))
        default = self.served.call("KVS.Get", get(b"a", min_query_index=1))
        self.served.clock.advance(300 * 17 / 16)
        self.successResultOf(default)
        self.assertNoResult(answer)
        self.served.clock.advance(300 * 17 / 16)
        self.successResultOf(answer)

    def test_cancelled(self) -> None:
        """A client that goes away frees its watch and its timer."""
        answer = self.served.call("KVS.Get", get(b"a", min_query_index=1))
        answer.cancel()
        self.failureResultOf(answer)
        self.assertEqual(len(self.served.store.watches), 0)
        self.assertEqual(self.served.clock.getDelayedCalls(), [])
        self.write(b"a", b"2")

    def test_absentStaysAbsent(self) -> None:
        """A key that was absent and is still absent wakes nobody, though the index moved."""
        answer = self.served.call("KVS.Get", get(b"b", min_query_index=1))
        self.assertNoResult(answer)
        self.successResultOf(self.served.call("KVS.Apply", put(b"b", op="delete")))
        self.assertNoResult(answer)
        self.write(b"b", b"now")
        self.assertEqual(self.successResultOf(answer).value.value, b"now")

    def test_prefix(self) -> None:
        """A list wakes by any key below it."""
        request = KeyListRequest(datacenter="dc1", prefix=b"x/", options=QueryOptions(min_query_index=1))
        answer = self.served.call("KVS.ListKeys", request)
        self.write(b"y", b"1")
        self.assertNoResult(answer)
        self.write(b"x/y", b"1")
        self.assertEqual(list(self.successResultOf(answer).value), [b"x/y"])

    def test_manyWaiters(self) -> None:
        """All who wait for a key are answered by one write."""
        answers = [self.served.call("KVS.Get", get(b"a", min_query_index=1)) for _ in range(100)]
        self.write(b"a", b"2")
        self.assertEqual({self.successResultOf(one).index for one in answers}, {2})

    def test_consistentAgain(self) -> None:
        """A consistent read verifies leadership again when it is woken."""
        answer = self.served.call("KVS.Get", get(b"a", min_query_index=1, require_consistent=True))
        self.served.consensus.unverified = Deferred()
        self.write(b"a", b"2")
        self.assertNoResult(answer)
        self.served.consensus.unverified.callback(None)
        self.assertEqual(self.successResultOf(answer).index, 2)

    def test_leadershipIsLostMeanwhile(self) -> None:
        """A consistent read that cannot be verified fails, and leaves nothing behind."""
        answer = self.served.call("KVS.Get", get(b"a", min_query_index=1, require_consistent=True))
        self.served.consensus.unverified = Deferred()
        self.write(b"a", b"2")
        self.served.consensus.unverified.errback(NoLeader())
        self.failureResultOf(answer, NoLeader)
        self.assertEqual(self.served.clock.getDelayedCalls(), [])

    def test_stateIsReplaced(self) -> None:
        """A restore answers everybody, whatever the index says then."""
        answer = self.served.call("KVS.Get", get(b"a", min_query_index=99))
        other = Served()
        self.served.store.adopt(other.store)
        self.assertIsNone(self.successResultOf(answer).value)


class KVTests(SynchronousTestCase):
    """What a write of a key is refused for, before it is proposed."""

    def test_refused(self) -> None:
        """No key, and verbs that are none."""
        served = Served()
        self.assertRaises(InvalidRequest, served.call, "KVS.Apply", put(b""))
        self.assertRaises(InvalidRequest, served.call, "KVS.Apply", put(b"a", op="get"))
        self.assertRaises(InvalidRequest, served.call, "KVS.Apply", put(b"a", op="explode"))
        self.assertEqual(served.consensus.proposed, [])

    def test_dotSegments(self) -> None:
        """Keys that could be taken for others are only read and deleted, unless the configuration allows them."""
        served = Served()
        for key in (b"a/../b", b"..", b"./a", b"a/."):
            self.assertRaises(BadRequest, served.call, "KVS.Apply", put(key))
            self.successResultOf(served.call("KVS.Apply", put(key, op="delete")))
            self.assertIsNone(served.call("KVS.Get", get(key)).value)
        for key in (b".hidden/a..b", b"...", b"a.b/c."):
            self.successResultOf(served.call("KVS.Apply", put(key)))
        served.leading.any_key = True
        self.successResultOf(served.call("KVS.Apply", put(b"a/../b")))

    def test_lockDelay(self) -> None:
        """A key whose lock is delayed is not locked, until the delay is over."""
        served = Served()
        session = self.successResultOf(served.call("Session.Apply", begin(served, "n")))
        served.leading.lock_delays.add(b"a", 15.0, served.leading.now)
        self.assertIs(served.call("KVS.Apply", put(b"a", op="lock", session=session)), False)
        served.clock.advance(15.1)
        self.assertIs(self.successResultOf(served.call("KVS.Apply", put(b"a", op="lock", session=session))), True)

    def test_manyLockDelays(self) -> None:
        """Delays that are over are swept out."""
        delays = Served().leading.lock_delays
        for number in range(10_000):
            delays.add(b"%d" % number, 1.0, float(number))
        self.assertTrue(delays.holds(b"9999", 9999.5))
        self.assertFalse(delays.holds(b"5", 9999.5))
        self.assertLess(len(delays._until), 1000)


def begin(served: Served, node: str, **more: Any) -> SessionRequest:
    """A session of a node, which is registered first."""
    done = served.call("Catalog.Register", RegisterRequest(datacenter="dc1", node=node, address="10.0.0.1"))
    done.addErrback(lambda reason: reason.raiseException())
    return SessionRequest(datacenter="dc1", op="create", session=Session(node=node, **more))


class SessionTests(SynchronousTestCase):
    """Sessions through the door."""

    def test_create(self) -> None:
        """The leader gives the id and begins the time to live."""
        served = Served()
        made = self.successResultOf(served.call("Session.Apply", begin(served, "n", ttl="15s")))
        self.assertEqual(served.timers.renewed, [made])
        answer = served.call("Session.Get", SessionSpecificRequest(datacenter="dc1", session_id=made))
        self.assertEqual([one.id for one in answer.value], [made])

    def test_renewAndDestroy(self) -> None:
        """A renewal begins the time anew; a session that is destroyed is forgotten."""
        served = Served()
        made = self.successResultOf(served.call("Session.Apply", begin(served, "n", ttl="15s")))
        request = SessionSpecificRequest(datacenter="dc1", session_id=made)
        self.assertEqual(len(served.call("Session.Renew", request).value), 1)
        self.assertEqual(served.timers.renewed, [made, made])
        end = SessionRequest(datacenter="dc1", op="destroy", session=Session(id=made))
        self.successResultOf(served.call("Session.Apply", end))
        self.assertEqual(served.timers.forgotten, [made])
        self.assertEqual(served.call("Session.Renew", request).value, [])
        self.assertEqual(served.call("Session.Apply", end), "")

    def test_refused(self) -> None:
        """What is wrong with a session is told in Consul's words."""
        served = Served()
        begin(served, "n")
        for session, text in {
            Session(): "Must provide Node",
            Session(node="n", behavior="explode"): "Invalid Behavior setting 'explode'",
            Session(node="n", ttl="9s"): "Invalid Session TTL '9000000000', must be between [10s=24h0m0s]",
            Session(node="n", ttl="soon"): "Session TTL 'soon' invalid: time: invalid duration \"soon\"",
        }.items():
            request = SessionRequest(datacenter="dc1", op="create", session=session)
            error = self.assertRaises(InvalidRequest, served.call, "Session.Apply", request)
            self.assertEqual(str(error), text)
        nowhere = SessionRequest(datacenter="dc1", op="create", session=Session(node="nowhere"))
        failure = self.failureResultOf(served.call("Session.Apply", nowhere), InvalidRequest)
        self.assertEqual(str(failure.value), "apply failed: Missing node registration")


class CatalogTests(SynchronousTestCase):
    """What a registration is refused for, and how it is completed."""

    def refusal(self, request: RegisterRequest) -> str:
        """Why it is refused."""
        return str(self.assertRaises(InvalidRequest, Served().call, "Catalog.Register", request))

    def test_refused(self) -> None:
        """Nodes without name or address, ids that are no UUIDs, checks of others."""
        self.assertEqual(self.refusal(RegisterRequest(address="10.0.0.1")), "Must provide node")
        self.assertEqual(self.refusal(RegisterRequest(node="n")), "Must provide address if SkipNodeUpdate is not set")
        self.assertIn("Bad node ID", self.refusal(RegisterRequest(node="n", address="1.1.1.1", id="short")))
        check = HealthCheck(node="other", check_id="c")
        self.assertIn("doesn't match", self.refusal(RegisterRequest(node="n", address="1.1.1.1", check=check)))
        check = HealthCheck(check_id="c", service_id="nothing")
        self.assertIn("Unknown service ID", self.refusal(RegisterRequest(node="n", address="1.1.1.1", check=check)))

    def test_serviceOfACheck(self) -> None:
        """A check names the service that is there as it is spelled."""
        served = Served()
        request = RegisterRequest(node="n", address="10.0.0.1", service=NodeService(service="web"))
        self.successResultOf(served.call("Catalog.Register", request))
        check = HealthCheck(check_id="c", service_id="Web")
        request = RegisterRequest(node="n", address="10.0.0.1", check=check)
        error = self.assertRaises(InvalidRequest, served.call, "Catalog.Register", request)
        self.assertEqual(str(error), "Unknown service ID 'Web' for check ID 'c'")

    def test_servicesOfNodesWithMetadata(self) -> None:
        """Which services nodes with certain metadata have is another answer when a node is."""
        served = Served()
        request = RegisterRequest(node="n", address="10.0.0.1", service=NodeService(service="web"))
        self.successResultOf(served.call("Catalog.Register", request))
        request = RegisterRequest(node="n", address="10.0.0.1", node_meta={"a": "b"})
        self.successResultOf(served.call("Catalog.Register", request))
        for meta in ({"a": "b"}, {"a": "c"}):
            answer = served.call("Catalog.ListServices", DCSpecificRequest(node_meta_filters=meta))
            self.assertEqual(answer.index, served.store.index)
        self.assertLess(served.call("Catalog.ListServices", DCSpecificRequest()).index, served.store.index)

    def test_completed(self) -> None:
        """A check gets its node and, from its name, its id."""
        served = Served()
        request = RegisterRequest(node="n", address="10.0.0.1", check=HealthCheck(name="alive"))
        self.successResultOf(served.call("Catalog.Register", request))
        _, (check,) = served.store.catalog.node_checks("n")
        self.assertEqual((check.node, check.check_id), ("n", "alive"))

    def test_gone(self) -> None:
        """A node that is deregistered is gone."""
        served = Served()
        self.successResultOf(served.call("Catalog.Register", RegisterRequest(node="n", address="10.0.0.1")))
        self.successResultOf(served.call("Catalog.Deregister", DeregisterRequest(node="n")))
        self.assertEqual(served.call("Catalog.ListNodes", DCSpecificRequest()).value, [])


class StatusTests(SynchronousTestCase):
    """Who leads."""

    def test_leader(self) -> None:
        """The leader's address, and those of all."""
        served = Served()
        self.assertEqual(served.call("Status.Leader", DCSpecificRequest()), "127.0.0.1:8300")
        self.assertEqual(served.call("Status.Peers", DCSpecificRequest()), ["127.0.0.1:8300"])
        shown = served.call("Operator.RaftGetConfiguration", DCSpecificRequest()).servers[0]
        self.assertEqual((shown.node, shown.leader, shown.voter), ("a", True, True))

    def test_context(self) -> None:
        """Whoever bears a token is served all the same while ACLs are off."""
        served = Served()
        self.assertIsNotNone(served.door.call("KVS.Get", get(b"a"), Context(token="any")))
