"""Go's durations."""

from __future__ import annotations

import doctest

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txconsul.codec import duration
from txconsul.codec.duration import BadDuration, format_duration, parse_duration


class ParseTests(SynchronousTestCase):
    """Text to nanoseconds."""

    def test_units(self) -> None:
        """Every unit of Go's, alone and together."""
        for text, wanted in {
            "1ns": 1,
            "1us": 1000,
            "1µs": 1000,
            "2ms": 2_000_000,
            "3s": 3_000_000_000,
            "1m": 60_000_000_000,
            "1h": 3_600_000_000_000,
            "1h15m30.5s": 4_530_500_000_000,
            "-1.5h": -5_400_000_000_000,
            "+5s": 5_000_000_000,
            ".5s": 500_000_000,
            "1.s": 1_000_000_000,
            "0": 0,
            "-0": 0,
        }.items():
            self.assertEqual(parse_duration(text), wanted, text)

    def test_nonsense(self) -> None:
        """What is no duration is refused in Go's words."""
        for text in ("", "s", ".s", "1", "3x", "--1s", "1s ", " 1s", "1e3s", "99999999999h"):
            self.assertRaises(BadDuration, parse_duration, text)
        self.assertEqual(str(self._error("10")), 'time: missing unit in duration "10"')
        self.assertEqual(str(self._error("later")), 'time: invalid duration "later"')

    def test_whatIsWrong(self) -> None:
        """The error tells an unknown unit from a missing one, and shows what cannot be printed by its bytes."""
        for text, wanted in {
            "1d": 'unknown unit "d" in duration "1d"',
            "1ss": 'unknown unit "ss" in duration "1ss"',
            "1 s": 'unknown unit " s" in duration "1 s"',
            "1e3s": 'unknown unit "e" in duration "1e3s"',
            "10s5": 'missing unit in duration "10s5"',
            "1.5": 'missing unit in duration "1.5"',
            "1.1.1s": 'missing unit in duration "1.1.1s"',
            "-": 'invalid duration "-"',
            "": 'invalid duration ""',
            "\0s": 'invalid duration "\\x00s"',
            '1"s': 'unknown unit "\\"s" in duration "1\\"s"',
            "1é": 'unknown unit "\\xc3\\xa9" in duration "1\\xc3\\xa9"',
            "9223372036854775808ns": 'invalid duration "9223372036854775808ns"',
            "9" * 5000 + "h": 'invalid duration "' + "9" * 5000 + 'h"',
        }.items():
            self.assertEqual(str(self._error(text)), "time: " + wanted, text)

    def test_manyDigits(self) -> None:
        """Zeros in front of a number, and digits below a nanosecond, do not count."""
        self.assertEqual(parse_duration("0" * 40 + "1s"), 1_000_000_000)
        self.assertEqual(parse_duration("0.1" + "0" * 40 + "h"), 360_000_000_000)
        self.assertEqual(parse_duration("-9223372036854775808ns"), -(2**63))

    def _error(self, text: str) -> Exception:
        """The error of parsing a text."""
        return self.assertRaises(BadDuration, parse_duration, text)

    @given(st.text(max_size=20))
    def test_anyText(self, text: str) -> None:
        """Any text gives a number of 64 bits or BadDuration."""
        try:
            value = parse_duration(text)
        except BadDuration:
            return
        self.assertTrue(-(2**63) <= value < 2**63)


class FormatTests(SynchronousTestCase):
    """Nanoseconds to text."""

    def test_examples(self) -> None:
        """As Go's Duration.String writes them."""
        for value, wanted in {
            0: "0s",
            1: "1ns",
            1100: "1.1µs",
            2_200_000: "2.2ms",
            1_000_000_000: "1s",
            3_300_000_000: "3.3s",
            245_000_000_000: "4m5s",
            3_600_000_000_000: "1h0m0s",
            86_400_000_000_000: "24h0m0s",
            -1_500_000_000: "-1.5s",
        }.items():
            self.assertEqual(format_duration(value), wanted)

    @given(st.integers(-(2**62), 2**62))
    def test_roundTrip(self, value: int) -> None:
        """What is written is read back."""
        self.assertEqual(parse_duration(format_duration(value)), value)

    def test_documentation(self) -> None:
        """The examples in the docstrings hold."""
        self.assertEqual(doctest.testmod(duration).failed, 0)
