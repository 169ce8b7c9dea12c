#!/usr/bin/env python3
"""
One durable server under load: throughput, CPU time a request, p50 and p99, memory, and what the time goes to.

    python benchmarks/server.py [--seconds 6] [--only kv-get,kv-put,...] [--profile kv-put]

Needs wrk (script/debian-packages installs it). CPU time is the server's own, user and system, divided by the requests
that it answered: a busy machine moves the rate and the latencies, and that hardly at all.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TICKS = os.sysconf("SC_CLK_TCK")
#: Connections of wrk, and path, of each work.
WORKS = {
    "kv-get": (64, "/v1/kv/bench/1"),
    "kv-get-stale": (64, "/v1/kv/bench/1?stale"),
    "kv-get-consistent": (64, "/v1/kv/bench/1?consistent"),
    "kv-put": (64, ""),
    "kv-put-256": (256, ""),
}
#: A thousand keys in turn, 64 bytes each.
PUT = """local c = 0
local body = string.rep("x", 64)
request = function() c = c + 1; return wrk.format("PUT", "/v1/kv/bench/" .. (c % 1000), nil, body) end
"""
PROFILED = """
import cProfile, sys
from txconsul.cli.main import run
profile = cProfile.Profile()
sys.argv = ["txconsul", *sys.argv[2:]]
try:
    profile.runcall(run)
except SystemExit:
    pass
finally:
    profile.dump_stats({path!r})
"""


class Server:
    """A server of its own, in a temporary directory."""

    def __init__(self, profile: str = "") -> None:
        self.directory = tempfile.mkdtemp(prefix="txconsul-bench-")
        with socket.socket() as free, socket.socket() as free_too:
            free.bind(("127.0.0.1", 0))
            free_too.bind(("127.0.0.1", 0))
            self.port, self.dns_port = free.getsockname()[1], free_too.getsockname()[1]
        program = ["-m", "txconsul.cli.main"] if not profile else ["-c", PROFILED.format(path=profile), "-"]
        self.process = subprocess.Popen(
            [sys.executable, *program, "agent", "-server", "-bootstrap-expect=1", "-bind=127.0.0.1", "-log-level=warn",
             f"-data-dir={self.directory}/data", f"-http-port={self.port}", f"-dns-port={self.dns_port}",
             "-hcl=limits { http_max_conns_per_client = 20000 }"],
            cwd=self.directory, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + 20
        while True:
            try:
                urllib.request.urlopen(
                    urllib.request.Request(f"{self.base}/v1/kv/bench/1", b"x" * 64, method="PUT"), timeout=10
                ).read()
                return
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise
                time.sleep(0.05)

    @property
    def base(self) -> str:
        """The beginning of its URLs."""
        return f"http://127.0.0.1:{self.port}"

    def cpu_seconds(self) -> float:
        """What it used since it started."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def peak_mb(self) -> float:
        """The most memory that it ever had."""
        return self._memory_mb("VmHWM")

    def resident_mb(self) -> float:
        """The memory that it has."""
        return self._memory_mb("VmRSS")

    def _memory_mb(self, name: str) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{name}:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]

    def get(self, path: str) -> bytes:
        """Ask for something."""
        with urllib.request.urlopen(self.base + path, timeout=60) as answer:
            return answer.read()  # type: ignore[no-any-return]

    def put(self, path: str, document: object) -> bytes:
        """Send a document."""
        request = urllib.request.Request(self.base + path, json.dumps(document).encode(), method="PUT")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()  # type: ignore[no-any-return]

    def stop(self) -> None:
        """End it, and what it kept."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
        shutil.rmtree(self.directory)


def load(server: Server, name: str, seconds: int) -> str:
    """One work's row."""
    connections, path = WORKS[name]
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "20s"]
    if path:
        command.append(server.base + path)
    else:
        script = Path(server.directory) / "put.lua"
        script.write_text(PUT)
        command += ["-s", str(script), server.base]
    before = server.cpu_seconds()
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    used = server.cpu_seconds() - before
    count = int(re.search(r"(\d+) requests in", out)[1])  # type: ignore[index]
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1])  # type: ignore[index]
    p50, p99 = (re.search(rf"^\s+{share}%\s+(\S+)", out, re.M)[1] for share in (50, 99))  # type: ignore[index]
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    return (
        f"| {name} | {rate:,.0f} | {used / count * 1e6:.1f} | {p50} | {p99} | {server.peak_mb():.0f}"
        f" | {failed[1] if failed else 0} |"
    )


def profile(name: str, seconds: int) -> None:
    """The ten functions in which most time is spent, under one work."""
    import pstats

    path = os.path.join(tempfile.mkdtemp(), "profile")
    server = Server(path)
    print(load(server, name, seconds), flush=True)
    server.stop()
    stats = pstats.Stats(path)
    rows = sorted(stats.stats.items(), key=lambda row: -row[1][2])[:10]  # type: ignore[attr-defined]
    total = sum(row[2] for row in stats.stats.values())  # type: ignore[attr-defined]
    print("\n| function | calls | own time | share |\n|---|---|---|---|")
    for (file, line, function), (_, calls, own, _, _) in rows:
        where = f"{Path(file).parent.name}/{Path(file).name}:{line} {function}" if line else function
        print(f"| `{where}` | {calls:,} | {own:.2f} s | {own / total:.0%} |")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=6)
    parser.add_argument("--only", default=",".join(WORKS))
    parser.add_argument("--profile", choices=list(WORKS), help="profile the server under this work instead")
    arguments = parser.parse_args()
    if shutil.which("wrk") is None:
        print("notice: wrk is not installed; nothing is measured", file=sys.stderr)
        return 0
    if arguments.profile:
        profile(arguments.profile, arguments.seconds)
        return 0
    server = Server()
    print("| work | requests/s | CPU us a request | p50 | p99 | VmHWM MB | failed |\n|---|---|---|---|---|---|---|")
    for name in arguments.only.split(","):
        print(load(server, name, arguments.seconds), flush=True)
    server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
