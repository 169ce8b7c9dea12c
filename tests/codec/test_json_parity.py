"""Go's habits in reading JSON that is not quite right."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txconsul.codec.json import BadJSON, parse


class RepairTests(SynchronousTestCase):
    """What Go reads although other readers refuse it."""

    def test_bytesThatAreNoUTF8(self) -> None:
        """Each becomes U+FFFD."""
        for data, wanted in {
            b'"a\xff\xfeb"': "a\ufffd\ufffdb",
            b'"\xe2\x82"': "\ufffd\ufffd",
            b'"\xed\xa0\x80"': "\ufffd\ufffd\ufffd",
            b'"\xc3\xa4"': "\xe4",
            b'["\xff"] and more': ["\ufffd"],
        }.items():
            self.assertEqual(parse(data), wanted, data)

    def test_halvesOfPairs(self) -> None:
        """Half of a surrogate pair becomes U+FFFD; whole pairs and escaped backslashes are what they are."""
        for data, wanted in {
            rb'"\ud800"': "\ufffd",
            rb'"\uDC00x"': "\ufffdx",
            rb'"\ud800\u0041"': "\ufffdA",
            rb'"\ud83d\ude00"': "\U0001f600",
            rb'"\ud800\ud83d\ude00"': "\ufffd\U0001f600",
            rb'"\\ud800\ud800"': "\\ud800\ufffd",
        }.items():
            self.assertEqual(parse(data), wanted, data)

    def test_ends(self) -> None:
        """A text that ends too early is told from one that is empty."""
        for data, wanted in {b"": "EOF", b" \n": "EOF", b"{": "unexpected EOF", b'[{"a":': "unexpected EOF"}.items():
            self.assertEqual(str(self.assertRaises(BadJSON, parse, data)), wanted, data)

    def test_refused(self) -> None:
        """A byte order mark, NaN, and characters that must be escaped, are refused all the same."""
        for data in (b"\xef\xbb\xbf[]", b"NaN", b"[NaN] x", b'"\t"', b"[1,]", b"'a'", b"[01]", b"\xff"):
            self.assertRaises(BadJSON, parse, data)

    @given(st.binary(max_size=30))
    def test_anything(self, data: bytes) -> None:
        """Any bytes within a string are read, or refused."""
        with contextlib.suppress(BadJSON):
            self.assertIsInstance(parse(b'"' + data.replace(b'"', b"") + b'"'), str)
