"""Prepared queries by DNS: what is told, for how long, and how long it is kept."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.dns.asking import Asking, question, show
from txconsul.codec.json import decode as decode_json
from txconsul.dns.cache import AnswerCache
from txconsul.dns.message import CLIENT_SUBNET, EDNS, NOERROR, NXDOMAIN, SERVFAIL
from txconsul.records.coordinate import Coordinate, Position
from txconsul.records.prepared_query import PreparedQuery, PreparedQueryRequest, QueryTemplateOptions, ServiceQuery

TEMPLATE = PreparedQueryRequest(
    datacenter="dc1",
    op="create",
    query=PreparedQuery(
        name="t-",
        template=QueryTemplateOptions(type="name_prefix_match"),
        service=ServiceQuery(service="${name.suffix}"),
    ),
)


class QueryTests(SynchronousTestCase):
    """C{NAME.query}."""

    def setUp(self) -> None:
        self.start()

    def start(self, **settings: Any) -> None:
        """Begin with two instances."""
        self.asking = Asking(node_name="n1", **settings)
        self.asking.service("n1", "10.0.0.1", "web", 8001, "passing")
        self.asking.service("n2", "10.0.0.2", "web", 8002, "warning")

    def put(self, name: str, op: str = "create", id: str = "", ttl: str = "", **service: Any) -> str:
        """Write a query; its id."""
        body = json.dumps({"ID": id, "Name": name, "Service": {"Service": "web", **service}, "DNS": {"TTL": ttl}})
        request = PreparedQueryRequest(datacenter="dc1", op=op, query=decode_json(PreparedQuery, body.encode()))
        written: str = self.successResultOf(self.asking.served.call("PreparedQuery.Apply", request))
        return written

    def test_names(self) -> None:
        """By name or id, with dots, with a datacenter, as RFC 2782 has it; whatever the case."""
        id = self.put("all")
        self.put("with.dots", OnlyPassing=True)
        for name in ("all", "ALL", id):
            self.assertEqual(len(self.asking.answers(f"{name}.query.consul")), 2)
        (answer,) = self.asking.answers("With.Dots.query.dc1.consul")
        self.assertEqual(answer, "With.Dots.query.dc1.consul. 0 A 10.0.0.1")
        self.assertEqual(len(self.asking.answers("_all._tcp.query.consul", "SRV")), 2)
        self.assertEqual(len(self.asking.answers("_with.dots._any.query.consul", "SRV")), 1)
        for name in ("none.query.consul", "all.query.dc9.consul", "all.query.dc1.dc.consul", "_all.query.consul"):
            reply = self.asking.ask(name)
            self.assertEqual((reply.rcode, len(reply.authority)), (NXDOMAIN, 1), name)

    def test_types(self) -> None:
        """A type that the addresses do not have is answered with nothing, but not with an error."""
        self.put("all")
        reply = self.asking.ask("all.query.consul", "AAAA")
        self.assertEqual((reply.rcode, reply.answer, len(reply.authority)), (NOERROR, [], 1))
        places = self.asking.answers("all.query.consul", "SRV")
        self.assertEqual(places[0], "all.query.consul. 0 SRV 1 1 8001 n1.node.dc1.consul.")

    def test_ttl(self) -> None:
        """As the query says, or else as the agent says of the service that it looked for."""
        self.start(service_ttl={"web": 40})
        self.put("said", ttl="90s", OnlyPassing=True)
        self.put("unsaid", OnlyPassing=True)
        self.put("half", ttl="1500ms", OnlyPassing=True)
        told = [self.asking.ask(f"{name}.query.consul").answer[0].ttl for name in ("said", "unsaid", "half")]
        self.assertEqual(told, [90, 40, 1])

    def test_itsOwnHealth(self) -> None:
        """The query says what is healthy, whatever C{only_passing} says of services."""
        self.start(only_passing=True)
        self.put("all")
        self.assertEqual(len(self.asking.answers("all.query.consul")), 2)
        self.assertEqual(len(self.asking.answers("web.service.consul")), 1)

    def test_keptUntilItChanges(self) -> None:
        """An answer is kept, and given up by a change of the query, of its service, or of another query's name."""
        id = self.put("all")
        self.assertEqual(len(self.asking.answers("all.query.consul")), 2)
        self.assertEqual(len(self.asking.server.udp_answers), 1)
        self.asking.service("n3", "10.0.0.3", "web")
        self.assertEqual(len(self.asking.server.udp_answers), 0)
        self.assertEqual(len(self.asking.answers("all.query.consul")), 3)
        self.put("all", "update", id, OnlyPassing=True)
        self.assertEqual(len(self.asking.answers("all.query.consul")), 2)
        self.put("all", "update", id, Tags=["none"])
        self.assertEqual(self.asking.ask("all.query.consul").rcode, NXDOMAIN)

    def test_order(self) -> None:
        """Every order is told in turn, unless the query asks for what is near; then coordinates count."""
        self.put("all")
        firsts = {self.asking.ask("all.query.consul").answer[0].data for _ in range(40)}
        self.assertEqual(len(firsts), 2)
        self.put("near", Near="_agent")
        for _ in range(40):
            self.assertEqual(self.asking.ask("near.query.consul").answer[0].data, (b"\n\0\0\1",))
        self.put("far", Near="n9")
        self.asking.register("n9", "10.0.0.9")
        for node, seconds in (("n9", 0.0), ("n1", 0.5), ("n2", 0.1)):
            place = Coordinate(node=node, coord=Position(vec=(seconds, *[0.0] * 7), height=1e-5))
            self.asking.served.store.coordinates.update(99, [place])
        self.asking.served.store.applied()
        for _ in range(40):
            self.assertEqual(self.asking.ask("far.query.consul").answer[0].data, (b"\n\0\0\2",))

    def test_keptAsFresh(self) -> None:
        """Whatever is written, answers that are kept say what an edge says that keeps none yet."""
        number = st.integers(1, 3)
        status = st.sampled_from(["passing", "warning", "critical"])
        ttl = st.sampled_from(["1s", "2s"])
        command = st.one_of(
            st.tuples(st.just("service"), number, status),
            st.tuples(st.just("away"), number),
            st.tuples(st.just("place"), number, st.sampled_from([0.1, 0.2, 0.3])),
            st.tuples(st.just("query"), st.booleans(), st.sampled_from(["", "n1", "_agent"]), ttl),
            st.tuples(st.just("forget")),
        )

        @settings(max_examples=60, deadline=None)
        @given(st.lists(command, max_size=15))
        def same(commands: list[tuple[Any, ...]]) -> None:
            self.start()
            id = self.put("q")
            self.asking.served.call("PreparedQuery.Apply", TEMPLATE)
            for kind, *arguments in commands:
                if kind == "service":
                    it, said = arguments
                    self.asking.service(f"n{it}", f"10.0.0.{it}", "web", status=said)
                elif kind == "away":
                    self.asking.deregister(f"n{arguments[0]}")
                elif kind == "place":
                    place = Position(vec=(arguments[1], *[0.0] * 7), height=1e-5)
                    update = Coordinate(node=f"n{arguments[0]}", coord=place)
                    self.asking.served.store.coordinates.update(self.asking.served.consensus.last_index, [update])
                    self.asking.served.store.applied()
                elif kind == "query" and id:
                    only_passing, near, said = arguments
                    self.put("q", "update", id, said, OnlyPassing=only_passing, Near=near)
                elif kind == "query":
                    id = self.put("q")
                elif id:
                    self.put("q", "delete", id)
                    id = ""
                for name, record_type in (
                    ("q.query.consul", "A"),
                    ("q.query.consul", "SRV"),
                    ("t-web.query.consul", "A"),
                ):
                    kept = self.asking.ask(name, record_type)
                    self.asking.server.udp_answers, old = AnswerCache(), self.asking.server.udp_answers
                    fresh = self.asking.ask(name, record_type)
                    self.asking.server.udp_answers.clear()
                    self.asking.server.udp_answers = old
                    self.assertEqual(sorted(map(show, kept.answer)), sorted(map(show, fresh.answer)))
                    self.assertEqual(kept.rcode, fresh.rcode)

        same()

    def test_nearWhoAsks(self) -> None:
        """What is near the asker is made anew for each: by the address of the datagram, or the subnet it stands for."""
        self.put("near", Near="_ip")
        packet = question("near.query.consul")
        for number in (1, 2, 1):
            sent: list[bytes] = []
            self.asking.server.answer(packet, True, sent.append, f"10.0.0.{number}")
            first = sent[0].index(b"\0\4\n\0\0") + 5
            self.assertEqual(sent[0][first], number)
        self.assertEqual(len(self.asking.server.udp_answers), 0)
        subnet = (CLIENT_SUBNET, b"\0\1\x20\0\n\0\0\2")
        for _ in range(10):
            reply = self.asking.ask("near.query.consul", size=1232, options=[subnet])
            self.assertEqual(reply.answer[0].data, (b"\n\0\0\2",))

    def test_subnets(self) -> None:
        """The address of a client subnet is filled up with zeros; what is none is nobody's."""
        for data, address in (
            (b"\0\1\x10\0\n\1", "10.1.0.0"),
            (b"\0\2\x20\0\x20\1\r\xb8", "2001:db8::"),
            (b"\0\1\x28\0\n\1\2\3\4", ""),
            (b"\0\x09\x08\0\1", ""),
            (b"", ""),
        ):
            self.assertEqual(EDNS(1232, ((3, b"x"), (CLIENT_SUBNET, data))).subnet(), address)
        self.assertEqual(EDNS(1232).subnet(), "")

    def test_failures(self) -> None:
        """A template that cannot be filled in with this name is a failure of the server."""
        body = {"Name": "n-", "Template": {"Type": "name_prefix_match"}, "Service": {"Service": "${10/(match(0)+1)}"}}
        body["Template"] = {"Type": "name_prefix_match", "Regexp": "n-(.*)"}
        body["Service"] = {"Service": '${name.suffix == "" ? 1 : name.suffix + 1}'}
        query = decode_json(PreparedQuery, json.dumps(body).encode())
        applied = self.asking.served.call("PreparedQuery.Apply", PreparedQueryRequest(op="create", query=query))
        self.failureResultOf(applied)  # both sides are evaluated, and the suffix is empty at first
        body["Service"] = {"Service": '${match(0) != name.full && true ? 1 : 0}${1 / (match(1) == "x" ? 0 : 1)}'}
        query = decode_json(PreparedQuery, json.dumps(body).encode())
        applied = self.asking.served.call("PreparedQuery.Apply", PreparedQueryRequest(op="create", query=query))
        self.successResultOf(applied)
        self.assertEqual(self.asking.ask("n-x.query.consul").rcode, SERVFAIL)
        self.assertEqual(self.asking.ask("n-y.query.consul").rcode, NXDOMAIN)
        self.assertEqual(len(self.asking.server.udp_answers), 1)
