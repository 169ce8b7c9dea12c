"""The data directory: one user at a time, a format that is known, clear words otherwise."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from txconsul.errors import Corrupt
from txconsul.storage.directory import FORMAT, DataDirectory, DirectoryRefused, load_node_id, store_node_id

NODE_ID = "aaaaaaaa-0000-0000-0000-000000000001"


class DataDirectoryTests(SynchronousTestCase):
    """L{DataDirectory}."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp()).absolute()
        self.directory = DataDirectory(self.path)
        self.addCleanup(self.directory.close)

    def test_made(self) -> None:
        """A new directory belongs to its owner alone and has its format written down."""
        self.directory.open()
        for path in (self.path, self.directory.raft, self.directory.snapshots):
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o700)
        self.assertEqual((self.path / "format").read_text(), f"{FORMAT}\n")

    def test_tightened(self) -> None:
        """A directory that others could read is closed to them."""
        self.path.mkdir(mode=0o755)
        self.path.chmod(0o755)
        self.directory.open()
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o700)

    def test_oneUser(self) -> None:
        """A second user is refused; the message names directory and process. Afterwards it may."""
        self.directory.open()
        other = DataDirectory(self.path)
        error = self.assertRaises(DirectoryRefused, other.open)
        self.assertEqual(str(error), f"data directory {self.path}: another txconsul uses it (process {os.getpid()})")
        self.directory.close()
        other.open()
        other.close()

    def test_again(self) -> None:
        """A directory can be opened again and again."""
        for _ in range(3):
            self.directory.open()
            self.directory.close()
            self.directory.close()

    def test_newerFormat(self) -> None:
        """A newer format is refused by number, and the lock is given back."""
        self.directory.open()
        self.directory.close()
        (self.path / "format").write_text("7\n")
        for _ in range(2):
            error = self.assertRaises(DirectoryRefused, self.directory.open)
            self.assertIn("has format 7, written by a newer txconsul", str(error))

    def test_damagedFormat(self) -> None:
        """A format file with anything but a number is damaged, and named."""
        self.directory.open()
        self.directory.close()
        for text in (b"", b"one", b"-1\n", b"0", b"\xff\xfe", "²".encode(), b"1" * 5000):
            (self.path / "format").write_bytes(text)
            error = self.assertRaises((Corrupt, DirectoryRefused), self.directory.open)
            self.assertIn("format", str(error))

    def test_consulsDirectory(self) -> None:
        """The data directory of a Consul server is not taken for a new one."""
        (self.path / "raft").mkdir(parents=True)
        (self.path / "raft" / "raft.db").write_bytes(b"x")
        error = self.assertRaises(DirectoryRefused, self.directory.open)
        self.assertIn("raft/raft.db is Consul's own", str(error))

    def test_noDirectory(self) -> None:
        """A path that cannot be a directory is refused by name."""
        self.path.write_text("a file")
        error = self.assertRaises(DirectoryRefused, self.directory.open)
        self.assertIn(str(self.path), str(error))


class NodeIDTests(SynchronousTestCase):
    """The node's UUID."""

    def test_roundTrip(self) -> None:
        """What was stored is loaded; nothing is stored at first."""
        path = Path(self.mktemp())
        self.assertIsNone(load_node_id(path))
        store_node_id(path, NODE_ID)
        self.assertEqual(load_node_id(path), NODE_ID)
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)

    def test_lenient(self) -> None:
        """Capitals and a line's end, as people leave them, do not matter."""
        path = Path(self.mktemp())
        path.write_text(NODE_ID.upper() + "\n")
        self.assertEqual(load_node_id(path), NODE_ID)

    def test_damaged(self) -> None:
        """Anything else is damaged; the message names the file."""
        path = Path(self.mktemp())
        for text in (b"", b"x" * 36, NODE_ID.encode()[:-1], b"\xff" * 9000):
            path.write_bytes(text)
            self.assertIn(str(path), str(self.assertRaises(Corrupt, load_node_id, path)))
        self.assertRaises(ValueError, store_node_id, path, "me")
