"""Go's words, base64 and columns."""

from __future__ import annotations

import base64

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txconsul.cli.gotext import BadBase64, decode_base64, file_error, system_error, to_bytes
from txconsul.cli.tabwriter import align


class TextTests(SynchronousTestCase):
    """Errors of the system and texts that are none."""

    def test_systemErrors(self) -> None:
        """An error number is told in small letters, with the operation and the name before it."""
        self.assertEqual(system_error(PermissionError(13, "x")), "permission denied")
        self.assertEqual(file_error(FileNotFoundError(2, "x"), "a b"), "open a b: no such file or directory")
        self.assertEqual(file_error(IsADirectoryError(21, "x"), "."), "read .: is a directory")
        self.assertEqual(system_error(OSError("no number")), "no number")

    def test_bytes(self) -> None:
        """Bytes that were no text come back; half a surrogate pair becomes U+FFFD."""
        raw = bytes(range(256))
        self.assertEqual(to_bytes(raw.decode("utf-8", "surrogateescape")), raw)
        self.assertEqual(to_bytes("a\ud800b"), "a\ufffdb".encode())


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


class AlignTests(SynchronousTestCase):
    """Elastic columns, as Go's text/tabwriter documents them."""

    def test_columnsAreRunsOfLines(self) -> None:
        """A column is as wide as its widest cell among adjacent lines, and a line without it ends it."""
        text = b"a\tb\tc\naaa\tbbb\tc\nx\nlonger\tc"
        self.assertEqual(align(text, padding=1), b"a   b   c\naaa bbb c\nx\nlonger c")

    def test_minimum(self) -> None:
        """A column has at least the minimal width, also when its cells are empty."""
        self.assertEqual(align(b"a\t\tc", width_min=4, padding=1), b"a       c")

    def test_width(self) -> None:
        """Width is counted in characters, not in bytes."""
        self.assertEqual(align("é\tx\nab\ty".encode(), padding=1), "é  x\nab y".encode())

    @settings(max_examples=100)
    @given(st.text("ab\t\n", max_size=40))
    def test_keepsText(self, text: str) -> None:
        """Nothing but tabs is replaced, and cells of a column begin at the same place."""
        shown = align(text.encode(), padding=2).decode()
        self.assertEqual(shown.replace(" ", ""), text.replace("\t", ""))
        self.assertEqual(shown.count("\n"), text.count("\n"))
