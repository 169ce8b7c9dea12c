"""Groups of Go's regular expressions: which match is found, and what its groups hold."""

from __future__ import annotations

import contextlib
import re

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txconsul.language.goregexp import BadRegexp, TooCostly
from txconsul.language.goregexp_groups import STEPS_MAX, GroupPattern

#: Patterns in which Go and Python agree: nothing that may be empty is repeated.
_ATOMS = st.sampled_from(["a", "b", ".", "[ab]", r"\w", "^", "$"])
_SOLID = st.sampled_from(["a", "b", "ab", "[ab]", "(a)", "(b|c)", "(?:ab|a)", r"(\w)"])
_REPEATED = st.builds(lambda part, sign: part + sign, _SOLID, st.sampled_from(["", "*", "+", "?", "*?", "+?", "??"]))
_SEQUENCES = st.lists(_REPEATED | _ATOMS | st.builds("({})".format, _REPEATED), max_size=4).map("".join)
_PATTERNS = st.lists(_SEQUENCES, min_size=1, max_size=2).map("|".join)


class GroupTests(SynchronousTestCase):
    """The leftmost match, and of those the first in Perl's sense."""

    def match(self, pattern: str, text: str) -> list[str]:
        return GroupPattern(pattern).match(text)

    def test_examples(self) -> None:
        """Greedy and lazy repetitions, alternatives in their order, and groups that were not used."""
        for pattern, text, found in (
            (r"^geo-(.*?)-([^\-]+?)$", "geo-web-blue", ["geo-web-blue", "web", "blue"]),
            (r"^geo-(.*?)-([^\-]+?)$", "geo-web", []),
            ("(a|ab)(c|bcd)(d*)", "abcd", ["abcd", "a", "bcd", ""]),
            ("(?:(a)|b)*", "ab", ["ab", "a"]),
            (r"(\w+)@(?P<host>\w+)", "to foo@bar", ["foo@bar", "foo", "bar"]),
            ("(a+)(a*)", "aaa", ["aaa", "aaa", ""]),
            ("(?U)(a+)(a*)", "aaa", ["a", "a", ""]),
            ("(?U:(a+?))(a*)", "aaa", ["aaa", "aaa", ""]),
            ("(?i)(B)", "ab", ["b", "b"]),
            ("x{2,3}?(x*)", "xxxx", ["xxxx", "xx"]),
            ("(a)|(b)", "b", ["b", "", "b"]),
            ("", "ab", [""]),
        ):
            self.assertEqual(self.match(pattern, text), found, (pattern, text))

    def test_emptyRepetitions(self) -> None:
        """What may be empty is repeated without end, and is tried once where it takes nothing."""
        self.assertEqual(self.match("(a*)*", "b"), ["", ""])
        self.assertEqual(self.match("(a*)+", "aab"), ["aa", "aa"])
        self.assertEqual(self.match("(|a)+", "aa"), ["", ""])

    def test_asPython(self) -> None:
        """Where Go's rules and Python's are the same, so are the groups."""

        @settings(max_examples=400, deadline=None)
        @given(_PATTERNS, st.text("abc\n", max_size=8))
        def same(pattern: str, text: str) -> None:
            found = re.search(pattern.replace("$", r"\Z"), text)
            expected = [] if found is None else [found[0], *[one or "" for one in found.groups()]]
            self.assertEqual(self.match(pattern, text), expected)

        same()

    def test_anyPattern(self) -> None:
        """Any text is a pattern or is refused; a match takes no more than its time."""

        @settings(max_examples=300, deadline=None)
        @given(st.text("ab()|*+?[]^${}1,\\w.-", max_size=12), st.text("ab1", max_size=12))
        def decided(pattern: str, text: str) -> None:
            with contextlib.suppress(BadRegexp, TooCostly):
                self.match(pattern, text)

        decided()

    def test_limits(self) -> None:
        """A match that would take too long is given up; a pattern that is too large is refused."""
        with self.assertRaises(TooCostly):
            self.match("(?:a?){500}b", "a" * 300)
        with self.assertRaises(BadRegexp):
            GroupPattern("(?:a{1000}){1}(?:b{1000}){1}(?:c{1000}){1}(?:d{1000}){1}e")
        self.assertGreater(STEPS_MAX, 255 * 100)  # a DNS name, and a pattern of a hundred instructions
