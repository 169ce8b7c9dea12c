"""JSON as Go writes and reads it."""

from __future__ import annotations

import contextlib
import json as stdlib_json
from typing import Annotated, Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txconsul.codec import gomsgpack, json
from txconsul.codec.gotime import pack_time
from txconsul.records.base import OMIT_JSON, Record, Text, Time, Uint
from txconsul.records.coordinate import Position


class Inner(Record, frozen=True):
    """A record within a record."""

    port: int = 0


class Sample(Record, frozen=True):
    """A field of each kind."""

    node_id: str = ""
    count: Uint = 0
    value: bytes | None = None
    key: Text = b""
    at: Time = pack_time(0)
    note: Annotated[str, OMIT_JSON] = ""
    tags: tuple[str, ...] | None = None
    meta: dict[str, str] | None = None
    inner: Inner | None = None
    inners: tuple[Inner, ...] | None = None
    any_: Any = None


class WriteTests(SynchronousTestCase):
    """Records to JSON."""

    def show(self, record: Record) -> Any:
        """A record's JSON, parsed."""
        return stdlib_json.loads(json.encode(record))

    def test_zero(self) -> None:
        """nil is null, empty text is there, what is marked so is left out while it is empty."""
        self.assertEqual(
            self.show(Sample()),
            {
                "NodeID": "",
                "Count": 0,
                "Value": None,
                "Key": "",
                "At": "1970-01-01T00:00:00Z",
                "Tags": None,
                "Meta": None,
                "Inner": None,
                "Inners": None,
                "Any": None,
            },
        )

    def test_full(self) -> None:
        """Bytes are base64, keys are text, lists and maps of records are written through."""
        shown = self.show(
            Sample(
                value=b"\x00\xff",
                key="café".encode(),
                note="n",
                tags=(),
                meta={"a": "b"},
                inner=Inner(port=1),
                inners=(Inner(port=2),),
            )
        )
        self.assertEqual(shown["Value"], "AP8=")
        self.assertEqual(shown["Key"], "café")
        self.assertEqual(shown["Note"], "n")
        self.assertEqual(shown["Tags"], [])
        self.assertEqual(shown["Inner"], {"Port": 1})
        self.assertEqual(shown["Inners"], [{"Port": 2}])

    def test_notUTF8(self) -> None:
        """Text that is no UTF-8 is shown with U+FFFD, wherever it stands."""
        self.assertEqual(self.show(Sample(key=b"a\xff"))["Key"], "a\ufffd")
        self.assertEqual(self.show(Sample(node_id=b"a\xff".decode("utf-8", "surrogateescape")))["NodeID"], "a\ufffd")

    def test_indent(self) -> None:
        """Pretty JSON has four spaces a level."""
        self.assertEqual(json.indent(b'{"a":[1]}'), b'{\n    "a": [\n        1\n    ]\n}')


class FloatTests(SynchronousTestCase):
    """Floats as Go writes them, whatever holds them."""

    def test_text(self) -> None:
        """Whole numbers have no point, small and large ones an exponent without padding."""
        for value, text in {
            0.0: "0",
            1.0: "1",
            -2.0: "-2",
            0.25: "0.25",
            0.00001: "0.00001",
            0.000001: "0.000001",
            9.9e-7: "9.9e-7",
            1.5e-10: "1.5e-10",
            2.0**60: "1152921504606847000",
            1e20: "100000000000000000000",
            1e21: "1e+21",
            -1.5e300: "-1.5e+300",
        }.items():
            self.assertEqual(json.encode([value]).decode(), f"[{text}]")
        self.assertEqual(json.encode(-0.0), b"-0")

    def test_sameValue(self) -> None:
        """What is written reads as the same number; what is no number is null."""

        @given(st.floats(allow_nan=False, allow_infinity=False))
        def same(value: float) -> None:
            written = json.encode({"x": value})
            self.assertEqual(float(stdlib_json.loads(written)["x"]), value)
            self.assertEqual(float(json.parse(written)["x"]), value)

        same()
        self.assertEqual(json.encode([float("nan"), float("inf")]), b"[null,null]")

    def test_fields(self) -> None:
        """Fields of floats, and lists of them."""
        shown = json.encode(Position(error=1.0, height=1e-5, vec=(0.0, 0.5)))
        self.assertEqual(shown, b'{"Adjustment":0,"Error":1,"Height":0.00001,"Vec":[0,0.5]}')


class ReadTests(SynchronousTestCase):
    """JSON to records."""

    def test_anyCase(self) -> None:
        """Names match whatever their case; unknown ones are ignored, null changes nothing."""
        read = json.decode(Sample, b'{"nodeid": "x", "COUNT": 3, "Other": 1, "Note": null}')
        self.assertEqual(read, Sample(node_id="x", count=3))

    def test_strict(self) -> None:
        """Strictly, an unknown name is refused at any depth."""
        for body in (b'{"Other": 1}', b'{"Inner": {"Other": 1}}', b'{"Inners": [{"Other": 1}]}'):
            self.assertRaises(json.BadJSON, json.decode, Sample, body, strict=True)

    def test_wrongTypes(self) -> None:
        """A value of another type is refused, and the field is named."""
        for body in (
            b'{"NodeID": 1}',
            b'{"Count": "1"}',
            b'{"Count": 1.0}',
            b'{"Count": -1}',
            b'{"Count": 18446744073709551616}',
            b'{"Count": true}',
            b'{"Value": 1}',
            b'{"Value": "***"}',
            b'{"Tags": "a"}',
            b'{"Tags": [1]}',
            b'{"Meta": []}',
            b'{"Inner": []}',
            b"[]",
            b'"text"',
        ):
            self.assertRaises(json.BadJSON, json.decode, Sample, body)
        error = self.assertRaises(json.BadJSON, json.decode, Sample, b'{"Inner": {"Port": "x"}}')
        self.assertIn("Inner.Port", str(error))

    def test_trailing(self) -> None:
        """What follows the first value is ignored, as Go's decoder does; nothing at all is EOF."""
        self.assertEqual(json.decode(Sample, b'{"NodeID": "x"} trailing'), Sample(node_id="x"))
        self.assertEqual(json.decode(Sample, b"null"), Sample())
        error = self.assertRaises(json.BadJSON, json.decode, Sample, b" ")
        self.assertEqual(str(error), "EOF")

    def test_trailingHidesNothing(self) -> None:
        """What no JSON may hold is refused with something behind it, too; half surrogates are replaced."""
        for body in (b'{"Any": NaN} x', b'{"Any": 1e400} x'):
            self.assertRaises(json.BadJSON, json.decode, Sample, body)
        for body, wanted in {
            rb'{"NodeID": "\ud800"} x': "\ufffd",
            rb'{"NodeID": "\udcc3\udca9"} x': "\ufffd\ufffd",
        }.items():
            self.assertEqual(json.decode(Sample, body).node_id, wanted)

    def test_numbersTooLarge(self) -> None:
        """A number that no integer of 64 bits holds is a float where anything may stand, as in Go, or refused."""
        found = json.decode(Sample, b'{"Any": [18446744073709551615, 18446744073709551616, -9223372036854775809]}').any_
        self.assertEqual(found, [2**64 - 1, float(2**64), -float(2**63)])
        self.assertEqual([type(one) for one in found], [int, float, float])
        self.assertRaises(json.BadJSON, json.decode, Sample, b'{"Any": 1' + b"0" * 400 + b"}")

    def test_deepest(self) -> None:
        """What is just not too deep can be logged, read again, and shown."""
        for left, right in ((b"[", b"]"), (b'{"a": ', b"}")):
            nested = [b'{"Any": ' + left * depth + right * depth + b"}" for depth in (98, 99, 100, 101)]
            record = json.decode(Sample, nested[1].replace(b'{"a": }', b"{}"))
            self.assertEqual(gomsgpack.decode(Sample, gomsgpack.encode(record)), record)
            json.encode(record)
            self.assertRaises(json.BadJSON, json.decode, Sample, nested[3].replace(b'{"a": }', b"{}"))

    def test_deep(self) -> None:
        """Nesting without end is refused, not recursed into."""
        self.assertRaises(json.BadJSON, json.decode, Sample, b"[" * 100_000)
        self.assertRaises(json.BadJSON, json.decode, Sample, b'{"Any":' * 50_000)

    @given(st.binary(max_size=60))
    def test_anyBytes(self, data: bytes) -> None:
        """Any bytes give a record or BadJSON."""
        with contextlib.suppress(json.BadJSON):
            json.decode(Sample, data)

    @given(
        st.builds(
            Sample,
            node_id=st.text(st.characters(exclude_categories=("Cs",))),
            count=st.integers(0, 2**64 - 1),
            value=st.none() | st.binary(min_size=1),
            key=st.text(st.characters(exclude_categories=("Cs",))).map(str.encode),
            at=st.just(pack_time(0)),
            tags=st.none() | st.lists(st.text(st.characters(exclude_categories=("Cs",)))).map(tuple),
            inner=st.none() | st.builds(Inner, port=st.integers(-(2**63), 2**63 - 1)),
        )
    )
    def test_roundTrip(self, record: Sample) -> None:
        """What is written is read back (times aside, which are not read)."""
        plain = stdlib_json.loads(json.encode(record))
        del plain["At"]
        self.assertEqual(json.from_json(Sample, plain), record)
