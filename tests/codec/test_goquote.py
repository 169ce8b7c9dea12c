"""Text in Go's quotes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txconsul.codec.goquote import quote, unquote


class QuoteTests(SynchronousTestCase):
    """As strconv.Quote writes it."""

    def test_quoting(self) -> None:
        """What can be printed stays; the rest is escaped, bytes that are no UTF-8 one by one."""
        for plain, expected in (
            ("", '""'),
            ("a/b c", '"a/b c"'),
            ('say "hi"\\', '"say \\"hi\\"\\\\"'),
            ("\a\b\f\n\r\t\v", '"\\a\\b\\f\\n\\r\\t\\v"'),
            ("\x00\x7f", '"\\x00\\x7f"'),
            ("ü€😀", '"ü€😀"'),
            ("\u200b\U000e0001", '"\\u200b\\U000e0001"'),
            (b"a\xff\xc3", '"a\\xff\\xc3"'),
            (b"\xc3\xbc", '"ü"'),
        ):
            self.assertEqual(quote(plain), expected)


class UnquoteTests(SynchronousTestCase):
    """As strconv.Unquote reads it."""

    def test_unquoting(self) -> None:
        """Escapes in double quotes, nothing of the kind in back quotes."""
        for written, expected in (
            ('""', ""),
            ('"a b"', "a b"),
            (r'"\a\b\f\n\r\t\v\\\""', '\a\b\f\n\r\t\v\\"'),
            (r'"\x41\101\u00e9\U0001F600"', "AAé😀"),
            (r'"\xc3\xa9\xff"', "é\udcff"),
            ("`a\\n\r\nb`", "a\\n\nb"),
        ):
            self.assertEqual(unquote(written), expected, written)

    def test_refused(self) -> None:
        """What is no literal of Go's."""
        for written in ("", '"', "a", "'a'", '"a`', '"a"b"', "`a`b`", '"\n"', *(rf'"{one}"' for one in _WRONG)):
            self.assertIsNone(unquote(written), written)

    @given(st.text())
    def test_roundTrip(self, text: str) -> None:
        """What was quoted is read as it was."""
        plain = text.encode("utf-8", "replace").decode()
        self.assertEqual(unquote(quote(plain)), plain)


#: Escapes that are none, and characters that there are not.
_WRONG = (r"\q", "\\", r"\'", r"\x4", r"\u12", r"\U00110000", r"\ud800", r"\400", r"\08")
