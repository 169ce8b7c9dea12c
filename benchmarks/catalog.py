"""
A large catalog: how fast it is loaded, and what one service then costs to find.

    python -m benchmarks.catalog [--nodes 5000] [--services 10] [--names 5000] [--checks] [--seconds 4]

First ten instances of one service are there, and reads of it are measured. Then that many nodes with that many
services each are registered through C{/v1/txn}, as many operations in one transaction as Consul allows, over a few
connections; and the reads are measured again. Needs wrk and dnsperf (script/debian-packages installs them).
"""

from __future__ import annotations

import argparse
import http.client
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.server import Server
from benchmarks.watchers import instance

#: What Consul allows in one transaction.
OPERATIONS_MAX = 128
#: Connections that load the catalog.
CONNECTIONS = 4


def operations(node: int, services: int, names: int, checks: bool) -> Iterator[dict[str, Any]]:
    """What registers one node with its services."""
    name = f"host{node:05}"
    yield {"Node": {"Verb": "set", "Node": {"Node": name, "Address": f"10.{node >> 8}.{node & 255}.1"}}}
    for number in range(services):
        service = f"service{(node * services + number) % names}"
        it = {"ID": f"{service}-{number}", "Service": service, "Port": 8000 + number, "Tags": ["v1", "prod"]}
        yield {"Service": {"Verb": "set", "Node": name, "Service": it}}
        if checks:
            check = {"Node": name, "CheckID": it["ID"], "Name": "c", "Status": "passing", "ServiceID": it["ID"]}
            yield {"Check": {"Verb": "set", "Check": check}}


def transactions(nodes: int, services: int, names: int, checks: bool) -> Iterator[bytes]:
    """Bodies for C{/v1/txn}, with whole nodes in each."""
    gathered: list[dict[str, Any]] = []
    for node in range(nodes):
        more = list(operations(node, services, names, checks))
        if len(gathered) + len(more) > OPERATIONS_MAX:
            yield json.dumps(gathered).encode()
            gathered = []
        gathered += more
    yield json.dumps(gathered).encode()


def load(server: Server, bodies: list[bytes]) -> tuple[float, float]:
    """Send everything. @return: seconds, and CPU seconds of the server."""
    left = iter(bodies)
    lock = threading.Lock()
    failed: list[bytes] = []

    def work() -> None:
        link = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        while not failed:
            with lock:
                body = next(left, None)
            if body is None:
                return
            link.request("PUT", "/v1/txn", body)
            answer = link.getresponse()
            text = answer.read()
            if answer.status != 200:
                failed.append(text)

    before, began = server.cpu_seconds(), time.monotonic()
    threads = [threading.Thread(target=work) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise SystemExit(f"a transaction failed: {failed[0][:500]!r}")
    return time.monotonic() - began, server.cpu_seconds() - before


def cost(server: Server, command: list[str]) -> float:
    """CPU microseconds of the server for each request of a load."""
    before = server.cpu_seconds()
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    used = server.cpu_seconds() - before
    count = re.search(r"(\d+) requests in|Queries completed:\s+(\d+)", out)
    assert count is not None, out
    return used / int(count[1] or count[2]) * 1e6


def reads(server: Server, seconds: int) -> dict[str, float]:
    """CPU microseconds of each kind of read."""
    names = Path(tempfile.mkdtemp()) / "names"
    names.write_text("web.service.consul A\nweb.service.consul SRV\n")
    wrk = ["wrk", "-t1", "-c64", f"-d{seconds}s"]
    dns = ["dnsperf", "-s", "127.0.0.1", "-p", str(server.dns_port), "-d", str(names), "-c16", "-q100", f"-l{seconds}"]
    return {
        "health-service": cost(server, [*wrk, f"{server.base}/v1/health/service/web?passing"]),
        "catalog-service": cost(server, [*wrk, f"{server.base}/v1/catalog/service/web"]),
        "dns": cost(server, dns),
    }


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=5000)
    parser.add_argument("--services", type=int, default=10)
    parser.add_argument("--names", type=int, default=5000)
    parser.add_argument("--checks", action="store_true")
    parser.add_argument("--seconds", type=int, default=4)
    options = parser.parse_args()
    bodies = list(transactions(options.nodes, options.services, options.names, options.checks))
    server = Server()
    try:
        for number in range(10):
            server.put("/v1/catalog/register", instance(number))
        few = reads(server, options.seconds)
        took, used = load(server, bodies)
        count = options.nodes * options.services
        print(
            f"{options.nodes} nodes and {count} services in {took:.1f} s: {count / took:,.0f} registrations/s,", end=" "
        )
        print(f"{used / count * 1e6:.0f} CPU us each, {server.resident_mb():.0f} MB resident")
        nodes, services = (json.loads(server.get(f"/v1/catalog/{what}")) for what in ("nodes", "services"))
        print(f"the catalog lists {len(nodes)} nodes and {len(services)} names of services")
        many = reads(server, options.seconds)
        for name, before in few.items():
            print(
                f"{name}: {before:.1f} CPU us with 10 services, {many[name]:.1f} now, {many[name] / before:.2f} times"
            )
    finally:
        server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
