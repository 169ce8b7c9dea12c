"""The grammar of filters: trees, and the words for what is no expression."""

from __future__ import annotations

from time import process_time

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txconsul.language.bexpr_grammar import DEPTH_MAX, And, BadExpression, Match, Not, Operator, Or, parse

A, B, C = (Match((name,), Operator.EQUAL, "1") for name in "abc")


class TreeTests(SynchronousTestCase):
    """What an expression is read as."""

    def test_matches(self) -> None:
        """Every operator, with the words around it in any spacing."""
        for text, expected in (
            ("a == b", Match(("a",), Operator.EQUAL, "b")),
            ("a==b", Match(("a",), Operator.EQUAL, "b")),
            ("a\t!=\n b", Match(("a",), Operator.NOT_EQUAL, "b")),
            ("b in a", Match(("a",), Operator.IN, "b")),
            ("b not  in a", Match(("a",), Operator.NOT_IN, "b")),
            ("a contains b", Match(("a",), Operator.IN, "b")),
            ("a not contains b", Match(("a",), Operator.NOT_IN, "b")),
            ("a is empty", Match(("a",), Operator.IS_EMPTY, None)),
            ("a is not empty", Match(("a",), Operator.IS_NOT_EMPTY, None)),
            ("a matches b", Match(("a",), Operator.MATCHES, "b")),
            ("a not matches b", Match(("a",), Operator.NOT_MATCHES, "b")),
        ):
            self.assertEqual(parse(text), expected, text)

    def test_selectors(self) -> None:
        """Names, dots, and brackets with quotes of both kinds."""
        self.assertEqual(
            parse('a.b_1["c.d"][ `e"` ].f is empty'), Match(("a", "b_1", "c.d", 'e"', "f"), Operator.IS_EMPTY, None)
        )

    def test_values(self) -> None:
        """Words, paths, numbers and texts in quotes, with Go's escapes in double ones."""
        for written, value in (
            ("word", "word"),
            ("a.b.c", "a.b.c"),
            ('a["x y"]', "a.x y"),
            ("0", "0"),
            ("-12.50", "-12.50"),
            ('""', ""),
            ('"a b"', "a b"),
            ("`a\\b`", "a\\b"),
            ('"a\\tb\\x41\\u00e9"', "a\tbAé"),
        ):
            self.assertEqual(parse(f"x == {written}"), Match(("x",), Operator.EQUAL, value), written)

    def test_structure(self) -> None:
        """C{and} before C{or}, C{not} before both, parentheses before all."""
        self.assertEqual(parse("a==1 or b==1 and c==1"), Or((A, And((B, C)))))
        self.assertEqual(parse("(a==1 or b==1) and c==1"), And((Or((A, B)), C)))
        self.assertEqual(parse("not a==1 and b==1"), And((Not(A), B)))
        self.assertEqual(parse("not (a==1 and b==1)"), Not(And((A, B))))
        self.assertEqual(parse("not not not a==1"), Not(A))
        self.assertEqual(parse(" ( ( a==1 ) ) "), A)
        self.assertEqual(parse("a==1 or (b==1) or c==1"), Or((A, B, C)))

    def test_wordsAreNames(self) -> None:
        """The words of the language are names where a name is wanted."""
        self.assertEqual(parse("not == 1"), Match(("not",), Operator.EQUAL, "1"))
        self.assertEqual(parse("not in in"), Match(("in",), Operator.IN, "not"))
        self.assertEqual(parse("not not in a"), Not(Match(("a",), Operator.IN, "not")))
        self.assertEqual(
            parse("any is empty or and == or"), Or((parse("any is empty"), Match(("and",), Operator.EQUAL, "or")))
        )


class MistakeTests(SynchronousTestCase):
    """Line, column, bytes before, and what could have stood there."""

    def mistake(self, text: str) -> str:
        """The error's text."""
        return str(self.assertRaises(BadExpression, parse, text))

    def test_expected(self) -> None:
        """Everything that could stand at the furthest place is told, in order, the end last."""
        for text, expected in (
            ("", r'1:1 (0): no match found, expected: "(", "-", "0", "\"", "`", "not", [ \t\r\n], [1-9] or [a-zA-Z]'),
            ("a", r'1:2 (1): no match found, expected: "!=", ".", "==", "[", [ \t\r\n] or [a-zA-Z0-9_]'),
            ("a ==", r'1:5 (4): no match found, expected: "-", "0", "\"", "`", [ \t\r\n], [1-9] or [a-zA-Z]'),
            ("a is empty x", r'1:12 (11): no match found, expected: "and", "or", [ \t\r\n] or EOF'),
            ("a == b and", r"1:11 (10): no match found, expected: [ \t\r\n]"),
            ("a ==\n b c", r'2:4 (8): no match found, expected: "and", "or", [ \t\r\n] or EOF'),
            ('a == "é" c', r'1:10 (10): no match found, expected: "and", "or", [ \t\r\n] or EOF'),
        ):
            self.assertEqual(self.mistake(text), expected)

    def test_named(self) -> None:
        """Mistakes that the grammar knows have names of their own; several are told line by line."""
        for text, expected in (
            ("(a == b", '1:8 (7): rule "grouping": Unmatched parentheses'),
            ('a == "b', '1:8 (7): rule "string": Unterminated string literal'),
            ('a == "\\q"', '1:6 (5): rule "string": invalid syntax'),
            ("a == 1x", '1:7 (6): rule "number": Invalid number literal'),
            ("a == 10.1.1", '1:10 (9): rule "number": Invalid number literal'),
            ("a[5] == 1", '1:3 (2): rule "index": Invalid index'),
            ('a["b" == 1', '1:7 (6): rule "index": Unclosed index expression'),
            ('"a" in 5', '1:8 (7): rule "match": Invalid selector'),
            ("a == \udcff", "1:6 (5): invalid encoding"),
        ):
            self.assertEqual(self.mistake(text), expected)
        self.assertEqual(len(self.mistake('(a == b or (c == "d"').splitlines()), 2)

    def test_laterLanguage(self) -> None:
        """What later versions of the language have is none here."""
        for text in ("any a as b { b == 1 }", '"/a/b" == 1', "a is nil", "a.0 == 1"):
            self.mistake(text)

    def test_depth(self) -> None:
        """Parentheses nest so deep and no deeper; what is not closed takes no longer for it."""
        deep = DEPTH_MAX - 1
        self.assertEqual(parse("(" * deep + "a==1" + ")" * deep), A)
        self.assertIn(f"deeper than {DEPTH_MAX}", self.mistake("(" * (DEPTH_MAX + 1)))
        began = process_time()
        self.assertIn("Unmatched", self.mistake("(" * deep + "a==1"))
        self.assertIn("no match", self.mistake("not " * 2000))
        self.assertEqual(parse("not " * 2000 + "a==1"), A)
        self.assertEqual(parse(" or ".join(["a==1"] * 900)), Or((A,) * 900))
        self.assertLess(process_time() - began, 2.0)

    @settings(max_examples=300, deadline=None)
    @given(st.text(alphabet='ab()[]."`= \\\n!1-0é\udc80notrid', max_size=60))
    def test_anyText(self, text: str) -> None:
        """Any text is an expression or a declared mistake."""
        try:
            parse(text)
        except BadExpression as error:
            self.assertTrue(str(error))
