"""
What a call from server to server costs: the pool, the connection and the listener, both ends in this process.

    nice python benchmarks/rpc_calls.py

C{KVS.Get}'s request and answer as real servers exchange them, with an endpoint that answers at once (an attribute
look-up), over loopback TCP. CPU microseconds a call, for both ends together, by the number of calls in flight.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import time
from typing import Any

from twisted.internet import task
from twisted.internet.defer import Deferred, ensureDeferred

from txconsul.codec.gomsgpack import pack
from txconsul.net.direct import DirectNetwork
from txconsul.rpc.demux import ServerPort
from txconsul.rpc.dialing import Dialer, Peer
from txconsul.rpc.listener import CallServer
from txconsul.rpc.pool import ConnectionPool

REQUEST = pack(
    {
        "AllowNotModifiedResponse": False,
        "AllowStale": False,
        "Datacenter": "dc1",
        "Filter": "",
        "Key": "service/web/config/colour",
        "MaxAge": 0,
        "MaxQueryTime": 0,
        "MaxStaleDuration": 0,
        "MinQueryIndex": 0,
        "MustRevalidate": False,
        "RequireConsistent": False,
        "StaleIfError": 0,
        "Token": "11111111-1111-1111-1111-111111111111",
        "UseCache": False,
    }
)
ENTRY = {
    "CreateIndex": 1000,
    "Flags": 0,
    "Key": "service/web/config/colour",
    "LockIndex": 0,
    "ModifyIndex": 1000,
    "Session": "",
    "Value": b"x" * 100,
}
ANSWER = pack(
    {
        "Backend": 0,
        "ConsistencyLevel": "",
        "Entries": [ENTRY],
        "Index": 1000,
        "KnownLeader": True,
        "LastContact": 0,
        "NotModified": False,
        "ResultsFilteredByACLs": False,
    }
)


class Asker:
    """Keeps so many calls in flight, until so many are answered."""

    def __init__(self, pool: ConnectionPool, peer: Peer, in_flight: int, calls: int) -> None:
        self.pool = pool
        self.peer = peer
        self.left = calls
        self.unanswered = calls
        self.done: Deferred[None] = Deferred()
        for _ in range(in_flight):
            self.ask()

    def ask(self) -> None:
        """One more."""
        if self.left:
            self.left -= 1
            self.pool.call(self.peer, "KVS.Get", REQUEST).addCallbacks(self.answered, self.done.errback)

    def answered(self, body: bytes) -> None:
        """One less."""
        self.unanswered -= 1
        self.ask()
        if not self.unanswered:
            self.done.callback(None)


async def measure(reactor: Any, calls: int, profile: bool) -> None:
    """All of it."""
    network = DirectNetwork(reactor)
    port = ServerPort(reactor)
    CallServer(reactor, lambda method, body, source: ANSWER, port.complaints).register(port)
    listening = await network.listen("tcp:0:interface=127.0.0.1", port)
    pool = ConnectionPool(reactor, Dialer(network))
    peer = Peer("here", f"127.0.0.1:{listening.getHost().port}")
    await Asker(pool, peer, 64, 5000).done
    for in_flight in (1, 8, 64, 256):
        profiler = cProfile.Profile() if profile and in_flight == 64 else None
        began, cpu = time.perf_counter(), time.process_time()
        if profiler is not None:
            profiler.enable()
        await Asker(pool, peer, in_flight, calls).done
        if profiler is not None:
            profiler.disable()
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
        print(f"{in_flight:4d} in flight: {cpu / calls * 1e6:6.1f} us of CPU a call, {calls / took:8.0f} calls/s")
        if profiler is not None:
            pstats.Stats(profiler).sort_stats("tottime").print_stats(25)
    await pool.stop()
    await listening.stopListening()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=20000)
    parser.add_argument("--profile", action="store_true", help="of 64 in flight")
    options = parser.parse_args()
    task.react(lambda reactor: ensureDeferred(measure(reactor, options.calls, options.profile)))


if __name__ == "__main__":
    main()
