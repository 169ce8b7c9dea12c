"""Base64 as Go reads it."""

from __future__ import annotations

import base64

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txconsul.codec.gobase64 import BadBase64, decode_base64


class Base64Tests(SynchronousTestCase):
    """Go's standard encoding."""

    @settings(max_examples=100)
    @given(st.binary(max_size=40), st.integers(1, 8))
    def test_decodes(self, data: bytes, width: int) -> None:
        """What was encoded is decoded, wherever the lines are broken."""
        text = base64.b64encode(data).decode()
        broken = "\r\n".join(text[at : at + width] for at in range(0, len(text), width))
        self.assertEqual(decode_base64(broken), data)

    def test_offsets(self) -> None:
        """The first wrong byte is named; for what is cut short, the first byte of the group that lacks the rest."""
        for text, offset in (
            ("***", 0),
            ("AAA*", 3),
            ("AAAA*", 4),
            ("A", 0),
            ("AA", 0),
            ("AAAAAA", 4),
            ("AA=", 3),
            ("AA=A", 3),
            ("A===", 1),
            ("AA==AA", 4),
            ("AA==\n=", 5),
            ("é", 0),
        ):
            error = self.assertRaises(BadBase64, decode_base64, text)
            self.assertEqual(str(error), f"illegal base64 data at input byte {offset}", text)

    @settings(max_examples=200)
    @given(st.text(max_size=12) | st.text("AB=\n*", max_size=9))
    def test_decodesOrNames(self, text: str) -> None:
        """Any text is decoded or refused with an offset inside it or at its end."""
        try:
            decode_base64(text)
        except BadBase64 as error:
            self.assertLessEqual(int(str(error).split()[-1]), len(text.encode()))
