"""Go's words and columns."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txconsul.cli.gotext import file_error, system_error, to_bytes
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
