"""
What replication costs: three consensus instances over loopback in one process, their logs on disk.

C{python -m benchmarks.raft_replication [IN_FLIGHT ...]} prints CPU microseconds a committed entry, over all three
servers and their log threads, entries a second, and how many entries an append carried. With C{--profile} also where
the time of the reactor's thread went.
"""

from __future__ import annotations

import cProfile
import pstats
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater, react

from benchmarks.raft_propose import Nothing
from txconsul.consensus import Consensus
from txconsul.consensus.snapshots import SnapshotPolicy
from txconsul.net.direct import DirectNetwork
from txconsul.raft.timing import Timing
from txconsul.records.raft import Configuration, Server
from txconsul.rpc.demux import FirstByte, ServerPort
from txconsul.rpc.dialing import Dialer, Peer
from txconsul.rpc.raft_transport import RaftTransport
from txconsul.storage.memory import MemoryDisk, MemorySnapshotStore, MemoryStableStore
from txconsul.storage.segments import SegmentLog
from txconsul.storage.worker import DiskThread

ENTRIES = 20_000
#: A write of a small key.
DATA = b"\x02" + bytes(180)


async def group(reactor: Any, directory: Path) -> list[Consensus]:
    """Three servers."""
    network = DirectNetwork(reactor)
    dialer = Dialer(network)
    ports, servers = [], []
    for id in "abc":
        port = ServerPort(reactor)
        listening = await network.listen("tcp:0:interface=127.0.0.1", port)
        address = f"127.0.0.1:{listening.getHost().port}"
        ports.append(port)
        servers.append(Server(id=id, address=address))
    found = []
    for port, server in zip(ports, servers, strict=True):
        transport = RaftTransport(
            server.id,
            server.address,
            dial=lambda address, protocol: dialer.dial(Peer(address, address), FirstByte.RAFT, protocol),
            clock=reactor,
        )
        port.protocols[FirstByte.RAFT] = transport.factory.buildProtocol
        place = directory / server.id
        place.mkdir()
        disk = MemoryDisk(reactor)
        consensus = Consensus(
            server.id,
            log_store=SegmentLog(str(place), DiskThread(reactor, server.id)),
            stable_store=MemoryStableStore(disk),
            snapshot_store=MemorySnapshotStore(disk),
            machine=Nothing(),
            transport=transport,
            clock=reactor,
            rng=Random(server.id),
            timing=Timing.multiplied(1),
            policy=SnapshotPolicy(threshold=1 << 40),
        )
        transport.consensus = consensus
        await consensus.start(Configuration(servers=tuple(servers)))
        found.append(consensus)
    return found


def load(leader: Consensus, in_flight: int, count: int) -> Deferred[None]:
    """Keep so many proposals under way, until so many are committed."""
    done: Deferred[None] = Deferred()
    left = [count, count]

    def propose() -> None:
        left[0] -= 1
        leader.propose(DATA).addCallbacks(answered, done.errback)

    def answered(_: object) -> None:
        left[1] -= 1
        if left[0] > 0:
            propose()
        elif not left[1]:
            done.callback(None)

    for _ in range(in_flight):
        propose()
    return done


async def main(reactor: Any, *words: str) -> None:
    """Measure."""
    reactor.seconds = time.monotonic
    sizes = [int(word) for word in words if word.isdigit()] or [1, 64, 256]
    with tempfile.TemporaryDirectory(dir=".") as directory:
        servers = await group(reactor, Path(directory))
        while not any(server.is_leader for server in servers):
            await deferLater(reactor, 0.05)
        (leader,) = [server for server in servers if server.is_leader]
        await load(leader, 64, 5000)
        for in_flight in sizes:
            count = ENTRIES if in_flight > 1 else ENTRIES // 20
            profile = cProfile.Profile() if "--profile" in words else None
            appends = leader.core._rounds.next  # type: ignore[attr-defined]
            began, wall = time.process_time(), time.monotonic()
            if profile is not None:
                profile.enable()
            await load(leader, in_flight, count)
            if profile is not None:
                profile.disable()
            spent, took = time.process_time() - began, time.monotonic() - wall
            appends = leader.core._rounds.next - appends  # type: ignore[attr-defined]
            print(
                f"{in_flight} in flight: {spent / count * 1e6:.1f} us CPU an entry,"
                f" {count / took:.0f} entries a second, {2 * count / appends:.1f} entries an append"
            )
            if profile is not None:
                pstats.Stats(profile).sort_stats("tottime").print_stats(35)


if __name__ == "__main__":
    react(main, sys.argv[1:])
