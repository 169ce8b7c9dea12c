"""Filters: what each operator says of each kind of field, what is refused, and what an expression costs."""

from __future__ import annotations

from time import process_time
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txconsul.language import bexpr
from txconsul.language.bexpr import BadExpression, TooCostly, filter_for
from txconsul.language.bexpr_fields import HIDDEN, selectable_fields
from txconsul.records.agent import AgentProxy, AgentService, AgentUpstream
from txconsul.records.base import Record, Text, Time, Uint
from txconsul.records.catalog import CheckServiceNode, Node, ServiceNode
from txconsul.records.health import HealthCheck
from txconsul.records.service import NodeService


class Address(Record, frozen=True):
    """A record in a map."""

    address: str = ""
    port: int = 0


class Check(Record, frozen=True):
    """A record in a list."""

    status: str = ""
    tags: tuple[str, ...] | None = None


class Weights(Record, frozen=True):
    """A record that may be absent."""

    passing: int = 0


class Row(Record, frozen=True):
    """One field of each kind."""

    name: str = ""
    key: Text = b""
    port: int = 0
    big: Uint = 0
    share: float = 0.0
    on: bool = False
    tags: tuple[str, ...] | None = None
    ports: tuple[int, ...] | None = None
    meta: dict[str, str] | None = None
    addresses: dict[str, Address] | None = None
    lists: dict[str, tuple[str, ...] | None] | None = None
    weights: Weights | None = None
    checks: tuple[Check, ...] | None = None
    raw: bytes | None = None
    at: Time = b""
    config: dict[str, Any] | None = None
    anything: Any = None
    create_index: Uint = 0


FULL = Row(
    name="web",
    key=b"a/b",
    port=80,
    big=2**64 - 1,
    share=0.5,
    on=True,
    tags=("blue", "v2"),
    ports=(80, 81),
    meta={"zone": "north", "os.name": "linux", "empty": ""},
    addresses={"lan": Address(address="10.0.0.1", port=8001)},
    lists={"X": ("a", "b")},
    weights=Weights(passing=4),
    checks=(Check(status="passing", tags=("a",)), Check(status="warning")),
    raw=b"\x01\x02",
    config={"a": 1},
)
EMPTY = Row()


def says(expression: str, row: Record) -> bool:
    """Does the row pass?"""
    return filter_for(expression, type(row)).matches(row)


class Refusals(SynchronousTestCase):
    """What is asked of an error."""

    def refusal(self, expression: str, record: type[Record] = Row) -> str:
        """The error's text without the words that all have."""
        text = str(self.assertRaises(BadExpression, filter_for, expression, record))
        start = "Failed to create boolean expression evaluator: "
        self.assertTrue(text.startswith(start), text)
        return text.removeprefix(start)


class OperatorTests(Refusals):
    """Each operator on each kind of field."""

    def both(self, expression: str, full: bool, empty: bool) -> None:
        """What it says of a row that has everything and of one that has nothing."""
        self.assertEqual((says(expression, FULL), says(expression, EMPTY)), (full, empty), expression)

    def test_texts(self) -> None:
        """A text is equal, has a part, matches a pattern, or does not."""
        self.both("Name == web", True, False)
        self.both('Name != "web"', False, True)
        self.both("Name contains eb", True, False)
        self.both("eb not in Name", False, True)
        self.both("Name not contains `x`", True, True)
        self.both('Name matches "^w.b$"', True, False)
        self.both('Name not matches "^w.b$"', False, True)
        self.both('Name == ""', False, True)
        self.both('Key == "a/b" and Key matches "^a" and "/" in Key', True, False)

    def test_numbers(self) -> None:
        """Numbers are equal or not, whatever the base they are written in."""
        self.both("Port == 80", True, False)
        self.both('Port == "0x50"', True, False)
        self.both('Port == "0120"', True, False)
        self.both('Port == "0b101_0000"', True, False)
        self.both("Port != -1", True, True)
        self.both("Big == 18446744073709551615", True, False)
        self.both("Share == 0.5", True, False)
        self.both('Share != "5e-1"', False, True)

    def test_truthValues(self) -> None:
        """Truth values in Go's spellings."""
        for word in ("true", "T", '"1"', "TRUE", "1"):
            self.both(f"On == {word}", True, False)
        for word in ("false", "F", '"0"'):
            self.both(f"On != {word}", True, False)

    def test_lists(self) -> None:
        """A list has an item, or is empty; a list of bytes has numbers."""
        self.both("blue in Tags", True, False)
        self.both("Tags contains blue", True, False)
        self.both("Tags not contains blue", False, True)
        self.both("Tags is empty", False, True)
        self.both("Tags is not empty", True, False)
        self.both("81 in Ports", True, False)
        self.both("2 in Raw", True, False)
        self.both("Raw is empty", False, True)

    def test_maps(self) -> None:
        """A map has a key, or is empty, whatever its values are."""
        self.both("zone in Meta", True, False)
        self.both("Meta contains zone", True, False)
        self.both("zone not in Meta", False, True)
        self.both("Meta is empty", False, True)
        self.both("Config is not empty and a in Config", True, False)
        self.both("lan in Addresses", True, False)

    def test_keys(self) -> None:
        """A key leads to its value, which has the operators of its own kind."""
        self.both("Meta.zone == north", True, False)
        self.both('Meta["os.name"] contains lin', True, False)
        self.both("Meta[ `zone` ] matches `h$`", True, True)  # what is not there matches
        self.both("Addresses.lan.Port == 8001", True, False)
        self.both("b in Lists.X", True, False)
        self.both("Lists.X is empty", False, True)

    def test_absentKeys(self) -> None:
        """A key that is not there is unequal to everything, has nothing, is empty and matches."""
        for row in (FULL, EMPTY):
            for expression, expected in (
                ("Meta.no == a", False),
                ("Meta.no != a", True),
                ("a in Meta.no", False),
                ("a not in Meta.no", True),
                ("Meta.no matches x", True),
                ("Meta.no not matches x", True),
                ("Lists.no is empty", True),
                ("Lists.no is not empty", False),
                ("Addresses.no.Port == 0", False),
                ("Addresses.no.Port != 0", True),
            ):
                self.assertEqual(says(expression, row), expected, expression)

    def test_anyOfSeveral(self) -> None:
        """A selector that goes through a list asks for any item, with negated operators, too."""
        self.both("Checks.Status == warning", True, False)
        self.both("Checks.Status != warning", True, False)
        self.both("not Checks.Status == warning", False, True)
        self.both("Checks.Status not matches ing", False, False)
        self.both("a in Checks.Tags", True, False)
        self.both("Checks.Tags is empty", True, False)
        self.both("Checks is empty", False, True)

    def test_records(self) -> None:
        """A record within one is gone through; one that is absent is the zero value."""
        self.both("Weights.Passing == 4", True, False)
        self.both("Weights.Passing == 0", False, True)
        self.assertTrue(says("Node.Node == n", CheckServiceNode(node=Node(node="n"))))
        self.assertFalse(says("Node.Node == n", CheckServiceNode()))
        self.assertTrue(says('Node.Meta is empty and Service.Port == 0 and Service.ID == ""', CheckServiceNode()))

    def test_structure(self) -> None:
        """C{and} binds closer than C{or}; C{not} is for what follows it."""
        self.both("Name == web or Name == x and Port == 1", True, False)
        self.both("(Name == web or Name == x) and Port == 1", False, False)
        self.both("not Name == web and Port == 80", False, False)
        self.both("not (Name == web and Port == 80)", False, True)
        self.both("not not Name == web", True, False)
        self.both("Name == web and Port == 80 and On == true and Big != 0", True, False)
        self.both("Name == x or Port == 1 or On == true", True, False)

    def test_misused(self) -> None:
        """An operator that a kind of field does not understand is refused by name."""
        texts = ("Name", "Key", "Meta.zone")
        numbers = ("Port", "Big", "Share", "On")
        holders = ("Tags", "Meta", "Raw", "Config")
        records = ("Checks", "Addresses.lan", "Weights")
        for fields, operators in (
            (texts, {"is empty": "Is Empty", "is not empty": "Is Not Empty"}),
            (numbers, {"contains 1": "In", "matches 1": "Matches", "is empty": "Is Empty"}),
            (holders, {"== 1": "Equal", "!= 1": "Not Equal", "not matches 1": "Not Matches"}),
            (records, {"== 1": "Equal", "not contains 1": "Not In", "matches 1": "Matches"}),
            (records[1:], {"is empty": "Is Empty"}),
        ):
            for field in fields:
                for operator, name in operators.items():
                    expected = f'Invalid match operator "{name}" for selector "{field}"'
                    self.assertEqual(self.refusal(f"{field} {operator}"), expected)


class RefusalTests(Refusals):
    """What does not suit what is filtered."""

    def test_selectors(self) -> None:
        """A field that is not there, is hidden, or has no fixed shape; the part up to the mistake is told."""
        for selector, told in (
            ("Nope", "Nope"),
            ("name", "name"),
            ("Name.x.y", "Name.x"),
            ("Meta.a.b", "Meta.a.b"),
            ("Config.a", "Config.a"),
            ("Checks.Nope", "Checks.Nope"),
            ("Anything", "Anything"),
            ("CreateIndex", "CreateIndex"),
            ('Addresses["a.b"].Nope', "Addresses.a.b.Nope"),
        ):
            self.assertEqual(self.refusal(f"{selector} == 1"), f'Selector "{told}" is not valid')

    def test_values(self) -> None:
        """A value that is none of the field's kind, or beyond its range."""
        for field, word, function, why in (
            ("Port", "eighty", "ParseInt", "invalid syntax"),
            ("Port", '"08"', "ParseInt", "invalid syntax"),
            ("Port", '"1__0"', "ParseInt", "invalid syntax"),
            ("Port", "9223372036854775808", "ParseInt", "value out of range"),
            ("Port", "1" * 200, "ParseInt", "value out of range"),
            ("Big", "-1", "ParseUint", "invalid syntax"),
            ("Big", "18446744073709551616", "ParseUint", "value out of range"),
            ("On", "yes", "ParseBool", "invalid syntax"),
            ("Share", "half", "ParseFloat", "invalid syntax"),
            ("Share", '"1e999"', "ParseFloat", "value out of range"),
        ):
            told = word.strip('"')
            expected = (
                f'Failed to coerce value "{told}" for selector "{field}": strconv.{function}: parsing "{told}": {why}'
            )
            self.assertEqual(self.refusal(f"{field} == {word}"), expected)
        self.assertIn("ParseUint", self.refusal("300 in Raw"))

    def test_patterns(self) -> None:
        """A pattern that Go would not compile."""
        expected = 'Failed to compile regular expression "(": error parsing regexp: missing closing ): `(`'
        self.assertEqual(self.refusal('Name matches "("'), expected)

    def test_limits(self) -> None:
        """Text, questions, regular expressions and all their instructions are counted."""
        many = " or ".join(["Port == 1"] * bexpr.MATCHES_MAX)
        filter_for(many, Row)
        self.assertIn("exceeds the limit (512)", self.refusal(many + " or Port == 1"))
        self.assertIn("exceeds the limit (8192)", self.refusal("Name == " + "a" * bexpr.TEXT_MAX))
        patterns = " or ".join(["Name matches a"] * bexpr.PATTERNS_MAX)
        filter_for(patterns, Row)
        self.assertIn("exceeds the limit (32)", self.refusal(patterns + " or Name matches a"))
        self.assertIn("too large", self.refusal(" or ".join(['Name matches "a{900}"'] * 5)))

    def test_tooCostly(self) -> None:
        """A pattern that needs too many states stops, and the next use may spend anew."""
        costly = filter_for('Name matches "[ab]*a[ab]{900}c"', Row)
        rows = [Row(name="".join("ab"[n >> i & 1] for i in range(12)) * 200) for n in range(9)]
        self.assertRaises(TooCostly, costly.select, rows)
        self.assertEqual(costly.select([EMPTY]), [])


class FieldTests(SynchronousTestCase):
    """What can be asked of the records that endpoints filter."""

    def paths(self, record: type[Record]) -> set[str]:
        """The names of the fields."""
        return set(selectable_fields(record))

    def test_hidden(self) -> None:
        """What is hidden exists, so that a renamed field does not come out by mistake."""
        for record, names in HIDDEN.items():
            self.assertLessEqual(names, set(record.__struct_fields__), record.__name__)

    def test_agent(self) -> None:
        """Of an agent's services no more is seen than of the catalog's, though they have records of their own."""
        self.assertFalse(self.paths(AgentService) & {"ContentHash", "Datacenter", "Locality"})
        self.assertNotIn("Config", self.paths(AgentProxy))
        self.assertFalse(self.paths(AgentUpstream) & {"Config", "CentrallyConfigured"})
        self.assertIn("Datacenter", self.paths(AgentUpstream))

    def test_catalog(self) -> None:
        """The fields that Consul lists, by the names that it shows."""
        node = {"Address", "Datacenter", "ID", "Meta", "Node", "Partition", "PeerName", "TaggedAddresses"}
        self.assertEqual(self.paths(Node), node)
        self.assertEqual(self.paths(CheckServiceNode), {"Checks", "Node", "Service"})
        self.assertNotIn("Definition", self.paths(HealthCheck))
        self.assertLessEqual({"ServiceTags", "ServiceProxy", "NodeMeta"}, self.paths(ServiceNode))
        self.assertNotIn("Locality", self.paths(NodeService))
        self.assertTrue(says("Proxy.Upstreams.DestinationName != x or Connect.Native == false", NodeService()))
        for selector in ("Proxy.Config", "Connect.SidecarService", "Proxy.Upstreams.Config"):
            self.assertRaises(BadExpression, filter_for, f"{selector} is empty", NodeService)


class SelectionTests(SynchronousTestCase):
    """Filters over many records."""

    def test_select(self) -> None:
        """What passes stays in its order; of a map, with its key."""
        rows = [Row(port=n % 3) for n in range(9)]
        ones = filter_for("Port == 1", Row)
        self.assertEqual(ones.select(rows), [rows[1], rows[4], rows[7]])
        self.assertEqual(ones.select_values({"a": rows[0], "b": rows[1]}), {"b": rows[1]})

    def test_kept(self) -> None:
        """A filter is compiled once, and only so many are kept."""
        self.assertIs(filter_for("Port == 1", Row), filter_for("Port == 1", Row))
        for number in range(bexpr.FILTERS_KEPT + 10):
            filter_for(f"Port == {number}", Row)
        self.assertEqual(filter_for.cache_info().currsize, bexpr.FILTERS_KEPT)

    def test_statesAreForgotten(self) -> None:
        """A filter that is kept does not keep all that it met."""
        found = filter_for('Name matches "q$"', Row)
        found.select([Row(name="".join(map(chr, range(0x400, 0x400 + 9000))))])
        self.assertLess(sum(one.kept for one in found._patterns._all), 4000)
        self.assertEqual(found.select([Row(name="q")]), [Row(name="q")])

    def test_cheap(self) -> None:
        """Ten thousand instances take milliseconds."""
        rows = [CheckServiceNode(service=NodeService(port=80 + n % 3)) for n in range(10_000)]
        port = filter_for("Service.Port == 80", CheckServiceNode)
        best = 1.0
        for _ in range(5):
            began = process_time()
            port.select(rows)
            best = min(best, process_time() - began)
        self.assertLess(best, 0.03)  # 1 ms where nothing else runs


# ---- any expression, against a naive reading of it ----

_SELECTORS: dict[str, Any] = {
    "Name": lambda row: row.name,
    "Tags": lambda row: row.tags or (),
    "Meta": lambda row: row.meta or {},
    "Meta.k": lambda row: (row.meta or {}).get("k"),
    "Port": lambda row: row.port,
}
_WORDS = st.sampled_from(["a", "b", "ab", "k"])


def _question(selector: str, operator: str, word: str) -> tuple[str, Any]:
    """The text of a question, and a function that answers it in Python's own words."""
    read = _SELECTORS[selector]
    negated = "not" in operator or operator == "!="
    if operator in ("==", "!="):
        answer: Any = lambda row: read(row) == (int(word) if selector == "Port" else word)  # noqa: E731
    elif "empty" in operator:
        return f"{selector} {operator}", lambda row: (not read(row)) is not negated
    else:
        answer = lambda row: word in (read(row) or ())  # noqa: E731
    text = f"{word} {operator} {selector}" if operator.endswith("in") else f"{selector} {operator} {word}"
    return text, lambda row: answer(row) is not negated


def _questions(selector: str, operators: list[str], words: Any = _WORDS) -> Any:
    return st.builds(_question, st.just(selector), st.sampled_from(operators), words)


_MEMBER = ["in", "not in", "contains", "not contains"]
_LEAVES = st.one_of(
    _questions("Name", ["==", "!=", *_MEMBER]),
    _questions("Meta.k", ["==", "!=", *_MEMBER]),
    _questions("Tags", [*_MEMBER, "is empty", "is not empty"]),
    _questions("Meta", [*_MEMBER, "is empty", "is not empty"]),
    _questions("Port", ["==", "!="], st.sampled_from(["0", "1", "-1"])),
)
_TREES = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        st.builds(lambda a: (f"not ({a[0]})", lambda row: not a[1](row)), inner),
        st.builds(lambda a, b: (f"({a[0]}) and ({b[0]})", lambda row: a[1](row) and b[1](row)), inner, inner),
        st.builds(lambda a, b: (f"(({a[0]}) or {b[0]})", lambda row: a[1](row) or b[1](row)), inner, _LEAVES),
    ),
    max_leaves=12,
)
_ROWS = st.builds(
    Row,
    name=_WORDS,
    port=st.integers(-1, 1),
    tags=st.none() | st.lists(_WORDS, max_size=3).map(tuple),
    meta=st.none() | st.dictionaries(_WORDS, _WORDS, max_size=3),
)
_SCRAPS = st.sampled_from(
    [*'.[]"`() 10-a\\\né\udc80*|+', "Name", "Tags", "Meta", "not ", " and ", " or ", " in ", "==", "!=", " is empty"]
) | st.sampled_from([" contains ", " matches ", "{3}", "(?i)"])


class PropertyTests(SynchronousTestCase):
    """Whatever the expression."""

    @settings(max_examples=200, deadline=None)
    @given(_TREES, st.lists(_ROWS, max_size=5))
    def test_meaning(self, tree: tuple[str, Any], rows: list[Row]) -> None:
        """An expression says what its parts say, read one by one."""
        text, naive = tree
        self.assertEqual(filter_for(text, Row).select(rows), [row for row in rows if naive(row)], text)

    @settings(max_examples=400, deadline=None)
    @given(st.lists(_SCRAPS, max_size=30).map("".join) | st.text(max_size=40))
    def test_anything(self, text: str) -> None:
        """Any text is a filter or is refused in the declared way, and soon."""
        began = process_time()
        try:
            found = filter_for(text, Row)
        except BadExpression:
            pass
        else:
            self.assertIn(found.matches(FULL), (True, False))
        self.assertLess(process_time() - began, 1.0)
