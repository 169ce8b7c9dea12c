"""
What the HTTP edge alone costs: CPU microseconds (user and system) a request, for a fixed answer of a KV read's size.

Each server runs in a process of its own under Twisted's default reactor, and answers wrk's keep-alive connections. The
rival is twisted.web; reactor is our connection over Twisted's own transports, each our descriptors without the
epoll below the reactor's. With --idle it measures the memory of that many idle connections instead.

    python -m benchmarks.http_edge [--seconds 4] [--connections 64] [--only direct,web] [--profile]
    python -m benchmarks.http_edge --idle 10000 [--only direct,web]
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import re
import resource
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

KINDS = ("direct", "each", "reactor", "web")

HEAD = {
    "Content-Type": "application/json",
    "Vary": "Accept-Encoding",
    "X-Consul-Default-Acl-Policy": "allow",
    "X-Consul-Effective-Consistency": "leader",
    "X-Consul-Index": "15",
    "X-Consul-Knownleader": "true",
    "X-Consul-Lastcontact": "0",
    "X-Consul-Query-Backend": "blocking-query",
}
BODY = (
    b'[{"LockIndex":0,"Key":"bench/1","Flags":0,"Value":"' + b"eHh4" * 21 + b'eA==","CreateIndex":15,"ModifyIndex":15}]'
)


def factory(kind: str, reactor: Any) -> Any:
    """The protocol factory of one kind of server."""
    if kind != "web":
        from txconsul.http.connection import Response
        from txconsul.http.server import HTTPFactory

        head = "".join(f"{name}: {value}\r\n" for name, value in HEAD.items()).encode()
        return HTTPFactory(lambda request: Response(200, head, BODY), reactor, connections_per_client_max=0)

    from twisted.web.resource import Resource
    from twisted.web.server import Site

    class Fixed(Resource):
        isLeaf = True

        def render_GET(self, request: Any) -> bytes:
            for name, value in HEAD.items():
                request.setHeader(name, value)
            return BODY

    return Site(Fixed())


def serve(kind: str, seconds: float) -> None:
    """Be a server; say the port on standard output. With C{seconds}, stop then and print a profile."""
    from twisted.internet import reactor

    from txconsul.net.direct import DirectNetwork
    from txconsul.net.poller import ReactorPoller
    from txconsul.net.reactor import ReactorNetwork

    loop: Any = reactor
    loop.seconds = time.monotonic
    network = {
        "direct": lambda: DirectNetwork(loop),
        "each": lambda: DirectNetwork(loop, ReactorPoller(loop)),
        "reactor": lambda: ReactorNetwork(loop),
        "web": lambda: ReactorNetwork(loop),
    }[kind]()
    listening = network.listen("tcp:0:interface=127.0.0.1", factory(kind, loop))
    listening.addCallback(lambda port: print(port.getHost().port, flush=True))
    if not seconds:
        loop.run()
        return
    loop.callLater(seconds, loop.stop)
    profile = cProfile.Profile()
    profile.runcall(loop.run)
    pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(14)


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(kind: str, seconds: int, connections: int, profiled: bool) -> tuple[float, float]:
    """CPU microseconds a request, and requests a second."""
    command = [sys.executable, "-m", "benchmarks.http_edge", "--serve", kind]
    if profiled:
        command += ["--stop-after", str(seconds + 1)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{int(server.stdout.readline())}/v1/kv/bench/1"
        before = cpu_seconds(server.pid)
        load = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", url]
        out = subprocess.run(load, capture_output=True, text=True, check=True).stdout
        used = cpu_seconds(server.pid) - before
    finally:
        if profiled:
            server.wait(30)
        server.terminate()
        server.wait()
    if re.search(r"Non-2xx|Socket errors", out):
        print(out, file=sys.stderr)
    count = re.search(r"(\d+) requests in", out)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", out)
    assert count is not None and rate is not None, out
    return used / int(count[1]) * 1e6, float(rate[1])


def resident_kb(pid: int) -> int:
    """Resident memory of a process."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1])


def measure_idle(kind: str, count: int) -> float:
    """KiB of resident memory that each of C{count} connections takes, which had a request and are idle."""
    server = subprocess.Popen([sys.executable, "-m", "benchmarks.http_edge", "--serve", kind], stdout=subprocess.PIPE)
    try:
        assert server.stdout is not None
        where = ("127.0.0.1", int(server.stdout.readline()))
        request = b"GET /v1/kv/bench/1 HTTP/1.1\r\nHost: a\r\n\r\n"
        clients = [socket.create_connection(where)]
        clients[0].sendall(request)
        clients[0].recv(65536)
        before = resident_kb(server.pid)
        for _ in range(count):
            clients.append(socket.create_connection(where))
            clients[-1].sendall(request)
            clients[-1].recv(65536)
        return (resident_kb(server.pid) - before) / count
    finally:
        server.terminate()
        server.wait()


def main() -> int:
    """Measure the kinds that were asked for, and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--only", default=",".join(KINDS))
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--idle", type=int, default=0)
    parser.add_argument("--serve", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--stop-after", type=float, default=0.0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.stop_after)
        return 0
    if options.idle:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        for kind in options.only.split(","):
            print(f"{kind:8} {measure_idle(kind, options.idle):7.2f} KiB an idle connection", flush=True)
        return 0
    if shutil.which("wrk") is None:
        print("skipped: there is no wrk", file=sys.stderr)
        return 0
    rival = 0.0
    for kind in reversed(options.only.split(",")):
        cost, rate = measure(kind, options.seconds, options.connections, options.profile)
        rival = cost if kind == "web" else rival
        ratio = f"  {rival / cost:5.1f} times less than twisted.web" if rival and kind != "web" else ""
        print(f"{kind:8} {cost:7.1f} us/request {rate:9.0f} requests/s{ratio}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
