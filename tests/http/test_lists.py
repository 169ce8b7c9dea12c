"""Long lists come out as they would in one piece."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txconsul.codec import json
from txconsul.http import lists
from txconsul.http.answers import JSON, compress
from txconsul.http.response import Response
from txconsul.records.kv import DirEntry

ENTRIES = st.builds(
    DirEntry,
    key=st.binary(max_size=20),
    value=st.none() | st.binary(max_size=40),
    session=st.sampled_from(["", "0b0f5d08-ed1b-4609-80fc-89976ff2c0b2"]),
    modify_index=st.integers(0, 2**64 - 1),
)


class ListTests(SynchronousTestCase):
    """What is rendered in pieces."""

    def small(self) -> None:
        """Let pieces be so small that a few rows make several."""
        self.patch(lists, "PIECE_ROWS", 3)
        self.patch(lists, "PIECE_BYTES", 12)

    def test_entries(self) -> None:
        """Keys with values, whatever is in them, and values longer than a piece."""
        self.small()

        @given(st.lists(ENTRIES, min_size=1))
        def check(rows: list[DirEntry]) -> None:
            self.assertEqual(b"".join(lists.entries(rows)), json.encode(rows))

        check()

    def test_renderedRows(self) -> None:
        """Rows that are left out leave no trace, wherever they are."""
        self.small()

        @given(st.lists(st.none() | st.integers()))
        def check(rows: list[int | None]) -> None:
            pieces = lists.rendered_rows(rows, lambda row: b"" if row is None else str(row).encode())
            self.assertEqual(b"".join(pieces), json.encode([row for row in rows if row is not None]))

        check()

    def test_names(self) -> None:
        """Names, UTF-8 or not."""
        self.small()

        @given(st.lists(st.binary(max_size=20), min_size=1))
        def check(keys: list[bytes]) -> None:
            whole = json.encode([key.decode("utf-8", "replace") for key in keys])
            self.assertEqual(b"".join(lists.names(keys)), whole)

        check()

    def test_pieces(self) -> None:
        """No piece is much longer than its bounds, and those of a long value are not made before they are asked for."""
        rows = [DirEntry(key=b"%d" % number, value=b"x" * 1000) for number in range(1000)]
        rows.append(DirEntry(key=b"large", value=b"x" * 500_000))
        sizes = [len(piece) for piece in lists.entries(rows)]
        self.assertLess(max(sizes), 2 * lists.PIECE_BYTES)
        self.assertGreater(len(sizes), 10)

    def test_isLong(self) -> None:
        """Many rows, or many bytes, make a list long."""
        self.assertFalse(lists.is_long([b"a"] * lists.PIECE_ROWS, len))
        self.assertTrue(lists.is_long([b"a"] * (lists.PIECE_ROWS + 1), len))
        self.assertFalse(lists.is_long([b"a" * lists.PIECE_BYTES], len))
        self.assertTrue(lists.is_long([b"a" * lists.PIECE_BYTES, b"a"], len))

    def test_compressed(self) -> None:
        """Pieces are compressed one after the other, if they are JSON."""
        rows = [DirEntry(key=b"%d" % number, value=b"x" * 100) for number in range(5000)]
        response = compress(Response(200, JSON, lists.entries(rows)))
        assert isinstance(response.body, Iterator)
        self.assertIn(b"Content-Encoding: gzip\r\n", response.head)
        self.assertEqual(gzip.decompress(b"".join(response.body)), json.encode(rows))
        archive = Response(200, b"Content-Type: application/x-gzip\r\n", iter([b"x"]))
        self.assertIs(compress(archive), archive)
