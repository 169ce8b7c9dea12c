"""Text in Go's quotes."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from txconsul.codec.goquote import quote


class QuoteTests(SynchronousTestCase):
    """As strconv.Quote writes it."""

    def test_quoting(self) -> None:
        """What can be printed stays; the rest is escaped, bytes that are no UTF-8 one by one."""
        for given, expected in (
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
            self.assertEqual(quote(given), expected)
