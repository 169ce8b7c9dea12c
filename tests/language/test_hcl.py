"""HCL 1 as Consul's configuration and rules are written in it."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txconsul.language.hcl import DEPTH_MAX, TEXT_CHARACTERS_MAX, HCLError, labelled, parse


class ValueTests(SynchronousTestCase):
    """What the texts mean."""

    def test_scalars(self) -> None:
        """Numbers in all their spellings, truth values and strings."""
        for text, value in (
            ("5", 5),
            ("-5", -5),
            ("0x1F", 31),
            ("017", 15),
            ("1.5", 1.5),
            ("-0.25", -0.25),
            ("1e3", 1000.0),
            ("2.5E-1", 0.25),
            ("true", True),
            ("false", False),
            ('""', ""),
            ('"a b"', "a b"),
        ):
            found = parse(f"x = {text}")["x"]
            self.assertEqual((found, type(found)), (value, type(value)), text)

    def test_escapes(self) -> None:
        """Backslashes work as in C, but not between the braces of an interpolation, where quotes are ordinary."""
        self.assertEqual(parse(r'x = "a\n\t\\\"\x41\u00e9\101"')["x"], 'a\n\t\\"AéA')
        self.assertEqual(parse(r'x = "\t${lookup("a\n", {b})}\t"')["x"], '\t${lookup("a\\n", {b})}\t')
        self.assertEqual(parse('x = "$5 {y}"')["x"], "$5 {y}")

    def test_heredocs(self) -> None:
        """A heredoc keeps its lines; with a dash, the closing anchor's indentation goes from every line."""
        self.assertEqual(parse("x = <<EOF\n one\ntwo\nEOF\ny = 1"), {"x": " one\ntwo\n", "y": 1})
        self.assertEqual(parse("x = <<-EOF\n    one\n      two\n    EOF\n"), {"x": "one\n  two\n"})
        self.assertEqual(parse("x = <<-EOF\n  one\n    EOF\n"), {"x": "  one\n"})

    def test_comments(self) -> None:
        """Three kinds of comments, anywhere between words."""
        self.assertEqual(parse("# a\nx = /* b */ 1 // c\n/* d\n e */ y = 2 # f"), {"x": 1, "y": 2})

    def test_lists(self) -> None:
        """Lists may end with a comma, hold anything, and span lines; objects in them are bare dicts."""
        self.assertEqual(
            parse('x = [1, "a",\n [true], { y = { z = 2 } },\n]')["x"], [1, "a", [True], {"y": [{"z": 2}]}]
        )
        self.assertEqual(parse("x = []"), {"x": []})

    def test_objectsAndBlocks(self) -> None:
        """An object is a list of one dict, with or without an equals sign; commas may part the items."""
        for text in ("x { y = 1\n z = 2 }", "x = { y = 1, z = 2 }", '"x" { "y" = 1, "z" = 2, }'):
            self.assertEqual(parse(text), {"x": [{"y": 1, "z": 2}]}, text)

    def test_repeatedBlocks(self) -> None:
        """A repeated block adds to the list, and so does a repeated list."""
        self.assertEqual(parse("x { y = 1 }\nx { z = 2 }"), {"x": [{"y": 1}, {"z": 2}]})
        self.assertEqual(parse("x = [1]\nx = [2, 3]"), {"x": [1, 2, 3]})

    def test_repeatedScalars(self) -> None:
        """The last value of a repeated key counts, read as the type of the first."""
        self.assertEqual(parse("x = 1\nx = 2"), {"x": 2})
        self.assertEqual(parse('x = "a"\nx = 2'), {"x": "2"})
        self.assertEqual(parse('x = 1\nx = "2"'), {"x": 2})

    def test_labels(self) -> None:
        """A label is a dict around the body; blocks of one key stay in order."""
        found = parse('key "a" { p = 1 }\nother { }\nkey "b" "c" { p = 2 }')
        self.assertEqual(found["key"], [{"a": [{"p": 1}]}, {"b": [{"c": [{"p": 2}]}]}])

    def test_labelled(self) -> None:
        """L{labelled} walks labels and bodies, of HCL and of JSON alike."""
        expected = [("a", {"policy": "read"}), ("", {"policy": "write"}), ("a", {"policy": "deny"})]
        found = parse('key "a" { policy = "read" }\nkey "" { policy = "write" }\nkey "a" { policy = "deny" }')
        self.assertEqual(list(labelled(found["key"])), expected)
        found = parse('{"key": {"a": {"policy": "read"}, "": {"policy": "write"}}}')
        self.assertEqual(list(labelled(found["key"])), expected[:2])
        for text in ('key = "read"', 'key { policy = "read" }', "key = [1]", 'key { "a" = ["x"] }'):
            self.assertRaises(HCLError, lambda text=text: list(labelled(parse(text)["key"])))

    def test_json(self) -> None:
        """A text that begins with a brace is JSON, and has the same shape."""
        self.assertEqual(parse(' {"x": {"y": 1}, "z": [{"a": {}}, null], "n": null}'), {
            "x": [{"y": 1}],
            "z": [{"a": [{}]}, ""],
            "n": "",
        })  # fmt: skip

    def test_lineEndings(self) -> None:
        """Windows' line endings are line endings."""
        self.assertEqual(parse("x = 1\r\ny = <<A\r\nb\r\nA\r\n"), {"x": 1, "y": "b\n"})

    def test_unfinishedAssignmentAtTheEnd(self) -> None:
        """HCL takes a last key that has no value as not being there."""
        self.assertEqual(parse("x = 1\ny = "), {"x": 1})


class RefusalTests(SynchronousTestCase):
    """The words of the errors, and their places."""

    def test_places(self) -> None:
        """Line and column of what is wrong."""
        for text, words in (
            ("a {\n", "At 2:2: object expected closing RBRACE got: EOF"),
            ("a = 1\nb", "At 2:3: key 'b' expected start of object ('{') or assignment ('=')"),
            ("a b = 1", "At 1:5: nested object expected: LBRACE got: ASSIGN"),
            ("= 1", "At 1:1: no object keys found!"),
            ("a = [1 2]", "At 1:8: error parsing list, expected comma or list end, got: NUMBER"),
            ("a = [=]", "At 1:6: unexpected token while parsing list: ASSIGN"),
            ("a = =", "At 1:5: Unknown token: 1:5 ASSIGN ="),
            ("a = 1\n}", "At 2:1: expected: IDENT | STRING | ASSIGN | LBRACE got: RBRACE"),
            ('a = "x', "At 1:7: literal not terminated"),
            ('a = "\\q"', "At 1:7: illegal char escape"),
            ("a = @", "At 1:5: illegal char"),
            ("a = 08\n", "At 1:7: illegal octal number"),
            ("a = <<E\nx\n", "At 3:1: heredoc not terminated"),
            ("a = 1 /* x", "At 1:11: comment not terminated"),
            ('a {\n}\na "b" {}', "At 1:1: root.a[1]: map must have string keys"),
        ):
            error = self.assertRaises(HCLError, parse, text)
            self.assertEqual(str(error), words)
            self.assertEqual(words.split(" ")[1], f"{error.line}:{error.column}:")

    def test_typesThatDoNotGoTogether(self) -> None:
        """A repeated key whose values cannot be merged."""
        for text in ("a { }\na = 1", "a = true\na = 1", "a = [1]\na = 2", 'a = 1\na = "x"', "a { }\na = [1]"):
            self.assertRaises(HCLError, parse, text)

    def test_numbersTooLarge(self) -> None:
        """A number needs to fit into 64 bits."""
        for text in ("a = 9223372036854775808", "a = 1e999", "a = 1e"):
            self.assertRaises(HCLError, parse, text)

    def test_limits(self) -> None:
        """Depth and length are bounded."""
        deep = DEPTH_MAX + 1
        for text in ("a {" * deep + "}" * deep, "a = " + "[" * deep, '{"a":' * deep + "1" + "}" * deep):
            self.assertIn(str(DEPTH_MAX), str(self.assertRaises(HCLError, parse, text)))
        parse("a {" * DEPTH_MAX + "}" * DEPTH_MAX)
        self.assertRaises(HCLError, parse, " " * (TEXT_CHARACTERS_MAX + 1))
        self.assertRaises(HCLError, parse, "{" + '"a":[' * 100000)
        self.assertRaises(HCLError, parse, "a = 1", characters_max=4)


WORDS = st.sampled_from(
    [
        "a",
        "b",
        '"c"',
        "=",
        "==",
        "{",
        "}",
        "[",
        "]",
        ",",
        ".",
        "-",
        "+",
        "1",
        "0x2",
        "0x",
        "07",
        "08",
        "1.5",
        "1e",
        "1e5",
        "true",
        '"x"',
        '"${"',
        '"\\n"',
        '"\\u12"',
        "<<E",
        "E",
        "<<-E",
        "\n",
        "#",
        "//",
        "/*",
        "*/",
        "\\",
        '"',
        "$",
    ]
)


class AnyTextTests(SynchronousTestCase):
    """Whatever comes."""

    @settings(max_examples=600, deadline=None)
    @given(st.one_of(st.lists(WORDS, max_size=20).map(" ".join), st.lists(WORDS, max_size=14).map("".join), st.text()))
    def test_valuesOrAnHCLError(self, text: str) -> None:
        """Any text is read to a dict of plain values or refused with an HCLError."""
        try:
            found = parse(text)
        except HCLError:
            return
        self.assertTrue(_plain(found))

    @settings(max_examples=200, deadline=None)
    @given(
        st.recursive(
            st.one_of(st.booleans(), st.integers(-(2**63), 2**63 - 1), st.text('ab\n"\\é$ ', max_size=5)),
            lambda inner: st.one_of(
                st.lists(inner, max_size=3),
                st.dictionaries(st.text("abc", min_size=1, max_size=3), inner, max_size=3),
            ),
            max_leaves=12,
        )
    )
    def test_whatIsWrittenIsRead(self, value: Any) -> None:
        """A value written as HCL is read back in its shape."""
        self.assertEqual(parse(f"x = {_written(value)}")["x"], _shaped(value))


def _plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _plain(inner) for key, inner in value.items())
    if isinstance(value, list):
        return all(map(_plain, value))
    return isinstance(value, (bool, int, float, str))


def _written(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + "\n".join(f"{key} = {_written(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_written, value)) + "]"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    return str(value).lower()


def _shaped(value: Any, in_list: bool = False) -> Any:
    if isinstance(value, dict):
        found = {key: _shaped(inner) for key, inner in value.items()}
        return found if in_list else [found]
    if isinstance(value, list):
        return [_shaped(inner, True) for inner in value]
    return value
