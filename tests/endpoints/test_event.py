"""User events at the door, and among members of a pool."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.endpoints.gossiping import Gossiping
from tests.endpoints.serving import Served
from txconsul.endpoints.event import event_index
from txconsul.errors import InvalidRequest, NoPathToDatacenter, Unavailable
from txconsul.leader.announcing import Announcing
from txconsul.records.event import EventFireRequest, EventListRequest, FireRequest, UserEvent
from txconsul.records.query import QueryOptions
from txconsul.records.service import NodeService

SECOND = 1_000_000_000


def fire(name: str, payload: bytes = b"", **filters: str) -> FireRequest:
    """A request."""
    return FireRequest(event=UserEvent(name=name, payload=payload or None, **filters))


class FiringTests(SynchronousTestCase):
    """Three servers in one pool."""

    def setUp(self) -> None:
        self.pool = Gossiping("abc")

    def test_everybodyHears(self) -> None:
        """An event that is fired at one is held by all, the one included, with its payload and its time."""
        fired = self.pool["a"].call("Event.Fire", fire("deploy", b"v1"))
        self.assertEqual(
            (fired.name, fired.payload, fired.version, fired.l_time, len(fired.id)), ("deploy", b"v1", 1, 0, 36)
        )
        self.pool.clock.advance(2)
        for name in "abc":
            (held,) = self.pool[name].events.recent()
            self.assertEqual((held.id, held.name, held.payload), (fired.id, "deploy", b"v1"))
            self.assertGreater(held.l_time, 0)

    def test_onlyWhoIsMeant(self) -> None:
        """Filters choose nodes, and services with tags; whoever tells an event need not be meant."""
        self.pool["b"].services["web-1"] = NodeService(id="web-1", tags=("blue",))
        self.pool["c"].services["web-2"] = NodeService(id="web-2", tags=("green",))
        call = self.pool["a"].call
        call("Event.Fire", fire("nodes", node_filter="[ac]"))
        call("Event.Fire", fire("web", service_filter="^web-"))
        call("Event.Fire", fire("blue", service_filter="^web-", tag_filter="blue"))
        self.pool.clock.advance(2)
        self.assertEqual(
            [sorted(self.pool[name].names()) for name in "abc"], [["nodes"], ["blue", "web"], ["nodes", "web"]]
        )

    def test_refused(self) -> None:
        """What cannot be an event is refused, in Consul's words, before anybody hears of it."""
        call = self.pool["a"].call
        for request, said in (
            (fire(""), "User event missing name"),
            (fire("x", tag_filter="a"), "Cannot provide tag filter without service filter"),
            (fire("x", node_filter="["), "Invalid node filter: error parsing regexp: missing closing ]: `[`"),
            (fire("x", service_filter="("), "Invalid service filter: error parsing regexp: missing closing ): `(`"),
            (
                fire("x", service_filter="a", tag_filter="*"),
                "Invalid tag filter: error parsing regexp: missing argument to repetition operator: `*`",
            ),
            (
                fire("x", b"x" * 2000),
                "error broadcasting event: user event exceeds configured limit of 512 bytes before encoding",
            ),
            (
                fire("x", b"x" * 430),
                "error broadcasting event: encoded user event exceeds configured limit of 512 bytes after encoding",
            ),
        ):
            error = self.assertRaises(InvalidRequest, call, "Event.Fire", request)
            self.assertEqual(str(error), said)
        self.pool.clock.advance(2)
        self.assertEqual(self.pool["a"].names(), [])

    def test_elsewhere(self) -> None:
        """Another datacenter is asked to tell it; the one that does not exist is missed."""
        request = FireRequest(to="mars", event=UserEvent(name="x"))
        self.assertRaises(NoPathToDatacenter, self.pool["a"].call, "Event.Fire", request)

    def test_withoutAgent(self) -> None:
        """A server around which there is no agent says so."""
        served = Served()
        self.assertRaises(Unavailable, served.call, "Event.Fire", fire("x"))
        self.assertRaises(Unavailable, served.call, "Event.List", EventListRequest())
        self.assertRaises(Unavailable, served.call, "Internal.EventFire", EventFireRequest(name="x"))

    def test_newLeader(self) -> None:
        """A server that begins to lead tells all agents of it, each time once."""
        told: list[str] = []
        for name in "abc":
            self.pool[name].events.new_leader = lambda name=name: told.append(name)  # type: ignore[misc]
        announcing = Announcing(self.pool["b"].site)
        for count in (1, 2):
            announcing.startService()
            self.pool.clock.advance(2)
            self.assertEqual(sorted(told), sorted("abc" * count))
            announcing.stopService()


class ListingTests(SynchronousTestCase):
    """What one server lists."""

    def setUp(self) -> None:
        self.pool = Gossiping("a")
        self.member = self.pool["a"]

    def fire(self, name: str = "x") -> UserEvent:
        """An event, as it is held."""
        self.member.call("Event.Fire", fire(name))
        self.pool.clock.advance(0.1)
        return self.member.events.recent()[-1]

    def list(self, index: int = 0, wait: float = 0.0, name: str = "") -> Any:
        """Ask."""
        options = QueryOptions(min_query_index=index, max_query_time=int(wait * SECOND))
        return self.member.call("Event.List", EventListRequest(name=name, options=options))

    def test_index(self) -> None:
        """It is made of the last event's ID; without events it is 1."""
        self.assertEqual((self.list().index, self.list().value), (1, []))
        first, second = self.fire("first"), self.fire("second")
        self.assertEqual((self.list().index, self.list().value), (event_index(second.id), [first, second]))
        self.assertEqual(self.list(name="first").index, event_index(first.id))
        self.assertEqual(self.list(name="none").index, 1)

    def test_waiting(self) -> None:
        """Only who gives the very index waits, until there is another one."""
        first = event_index(self.fire("first").id)
        self.assertEqual(self.list(index=first + 1).index, first)
        waiting = self.list(index=first, wait=10)
        other = self.list(index=first, wait=10, name="first")
        second = self.fire("second")
        self.assertEqual(self.successResultOf(waiting).index, event_index(second.id))
        self.assertNoResult(other)
        self.pool.clock.advance(10)
        self.assertEqual(self.successResultOf(other).index, first)

    def test_longest(self) -> None:
        """Nobody waits longer than ten minutes, whatever is asked."""
        for wait in (0.0, 3600.0, -1.0):
            waiting = self.list(index=1, wait=wait)
            self.pool.clock.advance(599)
            self.assertNoResult(waiting)
            self.pool.clock.advance(1)
            self.assertEqual(self.successResultOf(waiting).value, [])

    def test_ends(self) -> None:
        """Who goes away leaves nothing behind; when the agent stops, all are answered."""
        gone: Deferred[Any] = self.list(index=1)
        waiting = self.list(index=1)
        gone.cancel()
        self.failureResultOf(gone, CancelledError)
        self.assertEqual(len(self.member.events._waiting), 1)
        self.member.site.closing = True
        self.member.events.wake()
        self.assertEqual(self.successResultOf(waiting).index, 1)
        self.assertEqual(self.member.events._waiting, {})
        self.assertEqual(self.list(index=1).index, 1)
