"""What is done only while leading: session timers, tombstones, the own node."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.endpoints.serving import Served
from txconsul.errors import DiskFull
from txconsul.leader.features import FEATURES, Features
from txconsul.leader.session_ttl import RETRY_SECONDS as SESSION_RETRY_SECONDS
from txconsul.leader.session_ttl import SessionTTL
from txconsul.leader.tombstones import KEPT_SECONDS, STEP_SECONDS, Tombstones
from txconsul.records.catalog import RegisterRequest
from txconsul.records.kv import DirEntry, KVSRequest
from txconsul.records.session import Session, SessionRequest, SessionSpecificRequest


class SessionTTLTests(SynchronousTestCase):
    """Sessions end when nobody renewed them."""

    def setUp(self) -> None:
        """A leader that counts, and a node to hang sessions on."""
        self.served = Served()
        self.ttl = SessionTTL(self.served.store, self.served.door, "dc1", self.served.clock)
        self.served.leading.timers = self.ttl
        self.ttl.startService()
        self.addCleanup(self.ttl.stopService)
        self.successResultOf(self.served.call("Catalog.Register", RegisterRequest(node="n", address="10.0.0.1")))

    def create(self, ttl: str) -> str:
        """A session's id."""
        request = SessionRequest(datacenter="dc1", op="create", session=Session(node="n", ttl=ttl))
        made: str = self.successResultOf(self.served.call("Session.Apply", request))
        return made

    def lives(self, session_id: str) -> bool:
        """Is it still there?"""
        return self.served.store.sessions.get(session_id)[1] is not None

    def test_twiceTheTTL(self) -> None:
        """A session lives for twice its TTL."""
        made = self.create("10s")
        self.served.clock.advance(19.9)
        self.assertTrue(self.lives(made))
        self.served.clock.advance(0.2)
        self.assertFalse(self.lives(made))

    def test_renewed(self) -> None:
        """A renewal begins its time anew."""
        made = self.create("10s")
        for _ in range(5):
            self.served.clock.advance(15)
            self.served.call("Session.Renew", SessionSpecificRequest(datacenter="dc1", session_id=made))
        self.assertTrue(self.lives(made))
        self.served.clock.advance(20.1)
        self.assertFalse(self.lives(made))

    def test_withoutTTL(self) -> None:
        """A session without a TTL never ends by itself."""
        made = [self.create(""), self.create("0s")]
        self.served.clock.advance(1_000_000)
        self.assertEqual([self.lives(one) for one in made], [True, True])

    def test_newLeader(self) -> None:
        """A new leader begins every session's time anew."""
        made = self.create("10s")
        self.served.clock.advance(19)
        self.ttl.stopService()
        self.served.clock.advance(100)
        self.assertTrue(self.lives(made))
        self.ttl.startService()
        self.served.clock.advance(19)
        self.assertTrue(self.lives(made))
        self.served.clock.advance(1.1)
        self.assertFalse(self.lives(made))

    def test_refusedByTheDisk(self) -> None:
        """An end that could not be written is tried again."""
        made = self.create("10s")
        self.served.consensus.refused = DiskFull()
        self.served.clock.advance(20.1)
        self.assertTrue(self.lives(made))
        self.served.consensus.refused = None
        self.served.clock.advance(SESSION_RETRY_SECONDS + 0.1)
        self.assertFalse(self.lives(made))

    def test_manyRenewals(self) -> None:
        """However often sessions are renewed, what is kept of them stays small."""
        made = [self.create("10s") for _ in range(20)]
        for _ in range(500):
            for one in made:
                self.served.call("Session.Renew", SessionSpecificRequest(datacenter="dc1", session_id=one))
        self.assertLess(len(self.ttl._heap), 200)
        self.served.clock.advance(20.1)
        self.assertFalse(any(self.lives(one) for one in made))

    def test_destroyed(self) -> None:
        """A session that was destroyed, or whose node is gone, is no matter any more."""
        made = self.create("10s")
        end = SessionRequest(datacenter="dc1", op="destroy", session=Session(id=made))
        self.successResultOf(self.served.call("Session.Apply", end))
        proposed = len(self.served.consensus.proposed)
        self.served.clock.advance(100)
        self.assertEqual(len(self.served.consensus.proposed), proposed)


class TombstoneTests(SynchronousTestCase):
    """Tombstones are kept for a quarter of an hour."""

    def setUp(self) -> None:
        """A leader with one deleted key."""
        self.served = Served()
        self.tombstones = Tombstones(self.served.store, self.served.door, "dc1", self.served.clock)
        for op in ("set", "delete"):
            request = KVSRequest(datacenter="dc1", op=op, dir_ent=DirEntry(key=b"a"))
            self.successResultOf(self.served.call("KVS.Apply", request))
        self.tombstones.startService()

    def reaped(self) -> list[int]:
        """Up to which index each reaping went."""
        return [record.reap_index for _, record in self.served.consensus.proposed if hasattr(record, "reap_index")]

    def test_reaped(self) -> None:
        """They go when their time is up, once."""
        self.served.clock.pump([STEP_SECONDS] * int(KEPT_SECONDS / STEP_SECONDS - 1))
        self.assertEqual(self.reaped(), [])
        self.served.clock.pump([STEP_SECONDS] * 100)
        self.assertEqual(self.reaped(), [2])
        self.tombstones.stopService()
        self.assertEqual(self.served.clock.getDelayedCalls(), [])

    def test_leadershipIsLost(self) -> None:
        """Who does not lead reaps nothing."""
        self.tombstones.stopService()
        self.served.clock.advance(10 * KEPT_SECONDS)
        self.assertEqual(self.reaped(), [])


class FeatureTests(SynchronousTestCase):
    """What all servers can do is in the state."""

    def test_once(self) -> None:
        """It is written once, by whoever leads first."""
        served = Served()
        for _ in range(2):
            duty = Features(served.store, served.door, "dc1")
            duty.startService()
            duty.stopService()
        self.assertEqual([record.entry.key for _, record in served.consensus.proposed], list(FEATURES))
