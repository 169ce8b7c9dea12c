"""
Who says that a descriptor is ready: an epoll of our own below the reactor's, or the reactor itself.

A reactor spends more on telling one descriptor that it is ready (log context, checks) than the kernel spends on
finding out. So many connections share one epoll, and the reactor watches only that: it is a descriptor like any
other, readable while anything in it is ready. This works under every reactor with L{IReactorFDSet}; where the system
has no epoll, L{ReactorPoller} puts each connection on the reactor.
"""

from __future__ import annotations

import select
from collections.abc import Sequence
from typing import Any, Protocol

from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IReadDescriptor, IReadWriteDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

__all__ = ["TURN_EVENTS_MAX", "TURN_SECONDS_MAX", "EpollPoller", "Poller", "ReactorPoller", "poller_for"]

#: Descriptors served before the reactor has its turn again.
TURN_EVENTS_MAX = 128
#: Time spent on them, in seconds, before the reactor has its turn again: far below any Raft heartbeat (100 ms and
#: more), far above what the change of turn costs.
TURN_SECONDS_MAX = 0.01

_IN, _OUT, _GONE = 0x001, 0x004, 0x008 | 0x010  # EPOLLIN, EPOLLOUT, EPOLLERR | EPOLLHUP

_log = Logger()


class Poller(Protocol):
    """Tells L{IReadWriteDescriptor}s when they can read and write."""

    def add(self, descriptor: Any) -> None:
        """Start watching for input."""

    def change(self, descriptor: Any, reading: bool, writing: bool) -> None:
        """Watch for exactly this from now on."""

    def remove(self, descriptor: Any) -> None:
        """Forget it, before it is closed."""


@implementer(IReadDescriptor)
class EpollPoller:
    """A L{Poller} which is one readable descriptor to the reactor."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._epoll = select.epoll()
        self._poll = self._epoll.poll
        self._descriptors: dict[int, Any] = {}
        self._left: Sequence[tuple[int, int]] = ()

    def add(self, descriptor: Any) -> None:
        """Start watching for input."""
        if not self._descriptors:
            self._reactor.addReader(self)
        number = descriptor.fileno()
        self._epoll.register(number, _IN)
        self._descriptors[number] = descriptor

    def change(self, descriptor: Any, reading: bool, writing: bool) -> None:
        """Watch for exactly this from now on. Errors and a lost connection are always told."""
        self._epoll.modify(descriptor.fileno(), (_IN if reading else 0) | (_OUT if writing else 0))

    def remove(self, descriptor: Any) -> None:
        """Forget it, before it is closed."""
        number = descriptor.fileno()
        self._epoll.unregister(number)
        del self._descriptors[number]
        if not self._descriptors:
            self._left = ()
            self._reactor.removeReader(self)

    def fileno(self) -> int:
        """The epoll's own number."""
        return self._epoll.fileno()

    def logPrefix(self) -> str:
        """As the reactor wants it."""
        return "poller"

    def doRead(self) -> None:
        """Serve what is ready, within the bounds of a turn; the rest is first in line next time."""
        events = self._left or self._poll(0, TURN_EVENTS_MAX)
        self._left = ()
        descriptors = self._descriptors
        seconds = self._reactor.seconds
        until = seconds() + TURN_SECONDS_MAX
        done = 0
        for number, event in events:
            done += 1
            descriptor = descriptors.get(number)
            if descriptor is None:
                continue
            try:
                if event == _IN:
                    why = descriptor.doRead()
                else:
                    why = self._other(descriptor, event)
            except Exception as error:  # an application's error ends that connection, nothing else
                _log.failure("unhandled error while serving a connection")
                why = error
            if why is not None:
                descriptor.connectionLost(Failure(why))  # type: ignore[no-untyped-call]
            if seconds() >= until:
                self._left = events[done:]
                return

    @staticmethod
    def _other(descriptor: Any, event: int) -> Any:
        if event & _GONE and not event & _IN:
            return ConnectionLost()
        why = descriptor.doRead() if event & _IN else None
        if why is None and event & _OUT and descriptor.fileno() >= 0:
            why = descriptor.doWrite()
        return why

    def connectionLost(self, reason: Failure) -> None:
        """The reactor stops: so does everything here."""
        for descriptor in list(self._descriptors.values()):
            descriptor.connectionLost(reason)
        self._epoll.close()


class ReactorPoller:
    """A L{Poller} that leaves it all to the reactor."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def add(self, descriptor: Any) -> None:
        """Start watching for input."""
        self._reactor.addReader(descriptor)

    def change(self, descriptor: IReadWriteDescriptor, reading: bool, writing: bool) -> None:
        """Watch for exactly this from now on."""
        if reading:
            self._reactor.addReader(descriptor)
        else:
            self._reactor.removeReader(descriptor)
        if writing:
            self._reactor.addWriter(descriptor)
        else:
            self._reactor.removeWriter(descriptor)

    def remove(self, descriptor: Any) -> None:
        """Forget it, before it is closed."""
        self._reactor.removeReader(descriptor)
        self._reactor.removeWriter(descriptor)


def poller_for(reactor: Any) -> Poller:
    """The better one that this system has."""
    if hasattr(select, "epoll"):
        return EpollPoller(reactor)
    return ReactorPoller(reactor)
