"""
A real pool on loopback: how long it takes until all know all, and what it costs to be a member of it.

    python -m benchmarks.gossip_loopback [--members 100] [--processes 4] [--seconds 60] [--encrypt] [--profile FILE]

That many membership services in a few processes, with the timing of a LAN. All join by the first one at the same
moment. Printed are the seconds until each sees all as alive, the CPU time of each for that, and then, at rest, what
share of a core each needs; C{--profile} keeps a profile of the first process's rest.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from cProfile import Profile
from pathlib import Path
from typing import Any

__all__ = ["Members"]

ROOT = Path(__file__).resolve().parent.parent
#: After joining, before a pool counts as at rest.
SETTLING_SECONDS = 15.0
KEY = bytes(range(32))


class Members:
    """A process with some members. It is told what to do, and tells what it did, a line each."""

    def __init__(self, first: int, count: int, total: int, *options: str) -> None:
        command = [sys.executable, "-m", "benchmarks.gossip_loopback", "--serve", str(first), str(count), str(total)]
        self.process = subprocess.Popen(
            [*command, *options],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def tell(self, *words: object) -> None:
        """Have it do something."""
        assert self.process.stdin is not None
        print(*words, file=self.process.stdin, flush=True)

    def hear(self) -> list[str]:
        """The words of what it says next."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().split()

    def cpu_seconds(self) -> float:
        """What it has used: user and system time."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_mb(self) -> float:
        """The most memory that it has had."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait()


def serve(first: int, count: int, total: int, encrypt: bool, profile: str | None) -> None:
    """What a process with members does."""
    from twisted.internet import reactor as installed
    from twisted.internet.stdio import StandardIO
    from twisted.protocols.basic import LineReceiver

    from txconsul.gossip import GossipPool
    from txconsul.net.direct import DirectNetwork
    from txconsul.serf.messages import Status
    from txconsul.serf.settings import Settings
    from txconsul.swim.keyring import Keyring
    from txconsul.swim.timing import LAN

    reactor: Any = installed
    reactor.seconds = time.monotonic
    network = DirectNetwork(reactor)
    ring = [KEY] if encrypt else None
    profiling = Profile() if profile else None
    pools = [
        GossipPool(
            network,
            f"member-{first + number}",
            settings=Settings(timing=LAN),
            tags={"role": "node", "dc": "dc1"},
            keyring=Keyring(ring) if ring else None,
        )
        for number in range(count)
    ]
    waiting, changes = set(pools), 0

    class Commands(LineReceiver):  # type: ignore[misc]
        delimiter = b"\n"

        def lineReceived(self, line: bytes) -> None:
            word, *rest = line.decode().split()
            if word == "join":
                for pool in pools:
                    pool.heard = lambda event, pool=pool: look(pool)
                    if pool.address != (rest[0], int(rest[1])):
                        pool.join(rest[0], int(rest[1]))
                    else:
                        look(pool)
            elif word == "rest" and profiling is not None:
                profiling.enable()
            elif word == "end":
                if profiling is not None:
                    profiling.disable()
                    profiling.dump_stats(profile)
                print("changes", changes, *sorted(set(map(alive, pools))), flush=True)

        def connectionLost(self, reason: Any = None) -> None:
            if reactor.running:
                reactor.stop()

    def alive(pool: GossipPool) -> int:
        return sum(1 for member in pool.core.members if member.status is Status.ALIVE)

    def look(pool: GossipPool) -> None:
        nonlocal changes
        if not waiting:
            changes += 1
        elif pool in waiting and alive(pool) == total:
            waiting.discard(pool)
            if not waiting:
                print("whole", flush=True)

    for pool in pools:
        pool.open()
    StandardIO(Commands())
    print("open", *pools[0].address, flush=True)
    reactor.run()


def measure(members: int, processes: int, seconds: float, options: list[str], profile: str | None) -> None:
    """Print everything."""
    share = [members // processes + (number < members % processes) for number in range(processes)]
    firsts = [sum(share[:number]) for number in range(processes)]
    started = [
        Members(first, count, members, *options, *(["--profile", profile] if profile and not first else []))
        for first, count in zip(firsts, share, strict=True)
    ]
    try:
        opened = [one.hear() for one in started]
        before, began = [one.cpu_seconds() for one in started], time.monotonic()
        for one in started:
            one.tell("join", *opened[0][1:])
        for one in started:
            if one.hear() != ["whole"]:
                raise SystemExit("a process has stopped")
        took = time.monotonic() - began
        used = sum(one.cpu_seconds() for one in started) - sum(before)
        print(f"{members} members in {processes} processes: all see all after {took:.2f} s, {used:.2f} s of CPU")
        time.sleep(SETTLING_SECONDS)
        for one in started:
            one.tell("rest")
        before, began = [one.cpu_seconds() for one in started], time.monotonic()
        time.sleep(seconds)
        after, lasted = [one.cpu_seconds() for one in started], time.monotonic() - began
        each = [(end - begin) / lasted / count for begin, end, count in zip(before, after, share, strict=True)]
        mean = (sum(after) - sum(before)) / lasted / members
        print(f"at rest for {lasted:.0f} s: {mean:.3%} of a core each, {max(each):.3%} in the busiest process")
        print(f"most memory of a process: {max(one.peak_mb() for one in started):.0f} MB")
        for one in started:
            one.tell("end")
        if any(one.hear() != ["changes", "0", str(members)] for one in started):
            raise SystemExit("somebody was taken for gone meanwhile")
    finally:
        for one in started:
            one.stop()


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, default=100)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--encrypt", action="store_true", help="with a key")
    parser.add_argument("--profile", metavar="FILE", help="of the first process, at rest")
    parser.add_argument("--serve", type=int, nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(*options.serve, options.encrypt, options.profile)
        return 0
    more = ["--encrypt"] if options.encrypt else []
    measure(options.members, options.processes, options.seconds, more, options.profile)
    return 0


if __name__ == "__main__":
    sys.exit(main())
