"""The agent's cache above a real door, by the clock."""

from __future__ import annotations

import math
from random import Random
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.trial.unittest import SynchronousTestCase

from tests.agent.caching import CachedServer
from txconsul.agent.cached import CACHED
from txconsul.agent.subscriptions import FETCH_SECONDS, NothingKept
from txconsul.caching.entry import FAILURES_FREE, FetchLimits
from txconsul.codec.duration import SECOND
from txconsul.endpoints.methods import METHODS
from txconsul.endpoints.registry import Answer, Read
from txconsul.errors import InvalidRequest, NoLeader, PermissionDenied, TooManyRequests
from txconsul.records.catalog import DeregisterRequest
from txconsul.records.kv import KeyRequest
from txconsul.records.queries import DCSpecificRequest, NodeSpecificRequest, ServiceSpecificRequest
from txconsul.records.query import Context, QueryOptions

WEB = ServiceSpecificRequest(datacenter="dc1", service_name="web")
ALL = DCSpecificRequest(datacenter="dc1")
HEALTH = "Health.ServiceNodes"


class SubscriptionTests(SynchronousTestCase):
    """One entry a distinct question."""

    def setUp(self) -> None:
        """A server with one instance."""
        self.server = CachedServer()
        self.server.register("n1")

    def first(self, method: str = HEALTH, request: Any = WEB, **options: Any) -> Answer:
        """The answer to whom nothing was kept for."""
        waiting = self.server.ask(method, request, **options)
        self.assertIsInstance(waiting, Deferred)
        self.server.turn()
        return self.successResultOf(waiting)  # type: ignore[no-any-return]

    def hit(self, method: str = HEALTH, request: Any = WEB, **options: Any) -> Answer:
        """The answer that is kept."""
        answer = self.server.ask(method, request, **options)
        assert type(answer) is Answer
        assert answer.cached is not None
        self.assertTrue(answer.cached.hit)
        return answer

    def test_missThenHit(self) -> None:
        """First fetched, then there; and it follows the catalog without being asked for."""
        miss = self.first()
        assert miss.cached is not None
        self.assertEqual((miss.cached.hit, len(miss.value)), (False, 1))
        hit = self.hit()
        self.assertIs(hit.value, miss.value)
        self.server.turn()
        self.server.register("n2")
        self.assertEqual(len(self.hit().value), 2)
        self.assertEqual(self.server.cache.counts["hit", "health-services"], 2)

    def test_blocking(self) -> None:
        """However many wait, the server sees one; all are answered with one value, in the turn of the change."""
        index = self.first().index
        waiting = [self.server.ask(HEALTH, WEB, min_query_index=index) for _ in range(5)]
        self.server.turn()
        asked = len(self.server.counting.asked)
        self.server.register("n2")
        answers = [self.successResultOf(one) for one in waiting]
        self.assertEqual(len({id(one.value) for one in answers}), 1)
        self.assertEqual(len({id(one.view) for one in answers}), 1)
        self.assertTrue(all(one.index > index and not one.cached.hit for one in answers))
        self.server.turn()
        self.assertEqual(self.server.counting.asked[asked:], [(HEALTH, answers[0].index, "")])

    def test_othersDoNotWake(self) -> None:
        """A change elsewhere answers nobody."""
        index = self.first().index
        waiting = self.server.ask(HEALTH, WEB, min_query_index=index)
        self.server.turn()
        self.server.register("n9", "db")
        self.assertNoResult(waiting)

    def test_waitEnds(self) -> None:
        """When time is up, what there is; the wait is what was asked, or the default, and never over the limit."""
        index = self.first().index
        for wait, seconds in ((8, 8.0), (0, 300.0), (7200, 600.0)):
            waiting = self.server.ask(HEALTH, WEB, min_query_index=index, max_query_time=wait * SECOND)
            self.server.turn()
            self.server.clock.advance(seconds - 0.1)
            self.assertNoResult(waiting)
            self.server.clock.advance(0.1)
            answer = self.successResultOf(waiting)
            self.assertEqual((answer.index, answer.cached.hit), (index, False))

    def test_longPollsFollow(self) -> None:
        """A poll whose time is up is begun anew."""
        self.first()
        self.server.turn()
        asked = len(self.server.counting.asked)
        self.server.clock.advance(FETCH_SECONDS * 17 / 16)
        self.server.turn()
        self.assertEqual(len(self.server.counting.asked), asked + 1)

    def test_distinct(self) -> None:
        """Filters, tags, tokens and health make questions distinct; consistency, waits and the order of tags do not."""
        self.first()
        self.hit(allow_stale=True)
        self.hit(max_query_time=SECOND)
        self.first(filter="Service.Port == 80")
        self.first(request=ServiceSpecificRequest(datacenter="dc1", service_name="web", must_be_passing=True))
        self.first(request=ServiceSpecificRequest(datacenter="dc1", service_name="web", service_tags=("a", "b")))
        self.hit(request=ServiceSpecificRequest(datacenter="dc1", service_name="web", service_tags=("b", "a")))
        waiting = self.server.ask(HEALTH, WEB, token="secret")
        self.assertIsInstance(waiting, Deferred)
        self.assertIn((HEALTH, 0, "secret"), self.server.counting.asked)
        self.server.turn()
        self.successResultOf(waiting)
        self.assertEqual(len(self.server.cache), 5)

    def test_sharedByTokens(self) -> None:
        """What everybody may see is kept once."""
        self.first("Catalog.ListDatacenters", ALL)
        answer = self.server.ask("Catalog.ListDatacenters", ALL, token="secret")
        self.assertEqual(answer.value, ["dc1"])

    def test_ageing(self) -> None:
        """What is not refreshed ages, and is fetched for who wants it younger."""
        self.first("Catalog.ListDatacenters", ALL)
        self.server.clock.advance(65)
        hit = self.hit("Catalog.ListDatacenters", ALL, max_age=100 * SECOND)
        assert hit.cached is not None
        self.assertEqual(hit.cached.age, 65.0)
        self.first("Catalog.ListDatacenters", ALL, max_age=30 * SECOND)
        self.first("Catalog.ListDatacenters", ALL, must_revalidate=True)

    def test_passedOn(self) -> None:
        """What does not allow it, and what is never kept, goes to the door."""
        answer = self.server.cache.call(HEALTH, WEB, Context())
        self.assertIsNone(answer.cached)
        cached = QueryOptions(use_cache=True)
        answer = self.server.cache.call("KVS.Get", KeyRequest(datacenter="dc1", key=b"k", options=cached), Context())
        self.assertIsNone(answer.cached)
        self.assertEqual(len(self.server.cache), 0)

    def test_otherMethods(self) -> None:
        """Services, nodes and instances are kept alike."""
        node = NodeSpecificRequest(datacenter="dc1", node="n1")
        for method, request in (
            ("Catalog.ListServices", ALL),
            ("Catalog.ServiceNodes", WEB),
            ("Catalog.NodeServices", node),
        ):
            self.first(method, request)
            self.server.turn()
        self.server.register("n2", "db")
        self.assertEqual(set(self.hit("Catalog.ListServices", ALL).value), {"web", "db"})
        self.assertEqual(len(self.hit("Catalog.ServiceNodes", WEB).value), 1)
        self.assertEqual(self.hit("Catalog.NodeServices", node).value[0].node, "n1")

    def test_serversFailAndReturn(self) -> None:
        """Without servers the value stays and ages; who blocks is told; when they are back, all is as it was."""
        index = self.first().index
        self.server.turn()
        self.server.counting.error = NoLeader()
        waiting = self.server.ask(HEALTH, WEB, min_query_index=index)
        self.server.register("n2")  # ends the poll; the next one fails
        self.assertEqual(len(self.successResultOf(waiting).value), 2)
        self.server.turn()
        waiting = self.server.ask(HEALTH, WEB, min_query_index=index + 1)
        self.server.turn()
        self.failureResultOf(waiting, NoLeader)
        for _ in range(40):
            self.server.clock.advance(1)
        hit = self.hit()
        assert hit.cached is not None
        self.assertEqual((len(hit.value), hit.cached.age), (2, 40.0))
        self.server.register("n3")
        self.server.counting.error = None
        self.server.clock.pump([1.0] * 120)
        hit = self.hit()
        assert hit.cached is not None
        self.assertEqual((len(hit.value), hit.cached.age), (3, 0.0))

    def test_refused(self) -> None:
        """A refusal ends an entry, and is not remembered; too many requests are no refusal."""
        self.first()
        self.server.turn()
        self.server.counting.error = TooManyRequests()
        self.server.register("n2")
        self.server.turn()
        self.hit()
        self.server.counting.error = PermissionDenied()
        self.server.clock.pump([1.0] * 10)
        waiting = self.server.ask(HEALTH, WEB)
        self.server.turn()
        self.failureResultOf(waiting, PermissionDenied)
        self.assertEqual(len(self.server.cache), 0)
        self.server.counting.error = None
        self.first()

    def test_badFilter(self) -> None:
        """A mistake in the question is answered with it, each time."""
        for _ in range(2):
            waiting = self.server.ask(HEALTH, WEB, filter="no ==")
            self.server.turn()
            self.assertIn("Failed", str(self.failureResultOf(waiting).value))

    def test_brokenSource(self) -> None:
        """A mistake of this program is logged, and the asker learns of an internal error."""
        self.server.counting._door = _Broken()
        waiting = self.server.ask(HEALTH, WEB)
        self.server.turn()
        self.assertEqual(str(self.failureResultOf(waiting).value), "Internal error")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), FAILURES_FREE + 1)

    def test_brokenCore(self) -> None:
        """A mistake in the cache itself ends the cache, not the agent: who waits gets an error, others an answer."""
        index = self.first().index
        waiting = self.server.ask(HEALTH, WEB, min_query_index=index)
        self.patch(self.server.cache._core, "take_output", lambda: [object()])
        self.server.ask("Catalog.ListServices", ALL).addErrback(lambda _: None)
        self.assertEqual(str(self.failureResultOf(waiting).value), "Internal error")
        self.assertIsNone(self.server.ask(HEALTH, WEB).cached)
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_clientGoes(self) -> None:
        """Who goes is forgotten, and the others and the poll stay."""
        index = self.first().index
        waiting = [self.server.ask(HEALTH, WEB, min_query_index=index) for _ in range(2)]
        waiting[0].cancel()
        self.failureResultOf(waiting[0], CancelledError)
        self.server.turn()
        self.server.register("n2")
        self.assertEqual(len(self.successResultOf(waiting[1]).value), 2)

    def test_goesAtTheEnd(self) -> None:
        """Who goes in the turn in which his answer or error was found is not answered as well."""
        for error in (None, PermissionDenied()):
            self.server.counting.error = error
            waiting = self.server.ask(HEALTH, WEB)  # found at once, and given in the next turn
            waiting.cancel()
            self.failureResultOf(waiting, CancelledError)
            self.server.turn()
            self.server.cache.close()
            self.setUp()

    def test_expiry(self) -> None:
        """What nobody asked for is given up with its poll, so that the server is not waited at any more."""
        self.first()
        self.server.turn()
        self.server.clock.pump([60.0] * 21)
        self.assertEqual(len(self.server.cache), 0)
        asked = len(self.server.counting.asked)
        self.server.register("n2")
        self.server.turn()
        self.assertEqual(len(self.server.counting.asked), asked)
        self.assertEqual(self.server.clock.getDelayedCalls(), [])

    def test_limits(self) -> None:
        """The configured rate holds for an entry, and another one from its change on."""
        self.server = CachedServer(FetchLimits(0.1, 1))
        self.server.register("n1")
        self.first()
        self.server.register("n2")
        self.server.clock.advance(5)
        self.assertEqual(len(self.hit().value), 1)
        self.server.clock.advance(5)
        self.server.turn()
        self.assertEqual(len(self.hit().value), 2)
        self.server.cache.limit(FetchLimits())
        self.server.clock.advance(10)
        self.server.turn()
        for number in range(3, 8):
            self.server.register(f"n{number}")
            self.server.turn()
        self.assertEqual(len(self.hit().value), 7)

    def test_noAnswerInTime(self) -> None:
        """Nothing kept and nothing coming: an error, when time is up."""
        self.server.site.me = self.server.site.me._replace(is_leader=False, leader_known=False, heard_of_leader=False)
        impatient = self.server.ask(HEALTH, WEB, min_query_index=1, max_query_time=SECOND)
        waiting = self.server.ask(HEALTH, WEB, max_query_time=SECOND)
        self.server.turn()
        self.server.clock.advance(1)
        self.failureResultOf(impatient, NothingKept)
        self.assertNoResult(waiting)
        self.server.clock.pump([1.0] * 8)
        self.failureResultOf(waiting, NoLeader)

    def test_close(self) -> None:
        """At the end all who wait are answered, and nothing is left to happen."""
        index = self.first().index
        waiting = self.server.ask(HEALTH, WEB, min_query_index=index)
        self.server.site.me = self.server.site.me._replace(is_leader=False, leader_known=False, heard_of_leader=False)
        never = self.server.ask("Catalog.ListServices", ALL)
        self.server.cache.close()
        self.assertEqual(self.successResultOf(waiting).index, index)
        self.failureResultOf(never, NothingKept)
        self.assertEqual(self.server.clock.getDelayedCalls(), [])
        self.server.lead()
        self.assertIsNone(self.server.ask(HEALTH, WEB).cached)

    def test_everyRowIsAMethod(self) -> None:
        """The table names methods that there are, and only reads are waited for."""
        for name, kind in CACHED.items():
            method = METHODS[name]
            self.assertIn("options", method.request.__struct_fields__, name)
            self.assertTrue(isinstance(method, Read) or not (kind.refreshes or kind.blocks), name)


class _Follower:
    """
    A client that watches a service as clients do: it asks again with the index of its last answer.

    @ivar seen: names of nodes, as in the last answer.
    """

    def __init__(self, server: CachedServer, service: str) -> None:
        self._server = server
        self._request = ServiceSpecificRequest(datacenter="dc1", service_name=service)
        self._index = 0
        self.backwards = False
        self.asking = False
        self.seen: list[str] = []

    def ask(self) -> None:
        """Ask, unless an answer is still to come."""
        if self.asking:
            return
        self.asking = True
        answer = self._server.ask(HEALTH, self._request, min_query_index=self._index, max_query_time=60 * SECOND)
        if isinstance(answer, Deferred):
            answer.addCallbacks(self._take, lambda _: setattr(self, "asking", False))
        else:
            self._take(answer)

    def _take(self, answer: Answer) -> None:
        self.asking = False
        self.backwards = self.backwards or answer.index < self._index
        self._index = answer.index
        self.seen = [one.node.node for one in answer.value]


class FollowingTests(SynchronousTestCase):
    """Watching through the cache, whatever happens."""

    def test_nothingIsMissed(self) -> None:
        """
        Services change, servers fail and return, fetches are limited, entries expire: in the end everybody has seen
        what there is, and nobody an index that went back.
        """
        for seed in range(25):
            rng = Random(seed)
            server = CachedServer(FetchLimits(rng.choice([1.0, math.inf]), rng.choice([1, 2])))
            server.register("n0", "first")
            followers = [_Follower(server, service) for service in ("web", "db", "web", "none")]
            for _ in range(60):
                action = rng.random()
                node = f"n{rng.randrange(4)}"
                if action < 0.4:
                    server.register(node, rng.choice(["web", "db", "other"]))
                elif action < 0.5:
                    server.call("Catalog.Deregister", DeregisterRequest(datacenter="dc1", node=node))
                elif action < 0.6:
                    server.counting.error = rng.choice([None, NoLeader(), PermissionDenied()])
                server.clock.advance(rng.choice([0, 0, 0.5, 30, 1300]))
                for one in followers:
                    if rng.random() < 0.7:
                        one.ask()
            server.counting.error = None
            for _ in range(200):
                for one in followers:
                    one.ask()
                server.clock.advance(1)
            for one, service in zip(followers, ("web", "db", "web", "none"), strict=True):
                truth = server.call(HEALTH, ServiceSpecificRequest(datacenter="dc1", service_name=service))
                self.assertEqual(one.seen, [it.node.node for it in truth.value], seed)
                self.assertFalse(one.backwards, seed)


class _Broken:
    """A door with a mistake in it."""

    def call(self, method: str, request: Any, context: Any) -> Any:
        return fail(ZeroDivisionError())


class WatchTests(SynchronousTestCase):
    """Being called back when an answer may have changed."""

    def setUp(self) -> None:
        """A kept answer, and one of the door's."""
        self.server = CachedServer()
        self.server.register("n1")
        self.kept = ServiceSpecificRequest(
            datacenter="dc1", service_name="web", options=QueryOptions(use_cache=True, allow_stale=True)
        )
        self.called: list[str] = []

    def keep(self) -> None:
        """Have the answer kept."""
        self.server.ask(HEALTH, WEB)
        self.server.turn()
        self.server.turn()

    def watch(self, *asked: tuple[str, Any]) -> Any:
        """Watch."""
        return self.server.cache.watch(asked, lambda: self.called.append("x"))

    def test_changed(self) -> None:
        """A change calls back once."""
        self.keep()
        self.watch((HEALTH, self.kept))
        self.server.register("n9", "db")
        self.assertEqual(self.called, [])
        self.server.register("n2")
        self.server.register("n3")
        self.assertEqual(self.called, ["x"])

    def test_stopped(self) -> None:
        """Who stopped is not called."""
        self.keep()
        stop = self.watch((HEALTH, self.kept), ("KVS.Get", KeyRequest(datacenter="dc1", key=b"k")))
        stop()
        self.server.register("n2")
        self.assertEqual(self.called, [])

    def test_elsewhere(self) -> None:
        """What is not kept is watched at the door, and calls back once with the rest."""
        self.keep()
        self.watch((HEALTH, self.kept), ("Catalog.ListServices", ALL))
        self.server.register("n9", "db")
        self.server.register("n2")
        self.assertEqual(self.called, ["x"])

    def test_notKept(self) -> None:
        """What is not there, or ages unseen, cannot be watched; nor can what is asked beside it."""
        self.assertIsNone(self.watch((HEALTH, self.kept)))
        self.keep()
        everywhere = DCSpecificRequest(datacenter="dc1", options=QueryOptions(use_cache=True))
        self.server.cache.call("Catalog.ListDatacenters", everywhere, Context())
        self.server.turn()
        self.assertIsNone(self.watch((HEALTH, self.kept), ("Catalog.ListDatacenters", everywhere)))
        self.server.register("n2")
        self.assertEqual(self.called, [])

    def test_expired(self) -> None:
        """What nobody asks for is called back for, and given up later."""
        self.keep()
        self.watch((HEALTH, self.kept))
        self.server.clock.pump([60.0] * 21)
        self.assertEqual((self.called, len(self.server.cache)), (["x"], 1))
        self.server.clock.pump([60.0] * 21)
        self.assertEqual(len(self.server.cache), 0)

    def test_refusal(self) -> None:
        """What is refused from now on is called back for."""
        self.keep()
        self.watch((HEALTH, self.kept))
        self.server.counting.error = InvalidRequest("gone")
        self.server.register("n2")
        self.server.turn()
        self.assertEqual(self.called, ["x"])
