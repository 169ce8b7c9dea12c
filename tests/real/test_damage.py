"""
Data directories that were damaged, are in use, are newer than the program, or are full.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from unittest import SkipTest

from tests.real.process import AGENT, Process, ProcessTestCase
from txconsul.storage.frames import BATCHES_FROM, decode_batch_header, decode_segment_header

#: Writes, each in a batch of its own.
WRITES = 8


class DamageTests(ProcessTestCase):
    """A start on damaged data ends with a message that names the file, or goes on without the unfinished write."""

    #: The data directory of an agent that was killed after some writes, made by the first test.
    written: Path | None = None

    def setUp(self) -> None:
        """A data directory with some writes in it, and nobody using it."""
        super().setUp()
        if DamageTests.written is None:
            process = self.started()
            for number in range(WRITES):
                self.put(f"key/{number}", b"value %d" % number)
            process.kill()
            DamageTests.written = Path(tempfile.mkdtemp(prefix="txc-"))
            atexit.register(shutil.rmtree, DamageTests.written, ignore_errors=True)
            shutil.copytree(self.data, DamageTests.written / "data")
        else:
            shutil.copytree(DamageTests.written / "data", self.data)
        self.segment = self.data / "raft" / "000000000001.log"

    def refused(self, *patterns: str) -> str:
        """Start on the data, see it end with status 1 and these words; what it wrote."""
        process = self.run_agent("-config-file", self.configuration())
        self.assertEqual(process.wait(), 1, process.output)
        for pattern in patterns:
            self.assertIn(pattern, process.output)
        self.assertNotIn("Traceback", process.output)
        return process.output

    def again(self) -> Process:
        """Start on the data, and see it serve."""
        process = self.run_agent("-config-file", self.configuration())
        self.wait_until_it_serves(process)
        return process

    def batches(self) -> list[tuple[int, int]]:
        """Where each batch of the log begins and ends."""
        data = self.segment.read_bytes()
        salt = decode_segment_header(data).salt
        found, at = [], BATCHES_FROM
        while any(data[at:]):
            end = decode_batch_header(data, at, salt, at).end
            found.append((at, end))
            at = end
        return found

    def flip(self, path: Path, offset: int) -> None:
        """Flip one bit."""
        with path.open("r+b") as file:
            file.seek(offset)
            byte = file.read(1)[0]
            file.seek(offset)
            file.write(bytes([byte ^ 0x10]))

    def test_flippedBitInTheLog(self) -> None:
        """A bit that flipped in a write that others follow stops the start; file and offset are named."""
        start, end = self.batches()[3]
        self.flip(self.segment, (start + end) // 2)
        output = self.refused(str(self.segment), f"offset {start}")
        self.assertEqual(len(re.findall(re.escape(str(self.segment)), output)), 1, output)

    def test_flippedBitInTheSegmentHeader(self) -> None:
        """So does one in a segment's header."""
        self.flip(self.segment, 20)
        self.refused(str(self.segment), "segment header")

    def test_flippedBitInTheVote(self) -> None:
        """So does one in either copy of term and vote."""
        vote = self.data / "raft" / "vote"
        for offset in (24, 4096 + 24):
            self.flip(vote, offset)
            self.refused(str(vote), "bit has flipped")
            self.flip(vote, offset)
        self.stopped(self.again())

    def test_flippedBitInASnapshot(self) -> None:
        """So does one in a snapshot's state or its meta.json."""
        process = self.again()
        self.assertEqual(self.ask("GET", "/v1/snapshot").status, 200)
        self.stopped(process)
        (snapshot,) = (self.data / "raft" / "snapshots").iterdir()
        for name in ("state.bin", "meta.json"):
            path = snapshot / name
            middle = path.stat().st_size // 2
            self.flip(path, middle)
            self.refused(str(path))
            self.flip(path, middle)
        process = self.again()
        self.assertEqual(self.value("key/0"), b"value 0")

    def test_tornTail(self) -> None:
        """A last write that is there in part only is cut with a warning; all before it is there."""
        start, end = self.batches()[-1]
        whole = self.segment.read_bytes()
        tails: dict[str, Callable[[bytes], bytes]] = {
            "half of it": lambda batch: batch[: len(batch) // 2] + bytes(len(batch) - len(batch) // 2),
            "garbage": lambda batch: os.urandom(len(batch)),
            "a flipped bit": lambda batch: batch[:-3] + bytes([batch[-3] ^ 1]) + batch[-2:],
        }
        for what, torn in tails.items():
            self.segment.write_bytes(whole[:start] + torn(whole[start:end]) + whole[end:])
            process = self.again()
            warning = process.wait_for("WARN.*unfinished write")
            self.assertIn(str(self.segment), warning, what)
            self.assertIn(f"offset {start}", warning, what)
            self.assertEqual(self.value(f"key/{WRITES - 2}"), b"value %d" % (WRITES - 2), what)
            self.put("after", b"the cut")
            process.kill()
            process = self.again()
            self.assertEqual(self.value("after"), b"the cut", what)
            self.assertNotIn("unfinished", process.output, what)
            process.kill()

    def test_truncatedSegment(self) -> None:
        """A segment that ends in the middle of its last write is taken up to there."""
        start, _ = self.batches()[-1]
        os.truncate(self.segment, start + 10)
        self.again().wait_for("WARN.*unfinished write")
        self.assertEqual(self.value(f"key/{WRITES - 2}"), b"value %d" % (WRITES - 2))

    def test_inUse(self) -> None:
        """A second agent on the same data directory is refused, and told who uses it; the first goes on."""
        first = self.again()
        second = self.run_agent("-config-file", self.configuration())
        self.assertEqual(second.wait(), 1)
        self.assertIn(f"{self.data}: another txconsul uses it (process {first.popen.pid})", second.output)
        self.assertEqual(self.value("key/0"), b"value 0")

    def test_newerFormat(self) -> None:
        """Data of a newer format is refused and left alone."""
        (self.data / "format").write_text("2\n")
        before = self.segment.read_bytes()
        self.refused(str(self.data), "format 2", "newer txconsul")
        self.assertEqual(self.segment.read_bytes(), before)
        self.assertEqual((self.data / "format").read_text(), "2\n")

    def test_damagedFormat(self) -> None:
        """A format file that holds no number is refused by name."""
        (self.data / "format").write_text("one\n")
        self.refused(str(self.data / "format"), "not a format number")

    def test_consulsOwnData(self) -> None:
        """A directory of Consul's is not written over; the message says how to move the data."""
        shutil.rmtree(self.data)
        (self.data / "raft").mkdir(parents=True)
        (self.data / "raft" / "raft.db").write_bytes(b"bolt")
        self.refused("raft.db", "Consul's own", "snapshot")

    def test_dataDirectoryThatIsAFile(self) -> None:
        """A data directory that is a file is refused by name."""
        shutil.rmtree(self.data)
        self.data.write_text("")
        self.refused(str(self.data))

    def test_modes(self) -> None:
        """Nobody but the owner may look into the data directory, whatever the umask was."""
        for path in (self.data, self.data / "raft", self.data / "raft" / "snapshots"):
            self.assertEqual(path.stat().st_mode & 0o777, 0o700, path)
        for path in (self.segment, self.data / "raft" / "vote", self.data / "node-id", self.data / "lock"):
            self.assertEqual(path.stat().st_mode & 0o777, 0o600, path)


class FullDiskTests(ProcessTestCase):
    """A disk without room: writes are refused, reads go on, and it is over when there is room."""

    #: Room for two segments (16 MiB each, reserved when they are made) and some more.
    SIZE = "40m"
    #: What takes the second one's room.
    BALLAST = 16 << 20

    def setUp(self) -> None:
        """A small file system of its own, which is gone with the agent's mount namespace."""
        super().setUp()
        if os.geteuid() != 0 or shutil.which("unshare") is None:
            raise SkipTest("needs root and unshare, for a small file system")
        tried = subprocess.run(
            ["unshare", "-m", "mount", "-t", "tmpfs", "-o", f"size={self.SIZE}", "none", str(self.directory)],
            capture_output=True,
        )
        if tried.returncode:
            raise SkipTest(f"cannot mount a file system here: {tried.stderr.decode().strip()}")
        self.disk = self.directory / "disk"
        self.disk.mkdir()
        self.data = self.disk / "data"

    def test_fullDisk(self) -> None:
        """Refused with status 500 and a text that says why; nothing acknowledged is lost."""
        script = f'mount -t tmpfs -o size={self.SIZE} none "$0" && exec "$@"'
        process = self.run_program(
            *("unshare", "-m", "sh", "-c", script, str(self.disk)),
            *(*AGENT, "-config-file", self.configuration()),
        )
        self.wait_until_it_serves(process)
        # The disk as the agent sees it.
        inside = Path(f"/proc/{process.popen.pid}/root{self.disk}")
        ballast = inside / "ballast"
        with ballast.open("wb") as file:
            file.write(bytes(self.BALLAST))
        value = b"x" * 500_000
        acknowledged = 0
        while (answer := self.ask("PUT", f"/v1/kv/big/{acknowledged}", value)).status == 200:
            acknowledged += 1
            self.assertLess(acknowledged, 100, "the disk is never full")
        self.assertEqual(answer.status, 500)
        self.assertIn(b"no space left on device: the write was refused, reads go on", answer.body)
        self.assertGreater(acknowledged, 10)

        self.assertEqual(self.value("big/0"), value)
        consistent = self.ask("GET", "/v1/kv/big/?keys&consistent")
        self.assertEqual(len(consistent.json()), acknowledged)
        for _ in range(3):
            self.assertEqual(self.ask("PUT", "/v1/kv/again", value).status, 500)

        ballast.unlink()
        for number in range(3):
            self.put(f"after/{number}", value)
        self.assertEqual(len(self.ask("GET", "/v1/kv/big/?keys").json()), acknowledged)
        self.assertIsNone(self.value("again"))
        self.assertNotIn("Traceback", process.output)
        self.stopped(process)
