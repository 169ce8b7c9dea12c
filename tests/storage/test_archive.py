"""The snapshot archive: Consul's own is read, ours is the same, and nothing bad is believed."""

from __future__ import annotations

import gzip
import hashlib
import tarfile
import zlib
from collections.abc import Sequence
from io import BytesIO
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests import vectors
from tests.storage.contract import SERVERS
from txconsul.errors import Corrupt
from txconsul.records.snapshot import SnapshotMeta
from txconsul.storage.archive import ArchiveReader, open_archive, write_archive
from txconsul.storage.snapshots import encode_meta

STATE = bytes(range(256)) * 5
META = SnapshotMeta(id="2-3-4", index=3, term=2, configuration=SERVERS, size=len(STATE))
LINE = encode_meta(META)


def archive(meta: SnapshotMeta = META, state: bytes = STATE) -> bytes:
    """Ours."""
    return b"".join(write_archive(meta, BytesIO(state), 1_700_000_000))


def sums(**members: bytes) -> bytes:
    """The lines of SHA256SUMS; underscores stand for points."""
    return "".join(
        f"{hashlib.sha256(data).hexdigest()}  {name.replace('_', '.')}\n" for name, data in members.items()
    ).encode()


SUMS = sums(state_bin=STATE, meta_json=LINE)


def tar(members: Sequence[tuple[str, bytes]], tail: bytes = b"", kind: bytes = tarfile.REGTYPE) -> bytes:
    """Anybody's."""
    plain = b""
    for name, data in members:
        info = tarfile.TarInfo(name)
        info.size, info.type = len(data), kind
        plain += info.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % 512)
    return gzip.compress(plain + bytes(1024) + tail)


def read(data: bytes, piece: int = 1 << 16, **limits: int) -> tuple[SnapshotMeta, bytes]:
    """What the reader makes of an archive that comes in pieces."""
    spool = BytesIO()
    reader = ArchiveReader(spool, **limits)
    for at in range(0, len(data), piece):
        reader.feed(data[at : at + piece])
    return reader.finish(), spool.getvalue()


class ArchiveTests(SynchronousTestCase):
    """Reading and writing."""

    def test_consulsArchive(self) -> None:
        """A real server's archive is read, its sums verified, and written again with the same members."""
        for vector in vectors.load("snapshot_archive"):
            given_bytes = vectors.data(vector)
            meta, spool = open_archive(BytesIO(given_bytes), BytesIO())
            state = spool.read()
            self.assertEqual((meta.id, meta.size), (vector["decoded"]["meta.json"]["ID"], len(state)))
            again = archive(meta, state)
            self.assertEqual(read(again), (meta, state))
            members = []
            for data in (given_bytes, again):
                with tarfile.open(fileobj=BytesIO(data)) as opened:
                    members.append([(m.name, m.mode, opened.extractfile(m).read()) for m in opened])  # type: ignore[union-attr]
            theirs, ours = ({name: (mode, data) for name, mode, data in one} for one in members)
            self.assertEqual(theirs.keys(), ours.keys())
            for name in ("meta.json", "state.bin"):
                self.assertEqual(theirs[name], ours[name])
            self.assertEqual(*(sorted(one["SHA256SUMS"][1].splitlines()) for one in (theirs, ours)))

    def test_anyPieces(self) -> None:
        """It does not matter how the bytes are cut."""
        data = archive()
        for piece in (1, 7, 512, len(data)):
            self.assertEqual(read(data, piece), (META, STATE))

    def test_crcStaysHome(self) -> None:
        """The CRC of a snapshot on disk is not in the archive."""
        self.assertIsNone(read(archive(SnapshotMeta(size=1, crc=bytes(8)), b"x"))[0].crc)

    def test_anyOrder(self) -> None:
        """Members may come in any order."""
        members = [("SHA256SUMS", SUMS), ("state.bin", STATE), ("meta.json", LINE)]
        self.assertEqual(read(tar(members)), (META, STATE))
        self.assertEqual(read(tar(members[::-1])), (META, STATE))

    def test_emptyState(self) -> None:
        """A state of no bytes."""
        meta = SnapshotMeta(id="2-3-4")
        self.assertEqual(read(archive(meta, b"")), (meta, b""))

    def test_largeState(self) -> None:
        """A state of many pieces is streamed."""
        state = Random(1).randbytes(3 << 20) + bytes(3 << 20)
        meta = SnapshotMeta(id="2-3-4", size=len(state))
        pieces = list(write_archive(meta, BytesIO(state), 0))
        self.assertGreater(len(pieces), 10)
        self.assertEqual(read(b"".join(pieces), 1000), (meta, state))

    def test_stateOfAnotherLength(self) -> None:
        """A state that is not as long as its meta says is not archived."""
        for state in (STATE[:-1], STATE + b"x"):
            self.assertRaises(Corrupt, archive, META, state)


class BadArchiveTests(SynchronousTestCase):
    """Each fault has its text."""

    def refused(self, data: bytes, text: str, **limits: int) -> None:
        """For several ways to cut the bytes."""
        for piece in (1 << 20, 100):
            error = self.assertRaises(Corrupt, read, data, piece, **limits)
            self.assertIn(text, str(error))

    def test_faults(self) -> None:
        """Missing, strange, doubled or wrong members; wrong sums."""
        meta, state, check = ("meta.json", LINE), ("state.bin", STATE), ("SHA256SUMS", SUMS)
        for members, text in [
            ([], "meta.json is missing"),
            ([meta, state], "SHA256SUMS is missing"),
            ([meta, check], "state.bin is missing"),
            ([state, check], "meta.json is missing"),
            ([meta, state, check, meta], "meta.json is there twice"),
            ([meta, state, check, ("etc/passwd", b"x")], "unexpected member 'etc/passwd'"),
            ([meta, state, ("SHA256SUMS", sums(meta_json=LINE))], "no sum of state.bin"),
            ([meta, state, ("SHA256SUMS", sums(meta_json=b"", state_bin=STATE))], "wrong checksum of meta.json"),
            ([meta, ("state.bin", STATE[::-1]), check], "wrong checksum of state.bin"),
            ([meta, state, ("SHA256SUMS", SUMS + sums(extra=b""))], "names 'extra'"),
            ([meta, state, ("SHA256SUMS", SUMS + SUMS)], "cannot be understood"),
            ([meta, state, ("SHA256SUMS", b"hello\n")], "cannot be understood"),
            ([("meta.json", b"{"), state, ("SHA256SUMS", sums(meta_json=b"{", state_bin=STATE))], "meta.json: "),
            ([meta, ("state.bin", b"x"), ("SHA256SUMS", sums(meta_json=LINE, state_bin=b"x"))], "has 1 bytes"),
            ([meta, state, ("SHA256SUMS", bytes(5000))], "SHA256SUMS has 5000 bytes, more than 4096"),
        ]:
            self.refused(tar(members), text)

    def test_otherKinds(self) -> None:
        """Links, directories and extended headers are no members."""
        for kind in (tarfile.SYMTYPE, tarfile.DIRTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME):
            self.refused(tar([("meta.json", b"")], kind=kind), "unexpected member")

    def test_tails(self) -> None:
        """Zeros may follow the last member, up to a bound, and nothing else."""
        members = [("meta.json", LINE), ("state.bin", STATE), ("SHA256SUMS", SUMS)]
        self.assertEqual(read(tar(members, bytes(10_240))), (META, STATE))
        self.refused(tar(members, b"x"), "something follows its last member")
        self.refused(tar(members, bytes(1 << 20)), "something follows its last member")
        self.refused(tar(members) + b"more", "something follows its end")

    def test_bombs(self) -> None:
        """A small archive cannot make the reader keep or write more than its limits."""
        huge = bytes(50_000_000)
        self.refused(
            tar([("state.bin", huge)]), "state.bin has 50000000 bytes, more than 1000000", state_bytes_max=1_000_000
        )
        self.refused(tar([("meta.json", huge)]), "meta.json has 50000000 bytes")
        self.refused(gzip.compress(huge), "something follows its last member")

    def test_cutAnywhere(self) -> None:
        """An archive that ends too early is refused wherever it ends."""
        data = archive()
        for at in range(len(data)):
            self.assertRaises(Corrupt, read, data[:at])

    @settings(max_examples=200, deadline=None)
    @given(st.integers(0, 3000), st.binary(max_size=30), st.integers(0, 30))
    def test_changedBytes(self, at: int, junk: bytes, gone: int) -> None:
        """Changed bytes, packed or unpacked, give the same archive or Corrupt."""
        packed, plain = archive(), gzip.decompress(archive())
        for data in (
            packed[:at] + junk + packed[at + gone :],
            zlib.compress(plain[:at] + junk + plain[at + gone :], wbits=31),
        ):
            try:
                meta, state = read(data)
            except Corrupt:
                continue
            self.assertEqual((meta, state), (META, STATE))
