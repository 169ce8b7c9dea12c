"""
What a gossip pool keeps on disk: a snapshot, by which it finds its pool again, and its keys.

Neither stops gossip: what cannot be written is logged, and tried again.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from txconsul.serf.keyring_file import KEYRING_BYTES_MAX, read_keyring, write_keyring
from txconsul.serf.outputs import MemberEvent, UserEventCame
from txconsul.serf.snapshot import LINE_BYTES_MAX, Snapshot
from txconsul.storage.files import Files
from txconsul.storage.journal import Journal
from txconsul.storage.worker import Worker
from txconsul.swim.keyring import BadKey, Keyring

__all__ = ["KeyringFile", "SnapshotFile"]

_log = Logger()


class SnapshotFile:
    """
    Serf's snapshot file, and what it says.

    @ivar state: what it says.
    """

    def __init__(
        self, path: str, clock: IReactorTime, worker: Worker, *, rejoin_after_leave: bool, files: Files | None = None
    ) -> None:
        """@param worker: does what blocks."""
        self.state = Snapshot(rejoin_after_leave=rejoin_after_leave)
        self._journal = Journal(path, clock, worker, self.state.contents, files=files)

    @inlineCallbacks
    def open(self) -> Any:
        """
        Read it. @return: a Deferred firing when C{state} is what it says, or failing with
        L{DiskFailed<txconsul.errors.DiskFailed>} if it cannot be read; if there is none, nothing is remembered.
        """
        lines = yield self._journal.read(LINE_BYTES_MAX)
        for problem in self.state.replay(lines or ()):
            _log.warn("gossip snapshot {path}: {problem}", path=self._journal.path, problem=problem)
        self._append(b"")

    def hear(self, event: MemberEvent | UserEventCame) -> None:
        """Something happened in the pool."""
        self._append(self.state.hear(event))

    def tick(self, l_times: tuple[int, int, int]) -> None:
        """The clocks may have gone on. @param l_times: as C{SerfNode.l_times} gives them."""
        lines = self.state.tick(l_times[0] - 1, l_times[2] - 1)
        if lines:
            self._append(lines)

    def leave(self) -> None:
        """The node leaves: this is written now."""
        self._append(self.state.leave())
        self._journal.flush()

    def close(self) -> Deferred[None]:
        """@return: a Deferred firing when everything is written, or could not be."""
        return self._journal.close()

    def _append(self, lines: bytes) -> None:
        self._journal.append(lines)
        if self.state.is_due:
            self._journal.replace()


class KeyringFile:
    """A file of keys."""

    def __init__(self, path: str, clock: IReactorTime, worker: Worker, *, files: Files | None = None) -> None:
        """@param worker: does what blocks."""
        self._ring: Keyring | None = None
        self._journal = Journal(path, clock, worker, self._contents, files=files)

    @inlineCallbacks
    def open(self, given: Keyring | None) -> Any:
        """
        Read the keys. If there is no file, one is made with the keys that are given; if there is one, it counts, as it
        has what became of those since.

        @return: a Deferred of the L{Keyring}, failing with L{BadKey} if the file is bad, or if there are no keys at
            all, and with L{DiskFailed<txconsul.errors.DiskFailed>} if it cannot be read.
        """
        path = self._journal.path
        pieces = yield self._journal.read(KEYRING_BYTES_MAX + 1)
        if pieces is None:
            if given is None:
                raise BadKey(f"there is no keyring {path}")
            self._ring = given
            self._journal.replace()
            return given
        try:
            ring = self._ring = read_keyring(b"".join(pieces))
        except BadKey as error:
            raise BadKey(f"keyring {path}: {error}") from None
        if given is not None and not set(given.keys) <= set(ring.keys):
            _log.warn("keyring {path} lacks a key that was given: the keyring counts", path=path)
        return ring

    def keep(self) -> Deferred[str]:
        """
        The keys have changed: write them now.

        @return: a Deferred firing when they are written, with an empty text, or are not, with the reason.
        """
        return self._journal.replace()

    def close(self) -> Deferred[None]:
        """@return: a Deferred firing when everything is written, or could not be."""
        return self._journal.close()

    def _contents(self) -> bytes:
        assert self._ring is not None, "nothing is written before the keys are known"
        return write_keyring(self._ring)
