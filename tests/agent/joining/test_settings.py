"""The little language of cloud auto-join."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txconsul.agent.joining.settings import BadSettings, parse


def written(settings: dict[str, str]) -> str:
    """Settings as somebody could write them."""

    def quoted(text: str) -> str:
        return '"' + "".join(f"\\U{ord(one):08x}" if one in '\\"\n' else one for one in text) + '"'

    return "  ".join(f"{quoted(key)} = {quoted(value)}" for key, value in settings.items())


class ParseTests(SynchronousTestCase):
    """Settings read."""

    def test_plain(self) -> None:
        """Words; spaces around the equals sign and at the ends do not count."""
        self.assertEqual(parse("provider=aws region=eu-west-1"), {"provider": "aws", "region": "eu-west-1"})
        self.assertEqual(parse("  a = b   c= d "), {"a": "b", "c": "d"})
        self.assertEqual(parse(" "), {})
        self.assertEqual(parse('a=b"c'), {"a": 'b"c'})

    def test_quoted(self) -> None:
        """Keys and values in quotes, with escapes; a quoted value may be empty."""
        self.assertEqual(parse(r'"some key"="some \"value\""'), {"some key": 'some "value"'})
        self.assertEqual(parse(r'a="b=c\\" d=""'), {"a": "b=c\\", "d": ""})
        self.assertEqual(parse(r'a="\t\x41\101é\u00e9\U0001F600\xc3\xa9"'), {"a": "\tAAéé😀é"})
        self.assertEqual(parse(r'a="\xff"'), {"a": "\udcff"})

    def test_bad(self) -> None:
        """What cannot be read is refused, with the key."""
        for text, why in (
            ("a", "a: missing '='"),
            ("a b=c", "a: missing '='"),
            ("a=", "a: missing value"),
            ("a==b", "a: missing value"),
            ("a=b a=c", "a: duplicate key"),
            ('a="b', "a: unbalanced quotes"),
            ('a="b\\', "a: unbalanced quotes"),
            ('"a', "unbalanced quotes"),
            (r'a="\q"', "a: invalid syntax"),
            (r'a="\400"', "a: invalid syntax"),
            (r'a="\ud800"', "a: invalid syntax"),
            (r'a="\U00110000"', "a: invalid syntax"),
            ('a="b\nc"', "a: invalid syntax"),
        ):
            self.assertEqual(str(self.assertRaises(BadSettings, parse, text)), why, text)
        error = self.assertRaises(BadSettings, parse, "a=b=c")
        self.assertIn("in double quotes", str(error))

    @given(st.dictionaries(st.text(), st.text()))
    def test_round(self, settings: dict[str, str]) -> None:
        """What is written in quotes is read."""
        self.assertEqual(parse(written(settings)), settings)

    @given(st.text(alphabet='ab= "\\xu0') | st.text())
    def test_anything(self, text: str) -> None:
        """Any text is read or refused."""
        with contextlib.suppress(BadSettings):
            parse(text)
