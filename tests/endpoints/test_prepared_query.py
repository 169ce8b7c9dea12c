"""Prepared queries at the door: what is refused, what is found, in which order, and where else."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.endpoints.serving import Served
from txconsul.endpoints.prepared_query import QueryNotFound
from txconsul.endpoints.query_execution import failover_targets
from txconsul.endpoints.registry import Answer
from txconsul.endpoints.selection import Selections, select
from txconsul.errors import InvalidRequest, NoPathToDatacenter
from txconsul.records.catalog import CheckServiceNode, Node, RegisterRequest
from txconsul.records.coordinate import Coordinate, Position
from txconsul.records.health import HealthCheck
from txconsul.records.prepared_query import (
    PreparedQuery,
    PreparedQueryExecuteRemoteRequest,
    PreparedQueryExecuteRequest,
    PreparedQueryExecuteResponse,
    PreparedQueryRequest,
    PreparedQuerySpecificRequest,
    QueryDNSOptions,
    QueryFailoverOptions,
    QueryFailoverTarget,
    QueryTemplateOptions,
    ServiceQuery,
)
from txconsul.records.queries import DCSpecificRequest
from txconsul.records.query import QueryOptions, QuerySource
from txconsul.records.service import ConnectProxyConfig, NodeService

WEB = ServiceQuery(service="web")


class Querying(Served):
    """A door, with short ways to write queries and to run them."""

    def put(self, op: str = "create", **fields: Any) -> Any:
        """Write a query; what the writer is told, or the error."""
        fields.setdefault("service", WEB)
        request = PreparedQueryRequest(datacenter="dc1", op=op, query=PreparedQuery(**fields))
        return self.result("PreparedQuery.Apply", request)

    def result(self, method: str, request: Any) -> Any:
        """An answer that is there by now; errors of a Deferred are raised."""
        answer = self.call(method, request)
        if isinstance(answer, Deferred):
            found: list[Any] = []
            answer.addBoth(found.append)
            answer = found[0]
        if hasattr(answer, "raiseException"):
            answer.raiseException()
        return answer

    def run(self, name: str, **fields: Any) -> PreparedQueryExecuteResponse:
        """Run a query."""
        fields.setdefault("agent", QuerySource(datacenter="dc1", node="n1"))
        response = self.answer(name, **fields).value
        assert isinstance(response, PreparedQueryExecuteResponse)
        return response

    def answer(self, name: str, **fields: Any) -> Answer:
        """What the door tells of a query that is run."""
        request = PreparedQueryExecuteRequest(datacenter="dc1", query_id_or_name=name, **fields)
        answer = self.result("PreparedQuery.Execute", request)
        assert isinstance(answer, Answer)
        return answer

    def instance(self, number: int, status: str = "passing", **fields: Any) -> None:
        """Register an instance of web on a node of its own."""
        service = NodeService(id=f"web-{number}", service="web", port=8000 + number, **fields)
        check = HealthCheck(check_id="up", status=status, service_id=f"web-{number}")
        request = RegisterRequest(
            node=f"n{number}",
            address=f"10.0.0.{number}",
            node_meta={"zone": "north" if number % 2 else "south"},
            service=service,
            checks=(check,),
        )
        self.call("Catalog.Register", request)


def nodes(response: PreparedQueryExecuteResponse) -> list[str]:
    """The nodes of an answer, in its order."""
    return [one.node.node for one in response.nodes or () if one.node is not None]


class WritingTests(SynchronousTestCase):
    """C{PreparedQuery.Apply}."""

    def setUp(self) -> None:
        self.served = Querying()

    def refused(self, words: str, **fields: Any) -> None:
        """A write is refused with these words."""
        before = self.served.consensus.last_index
        with self.assertRaises(InvalidRequest) as caught:
            self.served.put(**fields)
        self.assertEqual(str(caught.exception), words)
        if not words.startswith("raft"):
            self.assertEqual(self.served.consensus.last_index, before)

    def test_contradictions(self) -> None:
        """A query that contradicts itself is refused, in Consul's words, before it is logged."""
        failover = QueryFailoverOptions
        targets = (QueryFailoverTarget(peer="p"),)
        for words, fields in (
            ("Must be bound to a session", {}),
            ("Must provide a Service name to query", {"name": "q", "service": ServiceQuery()}),
            (
                "Bad NearestN '-1', must be >= 0",
                {"service": ServiceQuery(service="s", failover=failover(nearest_n=-1))},
            ),
            (
                "Targets cannot be populated with NearestN or Datacenters",
                {"service": ServiceQuery(service="s", failover=failover(datacenters=("dc2",), targets=targets))},
            ),
            (
                "Couldn't load metadata pair ('a b', 'x'): Key contains invalid characters",
                {"service": ServiceQuery(service="s", node_meta={"a b": "x"})},
            ),
            (
                "Node metadata cannot contain more than 64 key/value pairs",
                {"service": ServiceQuery(service="s", node_meta={f"k{n}": "" for n in range(65)})},
            ),
            (
                "sameness-groups are an enterprise-only feature",
                {"service": ServiceQuery(service="s", sameness_group="g")},
            ),
            ("Bad DNS TTL 'soon': time: invalid duration \"soon\"", {"dns": QueryDNSOptions(ttl="soon")}),
            ("DNS TTL '-1000000000', must be >=0", {"dns": QueryDNSOptions(ttl="-1s")}),
            (
                "Bad Token '<hidden>', it looks like a query definition with a redacted token was submitted",
                {"token": "<hidden>"},
            ),
        ):
            self.refused(f"Invalid prepared query: {words}", **({"name": "q"} if fields else {}) | fields)  # type: ignore[arg-type]

    def test_reservedMetadata(self) -> None:
        """Nodes may be found by metadata that only Consul itself may set."""
        self.served.put(name="q", service=ServiceQuery(service="s", node_meta={"consul-version": "1.21.4"}))

    def test_ids(self) -> None:
        """The leader gives ids, also to the one who creates; changes and deletions need one that exists."""
        self.refused("ID must be empty when creating a new prepared query", id="x", name="q")
        first = self.served.put(name="q")
        self.assertEqual(first, "00000000-0000-0000-0000-000000000001")
        self.assertEqual(self.served.put(op="update", id=first, name="other"), first)
        self.assertEqual(self.served.put(op="delete", id=first), first)
        self.refused(f"Cannot modify non-existent prepared query: '{first}'", op="delete", id=first)
        self.refused(
            "Prepared Query lookup failed: failed prepared query lookup: index error: UUID must be 36 characters",
            op="update",
            id="x",
        )
        second = self.served.put(name="q")
        self.refused("Unknown prepared query operation: burn", op="burn", id=second)

    def test_refusedByTheState(self) -> None:
        """What only the state can judge is refused there."""
        self.served.put(name="q")
        self.refused("raft apply failed: name 'q' aliases an existing query name", name="q")
        bad = QueryTemplateOptions(type="suffix")
        self.refused("raft apply failed: failed compiling template: Bad Template.Type 'suffix'", name="t", template=bad)


class ReadingTests(SynchronousTestCase):
    """C{PreparedQuery.Get}, C{List} and C{Explain}."""

    def setUp(self) -> None:
        self.served = Querying()
        self.query_id = self.served.put(name="q")

    def get(self, id: str, index: int = 0) -> Any:
        options = QueryOptions(min_query_index=index)
        return self.served.call(
            "PreparedQuery.Get", PreparedQuerySpecificRequest(datacenter="dc1", query_id=id, options=options)
        )

    def test_blocking(self) -> None:
        """Who waits for one query is woken by it, and by its end; not by another one."""
        waiting = self.get(self.query_id, 1)
        self.served.put(name="other")
        self.assertNoResult(waiting)
        self.served.put(op="update", id=self.query_id, name="new")
        answer = self.successResultOf(waiting)
        self.assertEqual((answer.index, [one.name for one in answer.value]), (3, ["new"]))
        waiting = self.get(self.query_id, 3)
        self.served.put(op="delete", id=self.query_id)
        self.failureResultOf(waiting, QueryNotFound)
        with self.assertRaises(QueryNotFound):
            self.get(self.query_id)

    def test_list(self) -> None:
        """All queries, and a wait for any change of them."""
        request = DCSpecificRequest(datacenter="dc1", options=QueryOptions(min_query_index=1))
        waiting = self.served.call("PreparedQuery.List", request)
        self.served.put(name="other")
        self.assertEqual([one.name for one in self.successResultOf(waiting).value], ["q", "other"])

    def test_noLostWaking(self) -> None:
        """Whatever is written, who waits is woken by what he waits for, and by nothing else."""
        ids = [f"00000000-0000-0000-0000-{number:012d}" for number in (1, 2)]
        command = st.tuples(st.sampled_from(["create", "update", "delete"]), st.sampled_from([0, 1]))

        def waits(served: Querying, index: int, id: str = "") -> Any:
            """A wait for one query, or for all."""
            options = QueryOptions(min_query_index=index)
            if not id:
                return served.call("PreparedQuery.List", DCSpecificRequest(datacenter="dc1", options=options))
            request = PreparedQuerySpecificRequest(datacenter="dc1", query_id=id, options=options)
            try:
                return served.call("PreparedQuery.Get", request)
            except QueryNotFound:
                return None

        @settings(max_examples=80, deadline=None)
        @given(st.lists(command, min_size=1, max_size=12))
        def same(commands: list[tuple[str, int]]) -> None:
            served = Querying()
            served.instance(1)
            held: set[str] = set()
            for number, (op, which) in enumerate(commands):
                index = served.store.prepared_queries.index
                every, one = waits(served, index), {id: waits(served, index, id) for id in held}
                id = ids[which]
                touched = set()
                if op == "create" and len(held) < 2:
                    free = next(one for one in ids if one not in held)
                    served.leading.new_id = lambda free=free: free
                    served.put(name=f"n{number}")
                    touched = {free}
                    held.add(free)
                elif op == "update" and id in held:
                    served.put(op="update", id=id, name=f"n{number}")
                    touched = {id}
                elif op == "delete" and id in held:
                    served.put(op="delete", id=id)
                    touched = {id}
                    held.discard(id)
                self.assertEqual(every.called, bool(touched))
                self.assertEqual({id for id, waiting in one.items() if waiting.called}, touched & set(one))
                for waiting in (every, *one.values()):
                    if waiting.called:
                        waiting.addErrback(lambda failure: failure.trap(QueryNotFound))
                    else:
                        waiting.addErrback(lambda failure: None)
                        waiting.cancel()
                self.assertGreaterEqual(served.store.prepared_queries.index, index)

        same()

    def test_explain(self) -> None:
        """A template is told as it would be run, for the segment of the agent that was asked."""
        service = ServiceQuery(service="${name.suffix}", tags=("${agent.segment}",))
        self.served.put(name="t-", template=QueryTemplateOptions(type="name_prefix_match"), service=service)
        request = PreparedQueryExecuteRequest(
            datacenter="dc1", query_id_or_name="t-web", agent=QuerySource(segment="alpha")
        )
        told = self.served.result("PreparedQuery.Explain", request)
        found = told.value.query.service
        self.assertEqual((found.service, found.tags, told.index, told.known_leader), ("web", ("alpha",), 1, True))
        with self.assertRaises(QueryNotFound):
            self.served.result("PreparedQuery.Explain", PreparedQueryExecuteRequest(query_id_or_name="none"))


class ExecutionTests(SynchronousTestCase):
    """C{PreparedQuery.Execute}."""

    def setUp(self) -> None:
        self.served = Querying()
        for number, status in ((1, "passing"), (2, "warning"), (3, "critical"), (4, "passing")):
            self.served.instance(number, status, tags=(f"T{number}", "all"), meta={"build": str(number % 2)})

    def found(self, **fields: Any) -> list[str]:
        """The nodes that a query finds, in the order of their names."""
        self.served.put(name=f"q{self.served.consensus.last_index}", service=ServiceQuery(service="web", **fields))
        return sorted(nodes(self.served.run(f"q{self.served.consensus.last_index - 1}")))

    def test_health(self) -> None:
        """None that is critical, only what passes, or all; checks can be ignored."""
        self.assertEqual(self.found(), ["n1", "n2", "n4"])
        self.assertEqual(self.found(only_passing=True), ["n1", "n4"])
        self.assertEqual(self.found(include_all=True, only_passing=True), ["n1", "n2", "n3", "n4"])
        self.assertEqual(self.found(ignore_check_ids=("up",)), ["n1", "n2", "n3", "n4"])
        self.assertEqual(self.found(ignore_check_ids=("UP",)), ["n1", "n2", "n4"])

    def test_tags(self) -> None:
        """All wanted tags, and none of the others, whatever their case."""
        self.assertEqual(self.found(tags=("ALL", "!t1")), ["n2", "n4"])
        self.assertEqual(self.found(tags=("t1", "t2")), [])
        self.assertEqual(self.found(tags=("!none",)), ["n1", "n2", "n4"])
        self.assertEqual(self.found(tags=("",)), [])

    def test_metadata(self) -> None:
        """All pairs must be there, in their very words."""
        self.assertEqual(self.found(node_meta={"zone": "south"}), ["n2", "n4"])
        self.assertEqual(self.found(node_meta={"zone": "South"}), [])
        self.assertEqual(self.found(service_meta={"build": "1"}), ["n1"])
        self.assertEqual(self.found(service_meta={"build": "1", "x": ""}), [])

    def test_asInPlainWords(self) -> None:
        """Whatever instances there are and whatever is wanted, a search in plain words finds the same."""
        words = st.sampled_from(["a", "A", "b", ""])
        metadata = st.none() | st.dictionaries(st.sampled_from("kl"), words, max_size=2)
        tags = st.none() | st.lists(words, max_size=2).map(tuple)
        statuses = st.sampled_from(["passing", "warning", "critical", "unheard-of"])
        check = st.builds(HealthCheck, check_id=st.sampled_from(["x", "y"]), status=statuses)
        instance = st.builds(
            CheckServiceNode,
            node=st.builds(Node, meta=metadata),
            service=st.builds(NodeService, tags=tags, meta=metadata),
            checks=st.none() | st.lists(check, max_size=2).map(tuple),
        )
        wanted = st.builds(
            ServiceQuery,
            include_all=st.booleans(),
            only_passing=st.booleans(),
            ignore_check_ids=st.sampled_from([None, ("x",)]),
            node_meta=metadata,
            service_meta=metadata,
            tags=st.none() | st.lists(st.builds("".join, st.tuples(st.sampled_from(["", "!"]), words)), max_size=2),
        )

        def is_wanted(query: ServiceQuery, one: CheckServiceNode) -> bool:
            node, service = one.node, one.service
            assert node is not None and service is not None
            told = [check.status for check in one.checks or () if check.check_id not in (query.ignore_check_ids or ())]
            if not query.include_all and query.only_passing and any(status != "passing" for status in told):
                return False
            if not query.include_all and "critical" in told:
                return False
            own = [tag.lower() for tag in service.tags or ()]
            for tag in query.tags or ():
                if tag.startswith("!"):
                    if tag[1:].lower() in own:
                        return False
                elif tag.lower() not in own:
                    return False
            for pairs, has in ((query.node_meta, node.meta), (query.service_meta, service.meta)):
                for key, value in (pairs or {}).items():
                    if key not in (has or {}) or (has or {})[key] != value:
                        return False
            return True

        @settings(max_examples=300, deadline=None)
        @given(wanted, st.lists(instance, max_size=5))
        def same(query: ServiceQuery, instances: list[CheckServiceNode]) -> None:
            self.assertEqual(select(query, instances), [one for one in instances if is_wanted(query, one)])

        same()

    def test_keptSelections(self) -> None:
        """What was selected is selected again only for another query or another view; the oldest go."""
        selections = Selections(2)
        query, view = ServiceQuery(tags=("a",)), [CheckServiceNode(service=NodeService(tags=("a",)))]
        first = selections.select(query, view)
        first.clear()
        self.assertEqual(selections.select(query, view), view)
        view.clear()  # which nobody does: it shows that nothing is selected anew
        self.assertEqual(len(selections.select(query, view)), 1)
        self.assertEqual(selections.select(query, []), [])
        for _ in range(3):
            selections.select(ServiceQuery(tags=("b",)), view)
        self.assertEqual(len(selections), 2)

    def test_measured(self) -> None:
        """How long queries take is told under Consul's name, whether they are answered at once or not."""
        self.served.put(name="q")
        self.served.run("q")
        self.served.put(
            name="far", service=ServiceQuery(service="none", failover=QueryFailoverOptions(datacenters=("dc2",)))
        )
        self.served.site.other_datacenters = lambda: ["dc2"]
        self.served.run("far")
        timer = self.served.door.counts.timers["PreparedQuery.Execute"]
        self.assertEqual(timer.count, 2)

    def test_withoutMetadata(self) -> None:
        """What has no metadata or tags at all has none of what is wanted."""
        bare = [CheckServiceNode(node=Node(node="n"), service=NodeService(service="web"))]
        self.assertEqual(select(ServiceQuery(node_meta={"a": ""}), bare), [])
        self.assertEqual(select(ServiceQuery(service_meta={"a": ""}), bare), [])
        self.assertEqual(select(ServiceQuery(tags=("!a",)), bare), bare)

    def test_response(self) -> None:
        """The answer says where it came from and how DNS is to tell it."""
        self.served.put(name="q", dns=QueryDNSOptions(ttl="10s"))
        response = self.served.run("q", limit=1)
        self.assertEqual(len(response.nodes or ()), 1)
        self.assertEqual((response.service, response.dns.ttl, response.datacenter), ("web", "10s", "dc1"))
        self.assertEqual(response.failovers, 0)
        answer = self.served.answer("q")
        self.assertEqual((answer.index, answer.known_leader), (1, True))
        self.assertEqual(len(self.served.run("q", limit=-1).nodes or ()), 3)
        with self.assertRaises(QueryNotFound):
            self.served.run("none")

    def test_shuffled(self) -> None:
        """Each instance comes first about as often as the others."""
        self.served.put(name="q")
        first = Counter(nodes(self.served.run("q"))[0] for _ in range(300))
        self.assertEqual(sorted(first), ["n1", "n2", "n4"])
        self.assertGreater(min(first.values()), 60)

    def test_connect(self) -> None:
        """What makes the service reachable in the mesh, as the query or the asker says."""
        destination = ConnectProxyConfig(destination_service_name="web")
        proxy = NodeService(id="p", service="web-proxy", port=1, kind="connect-proxy", proxy=destination)
        self.served.call("Catalog.Register", RegisterRequest(node="n9", address="10.0.0.9", service=proxy))
        self.served.put(name="q")
        self.assertEqual(nodes(self.served.run("q", connect=True)), ["n9"])
        self.assertEqual(self.found(connect=True), ["n9"])

    def test_consistent(self) -> None:
        """With C{consistent}, leadership is verified first; stale reads are answered by who does not lead."""
        self.served.put(name="q")
        self.served.consensus.unverified = verified = Deferred()
        request = PreparedQueryExecuteRequest(
            datacenter="dc1", query_id_or_name="q", options=QueryOptions(require_consistent=True)
        )
        waiting = self.served.call("PreparedQuery.Execute", request)
        self.assertNoResult(waiting)
        verified.callback(None)
        self.assertEqual(len(self.successResultOf(waiting).value.nodes), 3)
        self.served.site.me = self.served.site.me._replace(is_leader=False)
        self.served.consensus.contact = 2.5
        self.assertIsInstance(self.served.call("PreparedQuery.Execute", request), Deferred)
        answer = self.served.answer("q", options=QueryOptions(allow_stale=True))
        self.assertEqual((answer.last_contact, answer.known_leader), (2.5, True))

    def test_otherDatacenter(self) -> None:
        """A datacenter to which there is no way is said to be one."""
        with self.assertRaises(NoPathToDatacenter):
            self.served.call("PreparedQuery.Execute", PreparedQueryExecuteRequest(datacenter="dc9"))


class DistanceTests(SynchronousTestCase):
    """Sorted by distance."""

    def setUp(self) -> None:
        self.served = Querying()
        for number, seconds in ((1, 0.03), (2, 0.01), (3, 0.002)):
            self.served.instance(number)
            place = Position(vec=(seconds, *[0.0] * 7), error=1.5, height=1e-5)
            self.served.store.coordinates.update(9, [Coordinate(node=f"n{number}", coord=place)])
        self.served.instance(4)  # nobody knows where

    def run_near(self, near: str, **fields: Any) -> list[str]:
        """The nodes that a query finds, in its order."""
        name = f"q{self.served.consensus.last_index}"
        self.served.put(name=name, service=ServiceQuery(service="web", near=near))
        return nodes(self.served.run(name, **fields))

    def test_near(self) -> None:
        """The nearest first, what is nowhere last; the asker's word goes before the query's."""
        self.assertEqual(self.run_near("n3"), ["n3", "n2", "n1", "n4"])
        self.assertEqual(self.run_near("N1"), ["n1", "n2", "n3", "n4"])
        self.assertEqual(self.run_near("n3", source=QuerySource(datacenter="dc1", node="n1"))[0], "n1")
        self.assertEqual(self.run_near("n3", limit=2), ["n3", "n2"])

    def test_itselfFirst(self) -> None:
        """The very node comes first even where nobody knows where it is; not one of another datacenter."""
        for _ in range(5):
            self.assertEqual(self.run_near("n4")[0], "n4")
        firsts = {self.run_near("n4", source=QuerySource(datacenter="dc2"))[0] for _ in range(30)}
        self.assertGreater(len(firsts), 1)

    def test_agent(self) -> None:
        """C{_agent} is the node of the agent that was asked."""
        self.assertEqual(self.run_near("_agent", agent=QuerySource(datacenter="dc1", node="n2"))[0], "n2")

    def test_ip(self) -> None:
        """C{_ip} is the node with the asker's address, if there is one."""
        self.assertEqual(self.run_near("_ip", source=QuerySource(ip="10.0.0.2"))[0], "n2")
        for ip in ("10.9.9.9", ""):
            firsts = {self.run_near("_ip", source=QuerySource(ip=ip))[0] for _ in range(30)}
            self.assertGreater(len(firsts), 1)


class FailoverTests(SynchronousTestCase):
    """Where else is looked, and what the answer says of it."""

    def targets(self, others: str, **fields: Any) -> str:
        """The places that are asked, in their order; peers with an at sign."""
        service = ServiceQuery(failover=QueryFailoverOptions(**fields))
        found = failover_targets(service, others.split(), "dc1")
        return " ".join(f"@{one.peer}" if one.peer else one.datacenter for one in found)

    def test_targets(self) -> None:
        """The nearest first, then those that are named, each once; what is not known is left out."""
        near = "dc3 dc2 dc4"
        self.assertEqual(self.targets(near, nearest_n=2), "dc3 dc2")
        self.assertEqual(self.targets(near, nearest_n=2, datacenters=("dc2", "dc4", "dc9")), "dc3 dc2 dc4")
        self.assertEqual(self.targets(near, datacenters=("dc4", "dc1", "dc3")), "dc4 dc3")
        self.assertEqual(self.targets(near, datacenters=("dc1",), skip_local_datacenter=True), "dc1")
        targets = (QueryFailoverTarget(peer="east"), QueryFailoverTarget(datacenter="dc2"), QueryFailoverTarget())
        self.assertEqual(self.targets(near, targets=targets), "@east dc2")
        self.assertEqual(self.targets("", nearest_n=3, datacenters=("dc7",)), "")

    def test_noOthers(self) -> None:
        """Where no other datacenter is known, nothing is found, and nobody was asked."""
        served = Querying()
        served.put(name="q", service=ServiceQuery(service="web", failover=QueryFailoverOptions(nearest_n=3)))
        response = served.run("q")
        self.assertEqual((response.nodes, response.failovers, response.datacenter), ((), 0, "dc1"))

    def test_inTurn(self) -> None:
        """Others are asked until one has something; who cannot be asked counts, too."""
        served, asked = Querying(), []
        served.site.other_datacenters = lambda: ["dc2", "dc3", "dc4"]
        found = Answer(9, PreparedQueryExecuteResponse(datacenter="dc3", nodes=(CheckServiceNode(),)))

        def ask(method: str, request: PreparedQueryExecuteRemoteRequest, context: Any) -> Any:
            asked.append((method, request.datacenter, request.limit, request.query.name, context.token))
            if request.datacenter == "dc2":
                raise NoPathToDatacenter()
            return found

        served.site.ask = ask
        failover = QueryFailoverOptions(nearest_n=3)
        served.put(name="q", service=ServiceQuery(service="web", failover=failover), token="secret")
        response = served.run("q", limit=4)
        self.assertEqual((response.datacenter, response.failovers, response.nodes), ("dc3", 2, found.value.nodes))
        method = "PreparedQuery.ExecuteRemote"
        self.assertEqual(asked, [(method, "dc2", 4, "q", "secret"), (method, "dc3", 4, "q", "secret")])

    def test_allInVain(self) -> None:
        """If nobody has anything, the answer is what was known here, with how many were asked."""
        served = Querying()
        served.site.other_datacenters = lambda: ["dc2", "dc3"]
        served.put(name="q", service=ServiceQuery(service="web", failover=QueryFailoverOptions(nearest_n=5)))
        response = served.run("q")
        self.assertEqual((response.failovers, response.nodes, response.service), (2, (), "web"))

    def test_peer(self) -> None:
        """What was imported from a peer is looked for here; nothing is."""
        served = Querying()
        served.instance(1)
        targets = (QueryFailoverTarget(peer="east"),)
        failover = QueryFailoverOptions(targets=targets, skip_local_datacenter=True)
        served.put(name="q", service=ServiceQuery(service="web", failover=failover))
        response = served.run("q")
        self.assertEqual((response.peer_name, response.datacenter, response.failovers), ("east", "", 1))

    def test_notHereFirst(self) -> None:
        """With C{SkipLocalDatacenter}, this datacenter is looked in only where it is named."""
        served = Querying()
        served.instance(1)
        skip = QueryFailoverOptions(skip_local_datacenter=True)
        served.put(name="never", service=ServiceQuery(service="web", failover=skip))
        answer = served.answer("never")
        self.assertEqual((answer.value.nodes, answer.index, answer.known_leader), (None, 0, False))
        named = QueryFailoverOptions(skip_local_datacenter=True, datacenters=("dc1",))
        served.put(name="named", service=ServiceQuery(service="web", failover=named))
        response = served.run("named")
        self.assertEqual((nodes(response), response.failovers), (["n1"], 1))

    def test_forOthers(self) -> None:
        """A query of another datacenter, which is told whole, is run here alone, up to its limit."""
        served = Querying()
        for number in (1, 2, 3):
            served.instance(number)
        query = PreparedQuery(name="theirs", service=ServiceQuery(service="web", tags=("!x",)))
        request = PreparedQueryExecuteRemoteRequest(datacenter="dc1", query=query, limit=2)
        response = served.result("PreparedQuery.ExecuteRemote", request).value
        self.assertEqual((len(response.nodes), response.datacenter), (2, "dc1"))
