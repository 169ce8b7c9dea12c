"""
Where a server keeps what it must not forget: in its data directory, or, for development, in memory.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from txconsul.interfaces import ILogStore, ISnapshotStore, IStableStore
from txconsul.storage.directory import DataDirectory, load_node_id, store_node_id
from txconsul.storage.memory import MemoryDisk, MemoryLogStore, MemorySnapshotStore, MemoryStableStore
from txconsul.storage.segments import SegmentLog
from txconsul.storage.snapshots import SnapshotStore
from txconsul.storage.stable import StableStore
from txconsul.storage.worker import DiskThread, Inline, Worker

__all__ = ["Stores", "on_disk", "volatile"]

_log = Logger("txconsul.storage")


class Stores(NamedTuple):
    """
    @ivar node_id: the node's UUID.
    @ivar serf: the directory of the gossip pools' files; empty for none.
    @ivar worker: does what blocks for those.
    @ivar close: gives everything free, the lock of the data directory last.
    """

    node_id: str
    log: ILogStore
    stable: IStableStore
    snapshots: ISnapshotStore
    serf: str
    worker: Worker
    close: Callable[[], Deferred[Any]]


def volatile(reactor: Any, node_id: str) -> Stores:
    """Stores that end with the process."""
    disk = MemoryDisk(reactor)
    return Stores(
        node_id,
        MemoryLogStore(disk),
        MemoryStableStore(disk),
        MemorySnapshotStore(disk),
        "",
        Inline(),
        lambda: succeed(None),
    )


def on_disk(path: str, reactor: Any, node_id: str) -> Stores:
    """
    The stores of a data directory, which is locked until they are closed.

    @param node_id: the configured UUID; empty for the one that is kept there, or a new one.
    @raise DirectoryRefused: the directory cannot be used.
    @raise Corrupt: what is in it is damaged; the text names the file.
    """
    directory = DataDirectory(path)
    directory.open()
    try:
        identity = node_id.lower() or load_node_id(directory.node_id) or str(uuid.uuid4())
        if identity != load_node_id(directory.node_id):
            store_node_id(directory.node_id, identity)
        log_thread = DiskThread(reactor, "raft log")
        snapshot_thread = DiskThread(reactor, "snapshots")
        gossip_thread = DiskThread(reactor, "gossip")
        log = SegmentLog(str(directory.raft), log_thread)
        if log.note:
            _log.warn("{note}", note=log.note)
        stable = StableStore(str(directory.vote))
        snapshots = SnapshotStore(str(directory.snapshots), snapshot_thread)
    except BaseException:
        directory.close()
        raise

    async def close() -> None:
        try:
            await log.close()
            await snapshot_thread.close()
            await gossip_thread.close()
        finally:
            directory.close()

    return Stores(
        identity,
        log,
        stable,
        snapshots,
        str(directory.serf),
        gossip_thread,
        lambda: Deferred.fromCoroutine(close()),
    )
