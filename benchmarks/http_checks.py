"""
What HTTP checks cost: C{python -m benchmarks.http_checks PORT [CHECKS [INTERVAL]]}.

It runs checks of a page of a running agent in this process, and tells the CPU time of this process. The agent
must take as many connections from one client: C{limits.http_max_conns_per_client}.
"""

from __future__ import annotations

import sys
import time
from random import Random

from twisted.internet import reactor

from txconsul.agent.checks.http import HTTPCheck
from txconsul.agent.checks.repeated import RepeatedCheck, Thresholds
from txconsul.agent.process import monotonic
from txconsul.net.direct import DirectNetwork
from txconsul.records.health import PASSING

#: Intervals that are measured, after one in which connections are made.
INTERVALS = 2


def main(port: int, count: int = 1000, interval: float = 10.0) -> None:
    """Run the checks and tell what they cost."""
    monotonic(reactor)
    network, rng, told = DirectNetwork(reactor), Random(1), {"all": 0, PASSING: 0}
    begun: list[float] = []

    def notify(status: str, output: str) -> None:
        told["all"] += 1
        told[PASSING] += status == PASSING

    def begin() -> None:
        begun.extend((time.process_time(), time.monotonic(), told["all"]))

    def end() -> None:
        cpu, passed = time.process_time() - begun[0], time.monotonic() - begun[1]
        runs = told["all"] - begun[2]
        print(f"{count} checks every {interval:g} s: {runs / passed:.0f} runs/s, {cpu / passed:.3f} of a core,")
        print(f"{cpu / runs * 1e6:.0f} CPU us a run, {told['all'] - told[PASSING]} of {told['all']} not passing")
        reactor.stop()  # type: ignore[attr-defined]

    for _ in range(count):
        check = HTTPCheck(network, f"http://127.0.0.1:{port}/v1/status/leader")
        RepeatedCheck(check, interval, Thresholds(0, 0, 0), reactor, rng, notify).start()  # type: ignore[arg-type]
    reactor.callLater(interval * 1.2, begin)  # type: ignore[attr-defined]
    reactor.callLater(interval * (1.2 + INTERVALS), end)  # type: ignore[attr-defined]
    reactor.run()  # type: ignore[attr-defined]


if __name__ == "__main__":
    main(int(sys.argv[1]), *(int(one) for one in sys.argv[2:]))
