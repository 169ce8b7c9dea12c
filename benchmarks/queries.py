"""
Prepared queries: what running one costs, beside the health query that it stands for.

    python -m benchmarks.queries [--instances 10] [--seconds 4]

Prints CPU microseconds of the server for each request, over sockets, by HTTP (wrk) and DNS (dnsperf).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

from benchmarks.catalog import cost
from benchmarks.server import Server
from benchmarks.watchers import instance

#: The service of L{instance} by itself, with tags, and by a template.
QUERIES: tuple[dict[str, Any], ...] = (
    {"Name": "plain", "Service": {"Service": "web"}},
    {"Name": "tags", "Service": {"Service": "web", "Tags": ["!old", "!older"]}},
    {
        "Name": "find-",
        "Template": {"Type": "name_prefix_match", "Regexp": "^find-(.*)$"},
        "Service": {"Service": "${match(1)}"},
    },
)
PATHS = (
    "/v1/health/service/web?passing",
    "/v1/query/plain/execute",
    "/v1/query/tags/execute",
    "/v1/query/find-web/execute",
    "/v1/query/plain/execute?limit=1",
    "/v1/query/plain/execute?cached",
)
NAMES = ("web.service.consul", "plain.query.consul", "find-web.query.consul")


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instances", type=int, default=10)
    parser.add_argument("--seconds", type=int, default=4)
    options = parser.parse_args()
    server = Server()
    try:
        for number in range(options.instances):
            server.put("/v1/catalog/register", instance(number))
        for query in QUERIES:
            create(server, query)
        for path in PATHS:
            used = cost(server, ["wrk", "-t1", "-c64", f"-d{options.seconds}s", server.base + path])
            print(f"{path:40} {used:7.1f} us", flush=True)
        for name in NAMES:
            asked = Path(tempfile.mkdtemp()) / "names"
            asked.write_text(f"{name} A\n{name} SRV\n")
            port = str(server.dns_port)
            load = ["dnsperf", "-s", "127.0.0.1", "-p", port, "-d", str(asked), "-c16", "-q100"]
            print(f"{name:40} {cost(server, [*load, f'-l{options.seconds}']):7.1f} us", flush=True)
    finally:
        server.stop()
    return 0


def create(server: Server, query: dict[str, Any]) -> None:
    """Write a query."""
    request = urllib.request.Request(f"{server.base}/v1/query", json.dumps(query).encode(), method="POST")
    with urllib.request.urlopen(request, timeout=10) as answer:
        answer.read()


if __name__ == "__main__":
    sys.exit(main())
