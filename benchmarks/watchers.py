"""
What it costs that many clients wait for one service.

    python -m benchmarks.watchers [--watchers 10000] [--instances 10]

That many connections wait for the health of one service. Then there are writes that do not concern it, to keys and to
other services, and one that does. Printed are the resident memory of the server while they wait, what an unrelated
write costs with and without them, how many of them it wakes (none), the time from the change until the last of them
has its answer, and the CPU time of each.
"""

from __future__ import annotations

import argparse
import re
import resource
import select
import socket
import sys
import time
from collections.abc import Callable

from benchmarks.server import Server

#: Unrelated writes.
WRITES = 1000
#: Nobody has to wait for longer than this.
DEADLINE_SECONDS = 60.0


def instance(number: int, status: str = "passing", service: str = "web") -> dict[str, object]:
    """A registration of an instance and its check."""
    id = f"{service}{number}"
    return {
        "Node": f"node{number}",
        "Address": f"10.9.{number >> 8}.{number & 255}",
        "Service": {"ID": id, "Service": service, "Port": 80, "Tags": ["v1", "prod"], "Meta": {"version": "1"}},
        "Check": {"Node": f"node{number}", "CheckID": id, "Name": "c", "Status": status, "ServiceID": id},
    }


class Watchers:
    """Connections, each with one request for the same."""

    def __init__(self, server: Server, count: int) -> None:
        self._links: dict[int, socket.socket] = {}
        self._poll = select.epoll()
        for _ in range(count):
            link = socket.create_connection(("127.0.0.1", server.port))
            self._links[link.fileno()] = link
            self._poll.register(link, select.EPOLLIN)

    def ask(self, path: str) -> None:
        """Send the request on each."""
        request = f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
        for link in self._links.values():
            link.sendall(request)

    def answered(self) -> int:
        """How many have got something at this moment."""
        return len(self._poll.poll(0, len(self._links)))

    def take(self) -> set[bytes]:
        """Read a whole answer from each; the different bodies."""
        bodies, partial = set(), dict.fromkeys(self._links, b"")
        until = time.monotonic() + DEADLINE_SECONDS
        while partial:
            if time.monotonic() > until:
                raise SystemExit(f"{len(partial)} have no answer after {DEADLINE_SECONDS:g} s")
            for number, _ in self._poll.poll(1, len(self._links)):
                data = partial[number] + self._links[number].recv(1 << 20)
                head, _, body = data.partition(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: (\d+)", head)
                if length and len(body) == int(length[1]):
                    del partial[number]
                    bodies.add(body)
                else:
                    partial[number] = data
        return bodies


def cost(server: Server, write: Callable[[int], object], count: int = WRITES) -> float:
    """CPU microseconds of the server for each of some writes."""
    before = server.cpu_seconds()
    for number in range(count):
        write(number)
    return (server.cpu_seconds() - before) / count * 1e6


def measure(server: Server, count: int, instances: int) -> None:
    """Print everything."""
    for number in range(instances):
        server.put("/v1/catalog/register", instance(number))
    unrelated = {
        "a key": lambda number: server.put(f"/v1/kv/k{number}", "x"),
        "a service": lambda number: server.put("/v1/catalog/register", instance(5000, f"{number}", "other")),
    }
    alone = {name: cost(server, write) for name, write in unrelated.items()}
    watchers = Watchers(server, count)
    watchers.ask("/v1/health/service/web")
    watchers.take()
    idle = server.resident_mb()
    with_index = server.put("/v1/txn", [{"KV": {"Verb": "set", "Key": "a", "Value": ""}}])
    index = int(re.search(rb'"ModifyIndex":(\d+)', with_index)[1])  # type: ignore[index]
    watchers.ask(f"/v1/health/service/web?index={index}&wait=10m")
    parked = time.monotonic() + DEADLINE_SECONDS
    used = -1.0
    while used != server.cpu_seconds():  # until it has read all of them
        used = server.cpu_seconds()
        time.sleep(0.5)
        if time.monotonic() > parked:
            raise SystemExit("the server does not come to rest")
    held = server.resident_mb()
    print(
        f"{count} waiting connections: {held:.0f} MB resident, {server.peak_mb():.0f} at most; {idle:.0f} MB when idle"
    )
    for name, write in unrelated.items():
        beside = cost(server, write)
        print(
            f"a write to {name}: {beside:.0f} CPU us, {alone[name]:.0f} without watchers; wakes {watchers.answered()}"
        )
    before, began = server.cpu_seconds(), time.monotonic()
    server.put("/v1/catalog/register", instance(0, "critical"))
    bodies = watchers.take()
    took, used = time.monotonic() - began, server.cpu_seconds() - before
    size = len(next(iter(bodies)))
    print(f"one change: all answered in {took:.2f} s, {used / count * 1e6:.1f} CPU us each")
    print(f"{len(bodies)} different answers, of {size} bytes; most memory then {server.peak_mb():.0f} MB")


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--watchers", type=int, default=10_000)
    parser.add_argument("--instances", type=int, default=10)
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    server = Server()
    try:
        measure(server, options.watchers, options.instances)
    finally:
        server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
