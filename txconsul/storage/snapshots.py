"""
Snapshots on disk: one directory each, as hashicorp/raft's FileSnapshotStore keeps them.

C{ID/meta.json}, C{ID/state.bin}, and of our own C{ID/SHA256SUMS} with the sum of C{meta.json} (for C{sha256sum -c}),
so that no byte is without a checksum: meta.json has the CRC-64 of state.bin. A snapshot is written to C{ID.tmp} and
renamed once all of it is durable, and renamed back before it is deleted: a directory under its final name is whole, or
something has happened to the disk.

Source: the wire documents, Raft, section 3.2; a directory that Consul wrote can be read, and Consul can read ours.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import BinaryIO

import msgspec
from twisted.internet.defer import Deferred, fail
from twisted.logger import Logger
from zope.interface import implementer

from txconsul.codec import gomsgpack, json
from txconsul.errors import BadRequest, Corrupt, DiskFailed
from txconsul.interfaces import ISnapshotSink, ISnapshotStore
from txconsul.records.raft import Configuration, Suffrage
from txconsul.records.snapshot import SnapshotMeta
from txconsul.storage.crc64 import crc64
from txconsul.storage.files import Files, disk_error, write_all
from txconsul.storage.worker import Worker

__all__ = ["META_BYTES_MAX", "SNAPSHOTS_KEPT", "SnapshotSink", "SnapshotStore", "decode_meta", "encode_meta"]

#: As Consul keeps them: the newest, and the one before in case of doubt.
SNAPSHOTS_KEPT = 2
#: A meta.json of a thousand servers has 150 KB.
META_BYTES_MAX = 1024 * 1024
#: The only version of snapshots that hashicorp/raft still writes.
SNAPSHOT_VERSION = 1

META_NAME = "meta.json"
STATE_NAME = "state.bin"
SUMS_NAME = "SHA256SUMS"
_TEMPORARY = ".tmp"
_ID = re.compile(r"(\d{1,20})-(\d{1,20})-(\d{1,20})")
#: Bytes read at once while a checksum is verified.
_PIECE_BYTES = 1024 * 1024


def encode_meta(meta: SnapshotMeta) -> bytes:
    """The content of C{meta.json}: one line."""
    return json.encode(meta) + b"\n"


def decode_meta(data: bytes) -> SnapshotMeta:
    """
    @raise Corrupt: the bytes are no meta.json, or of a version that is not known.
    """
    if len(data) > META_BYTES_MAX:
        raise Corrupt(f"{META_NAME} has more than {META_BYTES_MAX} bytes")
    try:
        meta = json.decode(SnapshotMeta, data)
    except BadRequest as error:
        raise Corrupt(f"{META_NAME}: {error}") from None
    if meta.version != SNAPSHOT_VERSION:
        raise Corrupt(f"{META_NAME}: snapshot version {meta.version} is not known")
    if min(meta.index, meta.term, meta.configuration_index, meta.size) < 0:
        raise Corrupt(f"{META_NAME}: a number below zero")
    return meta


def encode_peers(configuration: Configuration) -> bytes:
    """The voters' addresses as readers of old expect them."""
    return gomsgpack.pack([server.address for server in configuration.servers if server.suffrage == Suffrage.VOTER])


@implementer(ISnapshotSink)
class SnapshotSink:
    """A snapshot that is being written to C{ID.tmp}. A failed write leaves nothing but the call of L{abort}."""

    def __init__(self, store: SnapshotStore, meta: SnapshotMeta) -> None:
        """Made by L{SnapshotStore.create}. @raise DiskFull: there is no room even for the directory."""
        self._store = store
        self._files = store.files
        self._meta = meta
        self._directory = os.path.join(store.directory, meta.id + _TEMPORARY)
        self._crc = crc64()
        self._size = 0
        self._done = False
        self._path = os.path.join(self._directory, STATE_NAME)
        self._descriptor: int | None = None
        try:
            self._files.make_directory(self._directory)
            self._descriptor = self._files.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        except OSError as error:
            self._remove()
            raise disk_error(error, self._directory) from None

    @property
    def id(self) -> str:
        """What the snapshot will be called."""
        return self._meta.id

    def write(self, data: bytes) -> None:
        """See L{ISnapshotSink.write}."""
        if self._descriptor is None:
            raise ValueError("the snapshot was finished or given up")
        try:
            write_all(self._files, self._descriptor, data, self._size)
        except OSError as error:
            raise disk_error(error, self._path) from None
        self._size += len(data)
        self._crc.update(data)

    def finish(self) -> Deferred[SnapshotMeta]:
        """See L{ISnapshotSink.finish}. If it fails, nothing is left of the snapshot."""
        if self._done:
            return fail(ValueError("the snapshot was finished or given up"))
        self._done = True
        return self._store.worker.run(self._finish)

    def abort(self) -> None:
        """See L{ISnapshotSink.abort}. Of no effect after L{finish}."""
        if not self._done:
            self._done = True
            self._store.worker.run(self._remove)

    def _finish(self) -> SnapshotMeta:
        """In the thread: everything durable, then the name."""
        files, store = self._files, self._store
        meta = msgspec.structs.replace(self._meta, size=self._size, crc=self._crc.digest())
        line = encode_meta(meta)
        sums = f"{hashlib.sha256(line).hexdigest()}  {META_NAME}\n".encode()
        final = os.path.join(store.directory, meta.id)
        try:
            assert self._descriptor is not None
            files.sync(self._descriptor)
            self._close()
            for name, data in ((META_NAME, line), (SUMS_NAME, sums)):
                self._put(name, data)
            files.sync_directory(self._directory)
            files.rename(self._directory, final)
            files.sync_directory(store.directory)
        except OSError as error:
            self._remove()
            raise disk_error(error, self._directory) from None
        store.reap()
        return meta

    def _put(self, name: str, data: bytes) -> None:
        descriptor = self._files.open(os.path.join(self._directory, name), os.O_RDWR | os.O_CREAT | os.O_EXCL)
        try:
            write_all(self._files, descriptor, data, 0)
            self._files.sync(descriptor)
        finally:
            self._files.close(descriptor)

    def _close(self) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            self._files.close(descriptor)

    def _remove(self) -> None:
        with suppress(OSError):  # the next start removes it
            self._close()
            self._store.remove_tree(self._directory)


@implementer(ISnapshotStore)
class SnapshotStore:
    """The snapshots of one directory."""

    log = Logger()

    def __init__(
        self,
        directory: str,
        worker: Worker,
        *,
        kept: int = SNAPSHOTS_KEPT,
        files: Files | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """
        What an interrupted write left is removed.

        @param directory: it must exist.
        @param worker: where the syncs are done; not the log's, whose commits must not wait for a snapshot.
        @param kept: how many snapshots stay.
        @param wall: the wall clock in Unix seconds, for the third part of an id.
        @raise DiskFailed: the directory cannot be read or cleaned.
        """
        self.directory = directory
        self.worker = worker
        self.files = files or Files()
        self._kept = kept
        self._wall = wall
        self._newest_millis = 0
        try:
            for name in self.files.list(directory):
                if name.endswith(_TEMPORARY) and _ID.fullmatch(name.removesuffix(_TEMPORARY)):
                    self.remove_tree(os.path.join(directory, name))
        except OSError as error:
            raise disk_error(error, directory) from None

    def create(self, index: int, term: int, configuration: Configuration, configuration_index: int) -> SnapshotSink:
        """See L{ISnapshotStore.create}. @raise DiskFull: there is no room."""
        self._newest_millis = max(self._newest_millis + 1, int(self._wall() * 1000))
        meta = SnapshotMeta(
            id=f"{term}-{index}-{self._newest_millis}",
            index=index,
            term=term,
            peers=encode_peers(configuration),
            configuration=configuration,
            configuration_index=configuration_index,
        )
        return SnapshotSink(self, meta)

    def list(self) -> Sequence[SnapshotMeta]:
        """
        See L{ISnapshotStore.list}.

        @raise Corrupt: what a snapshot says of itself is damaged. It is not passed over: the log before it is gone.
        """
        return [self._meta(id) for id in self._ids()]

    def open(self, id: str) -> tuple[SnapshotMeta, BinaryIO]:
        """See L{ISnapshotStore.open}. All of the state is read once for the checksum."""
        if _ID.fullmatch(id) is None or not self.files.is_directory(os.path.join(self.directory, id)):
            raise KeyError(id)
        meta = self._meta(id)
        path = os.path.join(self.directory, id, STATE_NAME)
        try:
            stream = self.files.reader(path)
        except FileNotFoundError:
            raise Corrupt(f"{path}: it is missing") from None
        except OSError as error:
            raise DiskFailed(f"{DiskFailed.text}: {path}: {error.strerror}") from None
        try:
            checksum, size = crc64(), 0
            while piece := stream.read(_PIECE_BYTES):
                size += len(piece)
                checksum.update(piece)
            if size != meta.size:
                raise Corrupt(f"{path}: it has {size} bytes, {META_NAME} says {meta.size}")
            if meta.crc is None or checksum.digest() != meta.crc:
                raise Corrupt(f"{path}: wrong checksum")
            stream.seek(0)
        except OSError as error:
            stream.close()
            raise DiskFailed(f"{DiskFailed.text}: {path}: {error.strerror}") from None
        except BaseException:
            stream.close()
            raise
        return meta, stream

    def reap(self) -> None:
        """Delete all but the newest. Called in the thread; what cannot be deleted now is tried again with the next."""
        try:
            for id in self._ids()[self._kept :]:
                path = os.path.join(self.directory, id)
                self.files.rename(path, path + _TEMPORARY)
                self.remove_tree(path + _TEMPORARY)
        except OSError as error:
            self.log.warn("an old snapshot cannot be deleted now: {reason}", reason=error)

    def remove_tree(self, path: str) -> None:
        """Delete a snapshot's directory with what is in it. @raise OSError: it cannot be."""
        for name in self.files.list(path):
            self.files.unlink(os.path.join(path, name))
        self.files.remove_directory(path)

    def _ids(self) -> Sequence[str]:
        """The ids of whole snapshots, newest first: by term, index, time."""
        found = []
        for name in self.files.list(self.directory):
            if (match := _ID.fullmatch(name)) and self.files.is_directory(os.path.join(self.directory, name)):
                found.append((int(match[1]), int(match[2]), int(match[3]), name))
        return [name for *_, name in sorted(found, reverse=True)]

    def _meta(self, id: str) -> SnapshotMeta:
        path = os.path.join(self.directory, id, META_NAME)
        line = self._small(path)
        if line is None:
            raise Corrupt(f"{path}: it is missing")
        sums = self._small(os.path.join(self.directory, id, SUMS_NAME))
        if sums is not None and sums != f"{hashlib.sha256(line).hexdigest()}  {META_NAME}\n".encode():
            raise Corrupt(f"{path}: it does not agree with {SUMS_NAME} beside it")
        try:
            meta = decode_meta(line)
        except Corrupt as error:
            raise Corrupt(f"{path}: {error}") from None
        if meta.id != id or not id.startswith(f"{meta.term}-{meta.index}-"):
            raise Corrupt(f"{path}: it tells of snapshot {meta.id!r}, term {meta.term}, index {meta.index}")
        return meta

    def _small(self, path: str) -> bytes | None:
        try:
            with self.files.reader(path) as stream:
                return stream.read(META_BYTES_MAX + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DiskFailed(f"{DiskFailed.text}: {path}: {error.strerror}") from None
