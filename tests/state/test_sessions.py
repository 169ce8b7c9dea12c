"""Sessions, and what ends them."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.state.driving import Driven
from txconsul.errors import InvalidRequest
from txconsul.records.health import HealthCheckDefinition
from txconsul.records.service import NodeService
from txconsul.records.session import LOCK_DELAY_MAX, ServiceCheck
from txconsul.state.watches import kv_key, node_sessions, session

ID = "11111111-aaaa-4aaa-8aaa-000000000001"
OTHER = "22222222-aaaa-4aaa-8aaa-000000000002"


class SessionTests(SynchronousTestCase):
    """A session lives on a node and dies with what it depends on."""

    def setUp(self) -> None:
        self.it = Driven()
        self.sessions = self.it.store.sessions
        self.it.register("n1", service=NodeService(id="web1", service="web"))
        self.it.check("n1", "serfHealth")
        self.it.check("n1", "web-up", service_id="web1")

    def alive(self, id: str = ID) -> bool:
        return self.sessions.get(id)[1] is not None

    def test_create(self) -> None:
        """The result of a creation is the id; behaviour is release unless it is said; lists follow."""
        self.assertEqual(self.it.session(ID, name="deploy", ttl="10s"), ID)
        index, found = self.sessions.get(ID.upper())
        assert found is not None
        self.assertEqual((index, found.behavior, found.create_index, found.modify_index), (4, "release", 4, 4))
        self.it.register("n2")
        self.it.session(OTHER, node="N2")
        self.assertEqual([one.id for one in self.sessions.list()[1]], [ID, OTHER])
        self.assertEqual([one.id for one in self.sessions.of_node("n2")[1]], [OTHER])

    def test_refusals(self) -> None:
        """What a session depends on must be there and well; the words are Consul's."""
        self.it.check("n1", "bad", "critical")
        for expected, fields in (
            ("Missing session ID", {"id": ""}),
            ("Invalid session behavior: burn", {"id": ID, "behavior": "burn"}),
            ("Missing node registration", {"id": ID, "node": "nowhere"}),
            ("Missing check 'none' registration", {"id": ID, "node_checks": ("serfHealth", "none")}),
            ("Check 'bad' is in critical state", {"id": ID, "checks": ("bad",)}),
            (
                "failed check lookup: index error: object is missing a value for this index",
                {"id": ID, "node_checks": ("",)},
            ),
        ):
            refusal = self.it.session(**fields)  # type: ignore[arg-type]
            self.assertIsInstance(refusal, InvalidRequest)
            self.assertEqual(str(refusal), expected)
        self.assertEqual(self.sessions.list(), (1, []))

    def test_unknownOperation(self) -> None:
        """A session operation that nobody knows is refused."""
        from txconsul.records.session import SessionRequest

        self.assertEqual(str(self.it.apply(3, SessionRequest(op="x"))), "Invalid Session operation 'x'")

    def test_release(self) -> None:
        """The keys of a destroyed session are released and offered for lock delay."""
        self.it.session(ID, lock_delay=15)
        self.it.kv("lock", b"k", b"v", session=ID)
        self.it.kv("lock", b"a", b"v", session=ID)
        woken = self.it.watch(kv_key(b"k"))
        self.it.destroy(ID)
        entry = self.it.store.kv.get(b"k")[1]
        assert entry is not None
        self.assertEqual((entry.session, entry.lock_index, entry.value, entry.modify_index), ("", 1, b"v", 7))
        self.assertEqual(woken, [7])
        self.assertEqual(self.it.store.take_lock_delays(), [(b"a", 15), (b"k", 15)])
        self.assertEqual(self.it.store.take_lock_delays(), [])
        self.assertEqual(self.sessions.index, 7)

    def test_delete(self) -> None:
        """With the behaviour delete its keys go; the lock delay is bounded."""
        self.it.session(ID, behavior="delete", lock_delay=10 * LOCK_DELAY_MAX)
        self.it.kv("lock", b"k", session=ID)
        self.it.destroy(ID)
        self.assertIsNone(self.it.store.kv.get(b"k")[1])
        self.assertEqual(self.it.store.kv.list(b"k")[0], 6)
        self.assertEqual(self.it.store.take_lock_delays(), [(b"k", LOCK_DELAY_MAX)])

    def test_destroyNothing(self) -> None:
        """Destroying what is not there changes nothing."""
        self.assertIsNone(self.it.destroy(ID))
        self.assertEqual(self.sessions.index, 1)

    def test_endings(self) -> None:
        """A session ends when its node, service or check goes, or a check of its turns critical; others stay."""
        endings = {
            "check critical": lambda: self.it.check("n1", "serfHealth", "critical"),
            "check gone": lambda: self.it.deregister("n1", check_id="serfHealth"),
            "service check critical": lambda: self.it.check("n1", "web-up", "critical", service_id="web1"),
            "service gone": lambda: self.it.deregister("n1", service_id="web1"),
            "node gone": lambda: self.it.deregister("n1"),
        }
        for name, end in endings.items():
            self.setUp()
            self.it.register("n2")
            self.it.session(ID, node_checks=("serfHealth",), service_checks=(ServiceCheck(id="web-up"),))
            self.it.session(OTHER, node="n2")
            woken, other = self.it.watch(session(ID)), self.it.watch(session(OTHER), node_sessions("n2"))
            end()
            self.assertFalse(self.alive(), name)
            self.assertTrue(self.alive(OTHER), name)
            self.assertEqual((len(woken), len(other)), (1, 0), name)

    def test_warningIsNoEnd(self) -> None:
        """A warning, or another check's failure, ends nothing."""
        self.it.session(ID, node_checks=("serfHealth",))
        self.it.check("n1", "serfHealth", "warning")
        self.it.check("n1", "else", "critical")
        self.assertTrue(self.alive())

    def test_sessionChecksFollow(self) -> None:
        """A check of the type session passes while a session of its name is in force."""
        definition = HealthCheckDefinition(session_name="leader")
        self.it.check("n1", "follows", "critical", type="session", definition=definition)
        self.it.session(ID, name="leader", node_checks=("follows",))
        check = self.it.store.catalog.check("n1", "follows")
        assert check is not None
        self.assertEqual((check.status, check.output), ("passing", f"Session '{ID}' in force"))
        self.it.destroy(ID)
        check = self.it.store.catalog.check("n1", "follows")
        assert check is not None
        self.assertEqual((check.status, check.output), ("critical", f"Session '{ID}' is invalid"))
