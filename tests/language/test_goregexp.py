"""Go's regular expressions: what matches, what is none, and that no pattern takes long."""

from __future__ import annotations

import re
from random import Random
from time import process_time
from unicodedata import category

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txconsul.language.goregexp import PROGRAM_MAX, STEPS_KEPT, WORK_MAX, Allowance, BadRegexp, Pattern, TooCostly
from txconsul.language.goregexp_syntax import _CATEGORIES, DEPTH_MAX, REPEAT_MAX


def found(pattern: str, text: str) -> bool:
    """Is there a match?"""
    return Pattern(pattern, Allowance()).search(text)


class MatchTests(SynchronousTestCase):
    """What matches."""

    def check(self, pattern: str, yes: list[str], no: list[str]) -> None:
        """The texts that match and those that do not."""
        compiled = Pattern(pattern, Allowance())
        for text in yes:
            self.assertTrue(compiled.search(text), (pattern, text))
        for text in no:
            self.assertFalse(compiled.search(text), (pattern, text))

    def test_anywhere(self) -> None:
        """A match may begin and end anywhere, unless it is anchored."""
        self.check("b", ["b", "abc"], ["", "ac"])
        self.check("", ["", "a"], [])
        self.check("^b", ["bc"], ["ab", "a\nb"])
        self.check("b$", ["ab"], ["ba", "b\n"])
        self.check(r"\Ab\z", ["b"], ["b\n", "ab"])
        self.check("(?m)^b$", ["b", "a\nb\nc"], ["ab"])

    def test_repetitions(self) -> None:
        """Repetitions by sign and by number; laziness changes nothing of whether there is a match."""
        self.check("^ab*c$", ["ac", "abbc"], ["abd"])
        self.check("^ab+?c$", ["abc"], ["ac"])
        self.check("^ab??c$", ["ac", "abc"], ["abbc"])
        self.check("^a{2}$", ["aa"], ["a", "aaa"])
        self.check("^a{2,}$", ["aa", "aaaa"], ["a"])
        self.check("^a{1,3}$", ["a", "aaa"], ["", "aaaa"])
        self.check("^a{0}b{0,1}$", ["", "b"], ["a"])
        self.check("^(a|bc){2}$", ["abc", "bca", "aa"], ["ab"])
        self.check("^(a*)*$", ["", "aaa"], ["b"])
        self.check("^a{,2}$", ["a{,2}"], ["a"])
        self.check("^{x}{01}$", ["{x}{01}"], [])

    def test_alternatives(self) -> None:
        """One or another, also nothing."""
        self.check("^(ab|cd|)$", ["ab", "cd", ""], ["ad"])
        self.check("^(?:a|b)|z$", ["ax", "bz", "xz"], ["xy"])

    def test_classes(self) -> None:
        """Sets, ranges, negation, and named classes; a new line is a character of negated ones."""
        self.check("^[a-cx]$", ["b", "x"], ["d", ""])
        self.check("^[^a-c]$", ["d", "\n"], ["b"])
        self.check("^[]a-]$", ["]", "a", "-"], ["b"])
        self.check("^[^]]$", ["a"], ["]"])
        self.check(r"^[\d.]+$", ["10.5"], ["a"])
        self.check(r"^\w\W\s\S\d\D$", ["_- x1a"], ["é- x1a"])
        self.check(r"^\s$", [" ", "\t", "\n", "\f", "\r"], ["\v", "\u00a0"])
        self.check("^[[:alpha:][:^ascii:]]$", ["a", "é"], ["1"])
        self.check("^[[:space:]]$", ["\v", " "], ["x"])
        self.check(r"^\pL\p{Lu}\PN\p{^Nd}\p{Any}$", ["éÉaa1"], ["1Éaa1", "ééaa1", "éÉ1a1"])

    def test_dot(self) -> None:
        """A dot is any character but a new line, unless told otherwise."""
        self.check("^.$", ["a", "é", "😀"], ["\n", ""])
        self.check("(?s)^.$", ["\n"], [""])
        self.check("^(?s:.).$", ["\na"], ["a\n"])

    def test_case(self) -> None:
        """Case does not count where it is told so: to the end of the group, or of its own one."""
        self.check("(?i)^aB$", ["ab", "AB"], ["a"])
        self.check("^(?i:a)b$", ["Ab"], ["AB"])
        self.check("^((?i)a)b$", ["Ab"], ["AB"])
        self.check("(?i)a(?-i)b", ["Ab"], ["AB"])
        self.check("(?i)^[^a]$", ["b"], ["a", "A"])
        self.check("(?i)^k$", ["K", "\u212a"], [])
        self.check("(?i)^[[:lower:]]$", ["A"], ["1"])
        self.check("(?i)^\u03a3$", ["\u03c3", "\u03c2"], ["s"])

    def test_escapes(self) -> None:
        """Characters by their signs and numbers, and whole texts."""
        self.check(r"^\x41\x{1F600}\101\n\t\.\\\-$", ["A😀A\n\t.\\-"], [])
        self.check(r"^\Qa.b*\E+$", ["a.b*", "a.b**"], ["axb"])
        self.check(r"\Qa.", ["a."], ["ab"])

    def test_words(self) -> None:
        """The edges of words are those of ASCII."""
        self.check(r"\bab\b", ["ab", "x ab.", "éab"], ["xab", "ab_"])
        self.check(r"a\Bb", ["ab"], ["a b"])
        self.check(r"^\b$|\B$", ["", "-"], ["a"])

    def test_names(self) -> None:
        """Groups may have names, in both spellings."""
        self.check("^(?P<first>a)(?<second>b)$", ["ab"], [])


class MistakeTests(SynchronousTestCase):
    """What is no pattern, in Go's words."""

    def test_mistakes(self) -> None:
        """The mistake and the part that it is in."""
        for pattern, what, part in (
            ("(", "missing closing )", "("),
            ("a(b", "missing closing )", "a(b"),
            ("a)b", "unexpected )", "a)b"),
            ("x[a", "missing closing ]", "[a"),
            ("x\udcffy[", "invalid UTF-8", "\udcffy["),
            ("[", "missing closing ]", "["),
            ("[z-a]", "invalid character class range", "z-a"),
            ("[[:nope:]]", "invalid character class range", "[:nope:]"),
            (r"\pX", "invalid character class range", r"\pX"),
            (r"\p{Greek}", "invalid character class range", r"\p{Greek}"),
            ("a**", "invalid nested repetition operator", "**"),
            ("a{2}{3}", "invalid nested repetition operator", "{2}{3}"),
            ("*a", "missing argument to repetition operator", "*"),
            ("(|+)", "missing argument to repetition operator", "+"),
            ("a{1001}", "invalid repeat count", "{1001}"),
            ("a{3,2}", "invalid repeat count", "{3,2}"),
            ("((a{10}){10}){11}", "invalid repeat count", "{11}"),
            (r"(a)\1", "invalid escape sequence", r"\1"),
            (r"\q", "invalid escape sequence", r"\q"),
            (r"\C", "invalid escape sequence", r"\C"),
            ("a\\", "trailing backslash at end of expression", ""),
            ("(?=a)", "invalid or unsupported Perl syntax", "(?="),
            ("(?!a)", "invalid or unsupported Perl syntax", "(?!"),
            ("(?<=a)b", "invalid named capture", "(?<=a)b"),
            ("(?P<a-b>c)", "invalid named capture", "(?P<a-b>"),
            ("(?P=n)", "invalid or unsupported Perl syntax", "(?P"),
        ):
            error = self.assertRaises(BadRegexp, Pattern, pattern, Allowance())
            self.assertEqual(str(error), f"error parsing regexp: {what}: `{part}`")

    def test_limits(self) -> None:
        """Groups nest so deep, and a pattern has so many instructions."""
        found("(" * DEPTH_MAX + ")" * DEPTH_MAX, "")
        self.assertRaises(BadRegexp, found, "(" * (DEPTH_MAX + 1) + ")" * (DEPTH_MAX + 1), "")
        large = f"(?:{'a' * (PROGRAM_MAX // REPEAT_MAX + 1)}){{{REPEAT_MAX}}}"
        self.assertIn("too large", str(self.assertRaises(BadRegexp, found, large, "")))

    def test_categories(self) -> None:
        """All of Unicode's general categories are known."""
        self.assertEqual(
            {one for one in _CATEGORIES if len(one) == 2}, {category(chr(code)) for code in range(0x30000)} | {"Co"}
        )


_ATOMS = st.sampled_from(["a", "b", "c", ".", "[ab]", "[^a]", r"\w", r"\d", "^", "$", r"\b", "(?:ab)", "x"])
_PATTERNS = st.recursive(
    _ATOMS,
    lambda inner: st.one_of(
        st.builds(lambda a, b: a + b, inner, inner),
        st.builds(lambda a, b: f"(?:{a}|{b})", inner, inner),
        st.builds(lambda a, sign: f"(?:{a}){sign}", inner, st.sampled_from(["*", "+", "?", "{2}", "{1,2}", "{0,}"])),
    ),
    max_leaves=8,
)


class PropertyTests(SynchronousTestCase):
    """Whatever the pattern."""

    @settings(max_examples=300, deadline=None)
    @given(_PATTERNS, st.lists(st.text("abcx1 _\n", max_size=8), max_size=6))
    def test_asPython(self, pattern: str, texts: list[str]) -> None:
        """Where both know a pattern, Python's own module says the same: its C{\\Z} is Go's C{$}."""
        compiled = Pattern(pattern, Allowance())
        other = re.compile(pattern.replace("$", r"\Z"), re.ASCII)
        for text in texts:
            self.assertEqual(compiled.search(text), other.search(text) is not None, (pattern, text))

    @settings(max_examples=400, deadline=None)
    @given(st.text("ab()[]{}?*+|^$\\.-,:<>=!PpQExnsd0129iL", max_size=25), st.text("ab1\n", max_size=20))
    def test_anything(self, pattern: str, text: str) -> None:
        """Any text is a pattern or is refused in the declared way."""
        try:
            found(pattern, text)
        except BadRegexp as error:
            self.assertTrue(str(error).startswith("error parsing regexp: "))

    def test_linear(self) -> None:
        """Patterns that keep others busy for years are done at once."""
        began = process_time()
        for pattern in ("(a+)+$", "^(a|a)*$", "(a|aa)+$", "(.*)(.*)(.*)(.*)(.*)x$", "^(([a-z])+.)+[A-Z]([a-z])+$"):
            self.assertFalse(found(pattern, "a" * 20_000 + "!"))
        self.assertLess(process_time() - began, 2.0)

    def test_allowance(self) -> None:
        """What makes too many states stops; patterns spend together, and refilled they may go on."""
        allowance = Allowance()
        one, other = (Pattern(text, allowance) for text in ("[ab]*a[ab]{900}c", "(a|b){800}"))
        text = "".join(Random(1).choices("ab", k=20_000))
        self.assertRaises(TooCostly, one.search, text)
        self.assertRaises(TooCostly, other.search, "ab")
        self.assertLess(allowance.spent, WORK_MAX + PROGRAM_MAX)
        allowance.refill()
        self.assertFalse(other.search("ab"))

    def test_memory(self) -> None:
        """However many characters there are, only so many steps are kept."""
        pattern = Pattern("q$", Allowance())
        self.assertFalse(pattern.search("".join(map(chr, range(0x4E00, 0x4E00 + 2 * STEPS_KEPT)))))
        self.assertLessEqual(pattern.kept, STEPS_KEPT)
