"""The template language of prepared queries: what is filled in, and what is refused with which words."""

from __future__ import annotations

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txconsul.language.template import BadEvaluation, BadTemplate, Scope, Template
from txconsul.language.template_numbers import BadNumber, read, show_float
from txconsul.language.template_syntax import DEPTH_MAX

SCOPE = Scope("geo-web-blue", "geo-", "web-blue", "alpha", ("geo-web-blue", "web", "12"))

_PIECES = st.sampled_from(
    [
        *("${", "}", "$$", "$", '"', "\\", "(", ")", "[", "]", ",", "?", ":", "+", "-", "*", "/", "%", "!", "=="),
        *("!=", "<", ">=", "&&", "||", "=", "name.full", "name.suffix", "match(", "match(1)", "true", "1", "2.5"),
        *(" ", "\n", "x", "é", "\udcff", "${match(2)}", '"a"', "nope", "999999999999999999999"),
    ]
)


class TemplateTests(SynchronousTestCase):
    """Text with C{${...}} in it."""

    def render(self, text: str, scope: Scope = SCOPE) -> str:
        return Template(text).render(scope)

    def test_filledIn(self) -> None:
        """Names and groups are filled in; all else stays."""
        for text, expected in (
            ("", ""),
            ("plain }", "plain }"),
            ("${name.full}|${name.prefix}|${name.suffix}|${agent.segment}", "geo-web-blue|geo-|web-blue|alpha"),
            ("${match(1)}-${match(2)}", "web-12"),
            ("a${match(0)}b", "ageo-web-blueb"),
            ("${match(7)}${match(-1)}", ""),
            ("$${name.full} $$ $", "${name.full} $ $"),
            ("$$${name.prefix}", "$geo-"),
            ("${ match( 1 ) }\n", "web\n"),
        ):
            self.assertEqual(self.render(text), expected, text)

    def test_expressions(self) -> None:
        """Arithmetic, comparisons, conditions and quoted text are evaluated, and values converted."""
        for text, expected in (
            ("${1+2*3} ${(1+2)*3} ${10-2-3}", "7 9 5"),
            ("${7/2} ${-7/2} ${-7%3} ${7%-3}", "3 -3 -1 1"),
            ("${1.5+1} ${1/2.0} ${1000000*1.0} ${0.00001*1}", "2.5 0.5 1e+06 1e-05"),
            ("${match(2) + 1} ${match(2) * 1.5}", "13 18"),
            ('${match(2) == "12" ? "yes" : "no"}', "yes"),
            ("${match(2) > 11 && 1 < 2.5} ${!true || false}", "true false"),
            ('${name.suffix != "x"}', "true"),
            ('${"a${match(1)}b" == "awebb" ? 1 : 2}', "1"),
            (r'${"\"\\\n"}$${', '"\\\n${'),
            ("${true ? name.full : 1}", None),
            ("${9223372036854775807+1}", "-9223372036854775808"),
            ("${true ? 1 : 2.5} ${match(9223372036854775808.0)}", "1 "),
        ):
            if expected is None:
                with self.assertRaises(BadEvaluation):
                    self.render(text)
            else:
                self.assertEqual(self.render(text), expected, text)

    def test_syntaxErrors(self) -> None:
        """What is no template is refused, with the place where it ceases to be one."""
        for text, words in (
            ("${broken", '1:9: expected "}" but found end of string'),
            ("${", "1:3: expected expression but found end of string"),
            ("${}", '1:3: expected expression but found "}"'),
            ("${a b}", '1:5: expected "}" but found "b"'),
            ("x\n ${foo", '2:7: expected "}" but found end of string'),
            ('${"abc', '1:4: expected "${" but found invalid sequence "abc"'),
            ("${a=b}", '1:4: expected "}" but found invalid sequence "="'),
            ("${a 1}", '1:5: expected "}" but found integer 1'),
            ("${a 1.5}", '1:5: expected "}" but found float 1.5'),
            ('${a "b"}', '1:5: expected "}" but found opening quote'),
            ("${a[1}", '1:6: expected "]" but found "}"'),
            ("${match(1}", '1:10: expected ")" but found "}"'),
            ("${true ? 1}", '1:11: expected : but found "}"'),
            ("${a &&}", '1:7: expected expression but found "}"'),
            (r'${"\q"}', "1:4: invalid backslash escape sequence"),
            (
                "${99999999999999999999}",
                '1:3: invalid integer: strconv.Atoi: parsing "99999999999999999999": value out of range',
            ),
        ):
            with self.assertRaises(BadTemplate) as caught:
                Template(text)
            self.assertEqual(str(caught.exception), f"parse error at {words}")

    def test_evaluationErrors(self) -> None:
        """What means nothing is refused when it is first filled in."""
        for text, words in (
            ("${nope.var}", "1:3: unknown variable accessed: nope.var"),
            ("${upper(name.suffix)}", "1:3: unknown function called: upper"),
            ("${upper(nope)}", "1:9: unknown variable accessed: nope"),
            ("${match()}", "1:3: match: expected 1 arguments, got 0"),
            ("${match(1, 2)}", "1:3: match: expected 1 arguments, got 2"),
            ("${match(true)}", "at column 3, line 1: match: argument 1 should be type int, got type bool"),
            ("${true + 1}", "at column 3, line 1: operand 1 should be TypeInt, got TypeBool"),
            ("${1.5 % 2}", "at column 3, line 1: modulo cannot be used with floats"),
            ("${1 && true}", "at column 3, line 1: logical operators require boolean operands, not TypeInt"),
            ("${1 ? 2 : 3}", "at column 3, line 1: condition must be type bool, not type int"),
            (
                "${true ? true : 1}",
                "at column 3, line 1: true and false expression types must match; have type bool and type int",
            ),
            (
                "${name.full[0]}",
                "at column 12, line 1: invalid index operation into non-indexable type: TypeString",
            ),
            ("${1/0}", "__builtin_IntMath: divide by zero"),
            ("${1%0}", "__builtin_IntMath: divide by zero"),
            ("${match(1) + 1}", '__builtin_StringToInt: strconv.ParseInt: parsing "web": invalid syntax'),
            ("${match(1) * 1.5}", '__builtin_StringToFloat: strconv.ParseFloat: parsing "web": invalid syntax'),
            ("${!match(1)}", '__builtin_StringToBool: strconv.ParseBool: parsing "web": invalid syntax'),
        ):
            template = Template(text)
            with self.assertRaises(BadEvaluation) as caught:
                template.render(SCOPE)
            self.assertEqual(str(caught.exception), words)

    def test_anyText(self) -> None:
        """Any text is a template or is refused, and any template is filled in or is refused."""

        @settings(max_examples=500, deadline=None)
        @given(st.lists(_PIECES, max_size=12).map("".join) | st.text(max_size=12))
        def decided(text: str) -> None:
            with contextlib.suppress(BadTemplate, BadEvaluation):
                self.assertIsInstance(self.render(text), str)

        decided()

    def test_plainTextIsItself(self) -> None:
        """A text without dollars is what it comes out as; with its dollars doubled, any text is."""

        @settings(max_examples=200, deadline=None)
        @given(st.text(max_size=20))
        def same(text: str) -> None:
            self.assertEqual(self.render(text.replace("$", "$$")), text)

        same()

    def test_depth(self) -> None:
        """Expressions within expressions are bounded, however they are written."""
        for deep in ("(" * 50 + "1" + ")" * 50, "-" * 50 + "1", "!" * 50 + "true", "1" + "+1" * 50):
            with self.assertRaises(BadTemplate) as caught:
                Template("${" + deep + "}")
            self.assertIn("nests too deeply", str(caught.exception))
        self.assertEqual(self.render("${" + "(" * (DEPTH_MAX - 1) + "1" + ")" * (DEPTH_MAX - 1) + "}"), "1")
        nested = "x"
        for _ in range(50):
            nested = '${"' + nested + '"}'
        with self.assertRaises(BadTemplate):
            Template(nested)


class NumberTests(SynchronousTestCase):
    """Numbers as Go reads and writes them."""

    def test_read(self) -> None:
        """What is no value of a type is refused with Go's words."""
        self.assertEqual([read(int, "010"), read(float, "2.5"), read(bool, "T")], [8, 2.5, True])
        for wanted, text, words in (
            (int, "1.0", 'strconv.ParseInt: parsing "1.0": invalid syntax'),
            (int, "9223372036854775808", 'strconv.ParseInt: parsing "9223372036854775808": value out of range'),
            (float, "", 'strconv.ParseFloat: parsing "": invalid syntax'),
            (float, "1e999", 'strconv.ParseFloat: parsing "1e999": value out of range'),
            (bool, "yes", 'strconv.ParseBool: parsing "yes": invalid syntax'),
        ):
            with self.assertRaises(BadNumber) as caught:
                read(wanted, text)
            self.assertEqual(str(caught.exception), words)

    def test_fractions(self) -> None:
        """What is shown is read as the same again."""

        @settings(max_examples=300, deadline=None)
        @given(st.floats(allow_nan=False))
        def same(value: float) -> None:
            self.assertEqual(read(float, show_float(value)), value)

        same()
        for value, text in (
            (123456.0, "123456"),
            (1234567.0, "1.234567e+06"),
            (-0.00012, "-0.00012"),
            (5e-324, "5e-324"),
            (float("nan"), "NaN"),
        ):
            self.assertEqual(show_float(value), text)
