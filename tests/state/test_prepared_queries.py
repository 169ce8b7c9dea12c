"""Prepared queries: what is kept, how it is found, and what a template makes of a name."""

from __future__ import annotations

import contextlib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.records.strategies import records
from tests.state.driving import Driven
from txconsul.errors import InvalidRequest
from txconsul.records.command import Command
from txconsul.records.prepared_query import (
    PreparedQuery,
    PreparedQueryRequest,
    QueryFailoverOptions,
    QueryFailoverTarget,
    QueryTemplateOptions,
    ServiceQuery,
)
from txconsul.records.txn import TxnRequest
from txconsul.state.prepared_queries import query_key
from txconsul.state.query_template import QueryTemplate
from txconsul.state.watches import prepared_query, table

SESSION = "99999999-aaaa-4aaa-8aaa-000000000001"
TEMPLATE = QueryTemplateOptions(type="name_prefix_match")


def id_of(number: int) -> str:
    """A query's id."""
    return f"{number:08x}-aaaa-4aaa-8aaa-000000000000"


class QueryTests(SynchronousTestCase):
    """Queries in the state."""

    def setUp(self) -> None:
        self.it = Driven()
        self.queries = self.it.store.prepared_queries

    def put(self, number: int, name: str = "", *, op: str = "create", **fields: Any) -> Any:
        """Create or replace a query; the command's result."""
        fields.setdefault("service", ServiceQuery(service="web"))
        query = PreparedQuery(id=id_of(number), name=name, **fields)
        return self.it.apply(Command.PREPARED_QUERY, PreparedQueryRequest(op=op, query=query))

    def delete(self, number: int) -> Any:
        """Forget a query; the command's result."""
        query = PreparedQuery(id=id_of(number))
        return self.it.apply(Command.PREPARED_QUERY, PreparedQueryRequest(op="delete", query=query))

    def found(self, name: str) -> str:
        """The name of the query that a name means."""
        query = self.queries.resolve(name, "")
        return "nothing" if query is None else query.name

    def assertRefused(self, result: Any, words: str) -> None:
        """A command was refused with these words, and changed nothing."""
        self.assertIsInstance(result, InvalidRequest)
        self.assertEqual(str(result), words)

    def test_lives(self) -> None:
        """A query is created, changed and deleted; its indexes say when."""
        self.assertIsNone(self.put(1, "one"))
        self.put(2, "two")
        self.assertIsNone(self.put(1, "uno", op="update"))
        index, query = self.queries.get(id_of(1))
        assert query is not None
        self.assertEqual((index, query.create_index, query.modify_index), (3, 1, 3))
        self.assertEqual((self.found("one"), self.found("UNO")), ("nothing", "uno"))
        self.assertEqual([one.name for one in self.queries.list()[1]], ["uno", "two"])
        self.assertIsNone(self.delete(1))
        self.assertEqual((self.queries.index, self.found("uno"), self.found(id_of(1))), (4, "nothing", "nothing"))
        self.delete(1)
        self.assertEqual(self.queries.index, 4)

    def test_ids(self) -> None:
        """An id is 36 characters of hexadecimal digits with four dashes, whatever their case and places."""
        self.put(10, "ten")
        self.assertEqual(self.found(id_of(10).upper()), "ten")
        self.assertIsNotNone(self.queries.get(id_of(10).replace("-", "") + "----")[1])
        for id, words in (
            ("not-a-uuid", "UUID must be 36 characters"),
            ("", "UUID must be 36 characters"),
            ("-" * 36, 'UUID should have maximum of 4 "-"; got 36'),
            ("a" * 35 + "-", "Input (without hyphens) must be even length"),
            ("z" * 36, "Invalid UUID: encoding/hex: invalid byte: U+007A 'z'"),
            ("é" * 18, "Invalid UUID: encoding/hex: invalid byte: U+00C3 'Ã'"),
        ):
            with self.assertRaises(InvalidRequest) as caught:
                query_key(id)
            self.assertEqual(str(caught.exception), f"failed prepared query lookup: index error: {words}")
        broken = PreparedQueryRequest(op="delete", query=PreparedQuery(id="x"))
        self.assertIsInstance(self.it.apply(Command.PREPARED_QUERY, broken), InvalidRequest)

    def test_namesBelongToOne(self) -> None:
        """No two queries share a name, and no name is another's id."""
        self.put(1, "taken")
        self.assertRefused(self.put(2, "Taken"), "name 'Taken' aliases an existing query name")
        self.assertRefused(self.put(2, id_of(1)), f"name '{id_of(1)}' aliases an existing query ID")
        self.assertIsNone(self.put(1, "taken", op="update"))
        self.assertIsNone(self.put(2, "", template=TEMPLATE))
        refused = self.put(3, "", template=TEMPLATE)
        self.assertRefused(refused, "a query template with an empty name already exists")
        self.assertIsNone(self.put(2, "", template=TEMPLATE, op="update"))
        self.assertEqual(len(self.queries.list()[1]), 2)

    def test_refusals(self) -> None:
        """What the state refuses, in Consul's words."""
        request = PreparedQueryRequest(op="burn", query=PreparedQuery(id=id_of(1)))
        self.assertRefused(self.it.apply(Command.PREPARED_QUERY, request), "Invalid PreparedQuery operation 'burn'")
        request = PreparedQueryRequest(op="create")
        self.assertRefused(self.it.apply(Command.PREPARED_QUERY, request), "Missing Query ID")
        self.assertRefused(self.put(1, "a", session="nobody"), 'invalid session "nobody"')
        bad = QueryTemplateOptions(type="suffix")
        self.assertRefused(self.put(1, "a", template=bad), "failed compiling template: Bad Template.Type 'suffix'")
        with self.assertRaises(InvalidRequest) as caught:
            self.queries.resolve("", "")
        self.assertEqual(str(caught.exception), "Missing Query ID")
        self.put(1, "a", template=TEMPLATE)
        with self.assertRaises(InvalidRequest) as caught:
            self.queries.resolve(id_of(1), "")
        self.assertEqual(str(caught.exception), "prepared query templates can only be resolved up by name, not by ID")

    def test_endsWithItsSession(self) -> None:
        """A session that ends, by whatever means, takes its queries along, and no others."""
        self.it.register("n1")
        self.it.check("n1", "alive")
        self.it.session(SESSION, node_checks=("alive",))
        self.put(1, "held", session=SESSION.upper())
        self.put(2, "", session=SESSION)
        self.put(3, "free")
        self.it.check("n1", "alive", "critical")
        self.assertEqual([one.name for one in self.queries.list()[1]], ["free"])
        self.assertEqual(self.queries.index, self.it.index)

    def test_watched(self) -> None:
        """Whoever waits for one query is woken by it alone; whoever waits for all, by any."""
        self.put(1, "one")
        one = self.it.watch(prepared_query(query_key(id_of(1))))
        every = self.it.watch(table("prepared-queries"))
        self.put(2, "two")
        self.assertEqual((one, every), ([], [2]))
        self.delete(1)
        self.assertEqual(one, [3])

    def test_undoneWithTheRest(self) -> None:
        """A refused command leaves the names as they were."""
        self.put(1, "one")
        before = self.queries.list()
        self.put(1, "two", op="update", session="nobody")
        self.it.apply(Command.TXN, TxnRequest(ops=()))
        self.assertEqual((self.queries.list(), self.found("one"), self.found("two")), (before, "one", "nothing"))

    def test_exactBeforePrefix(self) -> None:
        """An id goes before a name, a whole name before the beginning of one, a longer beginning before a shorter."""
        self.put(1, "", template=TEMPLATE)
        self.put(2, "geo-", template=TEMPLATE)
        self.put(3, "geo-db-", template=TEMPLATE)
        self.put(4, "geo-db-main")
        names = ("geo-db-main", "GEO-db-side", "geo-web", "geo", "geo-", id_of(4), id_of(9))
        expected = ["geo-db-main", "geo-db-", "geo-", "", "geo-", "geo-db-main", ""]
        self.assertEqual([self.found(name) for name in names], expected)
        self.delete(1)
        self.assertEqual(self.found("geo"), "nothing")

    def test_longestPrefix(self) -> None:
        """Whatever the templates, the one is found that a search through all finds."""
        names = st.text("abA", max_size=5)

        @settings(max_examples=100, deadline=None)
        @given(st.lists(st.tuples(names, st.booleans(), st.booleans()), max_size=10), st.lists(names, max_size=5))
        def same(steps: list[tuple[str, bool, bool]], asked: list[str]) -> None:
            self.setUp()
            naive: dict[str, bool] = {}
            for number, (name, is_template, is_deletion) in enumerate(steps):
                if is_deletion and naive:
                    gone = sorted(naive)[number % len(naive)]
                    keys = [one.id for one in self.queries.list()[1] if one.name.lower() == gone]
                    query = PreparedQuery(id=keys[0])
                    self.it.apply(Command.PREPARED_QUERY, PreparedQueryRequest(op="delete", query=query))
                    del naive[gone]
                elif (is_template or name) and name.lower() not in naive:
                    self.assertIsNone(self.put(number, name, template=TEMPLATE if is_template else TEMPLATE_NONE))
                    naive[name.lower()] = is_template
            for name in filter(None, asked):
                low = name.lower()
                fits = [one for one, is_template in naive.items() if is_template and low.startswith(one)]
                expected = low if low in naive else max(fits, key=len, default="nothing")
                self.assertEqual(self.found(name).lower(), expected)

        same()

    def test_asInPlainWords(self) -> None:
        """Whatever happens to queries and sessions, a list of queries that is searched in plain words says the same."""
        numbers = st.integers(0, 3)
        names = st.sampled_from(["", "a", "B", "ab", id_of(2)])
        sessions = st.sampled_from(["", SESSIONS[0], SESSIONS[1].upper()])
        command = st.one_of(
            st.tuples(st.just("set"), numbers, names, sessions, st.booleans()),
            st.tuples(st.just("set"), numbers, names, sessions, st.booleans()),
            st.tuples(st.just("delete"), numbers),
            st.tuples(st.sampled_from(["begin", "end"]), st.integers(0, 1)),
        )

        @settings(max_examples=150, deadline=None)
        @given(st.lists(command, max_size=15))
        def same(commands: list[tuple[Any, ...]]) -> None:
            self.setUp()
            self.it.register("n1")
            plain = Plain()
            for kind, *arguments in commands:
                index = self.queries.index
                taken = plain.do(self.it.index + 1, kind, *arguments)
                if kind == "set":
                    number, name, session, is_template = arguments
                    template = TEMPLATE if is_template else TEMPLATE_NONE
                    result = self.put(number, name, session=session, template=template)
                    self.assertEqual(result is None, taken, result)
                elif kind == "delete":
                    self.delete(arguments[0])
                elif kind == "begin":
                    self.it.session(SESSIONS[arguments[0]], node="n1")
                else:
                    self.it.destroy(SESSIONS[arguments[0]])
                held = [(one.id, one.name, one.create_index, one.modify_index) for one in self.queries.list()[1]]
                self.assertEqual(held, plain.listed())
                self.assertGreaterEqual(self.queries.index, index)
                for asked in ("a", "AB", "abc", "x", id_of(1), id_of(2)):
                    with contextlib.suppress(InvalidRequest):
                        query = self.queries.resolve(asked, "")
                        self.assertEqual(None if query is None else query.id, plain.meant(asked))

        same()


class Plain:
    """Queries in plain words: C{rows} are C{[id, name, session, is_template, created, modified]}."""

    def __init__(self) -> None:
        self.rows: list[list[Any]] = []
        self.sessions: set[str] = set()

    def do(self, index: int, kind: str, *arguments: Any) -> bool:
        """A command; whether it is taken."""
        if kind == "delete":
            self.rows = [row for row in self.rows if row[0] != id_of(arguments[0])]
        elif kind == "begin":
            self.sessions.add(SESSIONS[arguments[0]])
        elif kind == "end":
            gone = SESSIONS[arguments[0]]
            self.sessions.discard(gone)
            self.rows = [row for row in self.rows if row[2] != gone]
        else:
            return self.set(index, id_of(arguments[0]), arguments[1], arguments[2].lower(), arguments[3])
        return True

    def set(self, index: int, id: str, name: str, session: str, is_template: bool) -> bool:
        """Create a query or replace it, if its name is free and its session is there."""
        for row in self.rows:
            if row[0] != id and row[1].lower() == name.lower() and (name or (is_template and row[3])):
                return False
        if name in [row[0] for row in self.rows] or (session and session not in self.sessions):
            return False
        for row in self.rows:
            if row[0] == id:
                row[1:] = [name, session, is_template, row[4], index]
                return True
        self.rows.append([id, name, session, is_template, index, index])
        return True

    def listed(self) -> list[tuple[Any, ...]]:
        """Ids, names and indexes, by id."""
        return sorted((row[0], row[1], row[4], row[5]) for row in self.rows)

    def meant(self, asked: str) -> str | None:
        """The id of the query that a name means."""
        low = asked.lower()
        for row in self.rows:
            if row[0] == low:
                return str(row[0])
        for row in self.rows:
            if row[1] and row[1].lower() == low:
                return str(row[0])
        fits = [row for row in self.rows if row[3] and low.startswith(row[1].lower())]
        return str(max(fits, key=lambda row: len(row[1]))[0]) if fits else None


TEMPLATE_NONE = QueryTemplateOptions()
SESSIONS = [f"{number}9999999-aaaa-4aaa-8aaa-000000000001" for number in range(2)]


class TemplateTests(SynchronousTestCase):
    """What a template makes of a name."""

    def refused(self, **fields: Any) -> str:
        """The words with which a template is refused."""
        with self.assertRaises(InvalidRequest) as caught:
            QueryTemplate(PreparedQuery(**({"template": TEMPLATE} | fields)))
        return str(caught.exception)

    def test_everyText(self) -> None:
        """Every text of what is looked for is filled in; keys, and what is no text, stay."""
        fill = "${name.suffix}"
        service = ServiceQuery(
            service=fill,
            near=fill,
            peer=fill,
            tags=(fill, "!old"),
            ignore_check_ids=(fill,),
            node_meta={fill: fill},
            service_meta={"k": "${agent.segment}"},
            failover=QueryFailoverOptions(
                nearest_n=2, datacenters=(fill,), targets=(QueryFailoverTarget(peer=fill, datacenter="dc-" + fill),)
            ),
        )
        rendered = QueryTemplate(PreparedQuery(name="geo-", template=TEMPLATE, service=service)).render("geo-x", "s")
        self.assertEqual(
            rendered.service,
            ServiceQuery(
                service="x",
                near="x",
                peer="x",
                tags=("x", "!old"),
                ignore_check_ids=("x",),
                node_meta={fill: "x"},
                service_meta={"k": "s"},
                failover=QueryFailoverOptions(
                    nearest_n=2, datacenters=("x",), targets=(QueryFailoverTarget(peer="x", datacenter="dc-x"),)
                ),
            ),
        )
        self.assertEqual((rendered.name, rendered.template), ("geo-", TEMPLATE))

    def test_groups(self) -> None:
        """A regular expression takes the name apart; where it does not fit, its groups are empty."""
        options = QueryTemplateOptions(type="name_prefix_match", regexp="^t-([a-z]+)(?:-([a-z]+))?$")
        service = ServiceQuery(service="${match(1)}", tags=("${match(2)}", "v"))
        template = QueryTemplate(PreparedQuery(name="t-", template=options, service=service))
        services = [template.render(name, "").service for name in ("t-a-b", "t-a", "t-")]
        seen = [(it.service, it.tags) for it in services]
        self.assertEqual(seen, [("a", ("b", "v")), ("a", ("", "v")), ("", ("", "v"))])

    def test_emptyTags(self) -> None:
        """Tags that came out empty are left out where that was asked for; then there is a list, if an empty one."""
        options = QueryTemplateOptions(type="name_prefix_match", remove_empty_tags=True)
        for tags, left in ((("${match(1)}", "v"), ("v",)), (("",), ()), (None, ())):
            query = PreparedQuery(template=options, service=ServiceQuery(service="s", tags=tags))
            self.assertEqual(QueryTemplate(query).render("n", "").service.tags, left)

    def test_refusals(self) -> None:
        """The words of a refusal name the text and its place."""
        self.assertEqual(
            self.refused(service=ServiceQuery(service="s", node_meta={"zone": "${broken"})),
            "Bad format '${broken' in Service.NodeMeta[zone]: parse error at 1:9: "
            'expected "}" but found end of string',
        )
        targets = (QueryFailoverTarget(), QueryFailoverTarget(peer="${nope}"))
        self.assertEqual(
            self.refused(service=ServiceQuery(failover=QueryFailoverOptions(targets=targets))),
            "Bad evaluation for '${nope}' in Service.Failover.Targets[1].Peer: 1:3: unknown variable accessed: nope",
        )
        regexp = QueryTemplateOptions(type="name_prefix_match", regexp="(")
        self.assertEqual(self.refused(template=regexp), "Bad Regexp: error parsing regexp: missing closing ): `(`")
        # all texts are read before any is filled in, and before the regular expression is
        service = ServiceQuery(service="${nope}", tags=("${broken",))
        self.assertIn("Service.Tags[0]", self.refused(service=service, template=regexp))

    def test_anyQuery(self) -> None:
        """Any query is a template or is refused, and renders with any name or refuses it."""

        @settings(max_examples=150, deadline=None)
        @given(records(PreparedQuery), st.text("ab-${}", max_size=6))
        def decided(query: PreparedQuery, name: str) -> None:
            with contextlib.suppress(InvalidRequest):
                options = QueryTemplateOptions(type="name_prefix_match", regexp=query.template.regexp)
                template = QueryTemplate(PreparedQuery(name=name, service=query.service, template=options))
                self.assertIsInstance(template.render(name + "x", ""), PreparedQuery)

        decided()
