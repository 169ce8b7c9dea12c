"""
What an agent does to the process that it runs in: open files, the supervisor that waits for it, the monotonic clock.
"""

from __future__ import annotations

import gc
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

__all__ = ["PidFile", "calm_collector", "heed_signals", "monotonic", "notify", "raise_file_limit", "stop_once"]

#: Containers made and not yet freed before the collector looks at the youngest; a few MiB at most.
COLLECTOR_THRESHOLD = 20_000


def raise_file_limit() -> int:
    """
    Raise the limit of open files to the most that is allowed: connections are files.

    @return: the limit now in force.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            return hard
        except (ValueError, OSError):  # a hard limit of "no limit" that the kernel does not grant
            return soft
    return soft


def calm_collector() -> None:
    """
    Let the cycle collector look more rarely, and not at what was made so far: modules, tables, the state itself.

    A request that waits for the disk is a dozen containers, and hundreds wait at once. With Python's own threshold the
    collector walks them again and again, for a quarter of the CPU time of a write (measured at 256 clients), and hardly
    ever finds a cycle: nearly all of our garbage has none.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECTOR_THRESHOLD, *gc.get_threshold()[1:])


def notify(state: str, environment: Any = os.environ) -> bool:
    """
    Tell systemd, if it started us, what has become of us.

    @param state: such as C{READY=1} (sd_notify(3)).
    @return: whether somebody was told.
    """
    address = environment.get("NOTIFY_SOCKET")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as link:
            link.sendto(state.encode(), address)
    except OSError:
        return False
    return True


def monotonic(reactor: Any) -> None:
    """
    Let a reactor count monotonic time. Twisted's count the wall clock: if that is set back an hour, every delayed call
    comes an hour late. To be called before anything is scheduled.
    """
    reactor.seconds = time.monotonic


def stop_once(reactor: Any) -> None:
    """Stop a reactor that runs; of no effect on one that is being stopped."""
    if reactor.running and not reactor._stopped:
        reactor.stop()


def stop_failed(reactor: Any) -> None:
    """
    Stop a reactor that C{twist} runs, or is about to, so that the process ends with status 1 once everything is closed:
    twist knows no exit status of a service.
    """
    reactor.addSystemEventTrigger("after", "shutdown", _end_failed)
    # twist starts services before the reactor runs, and what is wrong may show at once.
    reactor.callWhenRunning(stop_once, reactor)


def _end_failed() -> None:
    sys.stdout.flush()
    os._exit(1)


def heed_signals(
    reactor: Any, hang_up: Callable[[], object], leave: Callable[[int], Deferred[Any] | None] = lambda number: None
) -> None:
    """
    Stop on the first interrupt or termination signal, after having left if that is wanted; then a second one stops at
    once. Those that come while it stops are taken for the impatience that they are.

    @param hang_up: called after a hang-up, which asks for the configuration to be read again.
    @param leave: called with the signal's number: a Deferred that fires, or fails, when the process may be stopped;
        None if that is at once.
    """
    signals: list[int] = []

    def stop_soon(number: int) -> None:
        signals.append(number)
        left = leave(number) if len(signals) == 1 else None
        if left is None:
            stop_once(reactor)
        else:
            left.addBoth(lambda _: stop_once(reactor))

    def stop(number: int, frame: object) -> None:
        reactor.callFromThread(stop_soon, number)

    def tell(number: int, frame: object) -> None:
        reactor.callFromThread(hang_up)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    signal.signal(signal.SIGHUP, tell)


class PidFile:
    """A file with the number of the process, for whoever wants to signal it."""

    def __init__(self, path: str) -> None:
        """@param path: empty for none."""
        self._path = path

    def write(self) -> None:
        """@raise OSError: it cannot be written."""
        if self._path:
            Path(self._path).write_text(f"{os.getpid()}\n")

    def remove(self) -> None:
        """Forget it; one that is gone already is no matter."""
        if self._path:
            Path(self._path).unlink(missing_ok=True)
