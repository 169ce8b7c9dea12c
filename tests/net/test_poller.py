"""Who is served when, by an epoll of our own."""

from __future__ import annotations

import select
import socket
from typing import Any
from unittest import skipUnless

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from txconsul.net.poller import TURN_EVENTS_MAX, TURN_SECONDS_MAX, EpollPoller, ReactorPoller, poller_for


class Reactor(Clock):
    """A clock, and what was asked to be watched."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: set[Any] = set()
        self.writers: set[Any] = set()
        self.addReader = self.readers.add
        self.removeReader = self.readers.discard
        self.addWriter = self.writers.add
        self.removeWriter = self.writers.discard


class Descriptor:
    """One end of a pair of sockets, which always has input."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.theirs.send(b"a")
        self.told: list[str] = []
        self.on_read: Any = None

    def close(self) -> None:
        self.ours.close()
        self.theirs.close()

    def fileno(self) -> int:
        return self.ours.fileno()

    def doRead(self) -> Any:
        self.told.append("read")
        return self.on_read() if self.on_read is not None else None

    def doWrite(self) -> Any:
        self.told.append("write")

    def connectionLost(self, reason: Failure) -> None:
        self.told.append(reason.type.__name__)


@skipUnless(hasattr(select, "epoll"), "this system has no epoll")
class EpollPollerTests(SynchronousTestCase):
    """Connections below one descriptor of the reactor."""

    def setUp(self) -> None:
        self.reactor = Reactor()
        self.poller = EpollPoller(self.reactor)

    def add(self, count: int = 1) -> list[Descriptor]:
        made = [Descriptor() for _ in range(count)]
        for descriptor in made:
            self.addCleanup(descriptor.close)
            self.poller.add(descriptor)
        return made

    def test_interface(self) -> None:
        """It is a descriptor, and the default where there is epoll."""
        verifyObject(IReadDescriptor, self.poller)
        self.assertIsInstance(poller_for(self.reactor), EpollPoller)

    def test_oneReader(self) -> None:
        """The reactor watches it while there is a connection, and nothing else."""
        self.assertEqual(self.reactor.readers, set())
        first, second = self.add(2)
        self.assertEqual(self.reactor.readers, {self.poller})
        self.poller.remove(first)
        self.assertEqual(self.reactor.readers, {self.poller})
        self.poller.remove(second)
        self.assertEqual(self.reactor.readers, set())

    def test_readable(self) -> None:
        """It is readable when one of its own is, and tells that one."""
        (one,) = self.add()
        self.assertEqual(select.select([self.poller.fileno()], [], [], 0)[0], [self.poller.fileno()])
        self.poller.doRead()
        self.assertEqual(one.told, ["read"])
        one.ours.recv(1)
        self.assertEqual(select.select([self.poller.fileno()], [], [], 0)[0], [])

    def test_change(self) -> None:
        """Each is told of what it wants to know."""
        (one,) = self.add()
        self.poller.change(one, False, True)
        self.poller.doRead()
        self.poller.change(one, True, True)
        self.poller.doRead()
        self.poller.change(one, False, False)
        self.poller.doRead()
        self.assertEqual(one.told, ["write", "read", "write"])

    def test_lost(self) -> None:
        """A connection that is gone is told so even while it wants to know nothing."""
        (one,) = self.add()
        self.poller.change(one, False, False)
        one.theirs.close()
        self.poller.doRead()
        self.assertEqual(one.told, [ConnectionLost.__name__])

    def test_inputBeforeTheEnd(self) -> None:
        """What came before a connection was lost is read first."""
        (one,) = self.add()
        one.theirs.close()
        self.poller.doRead()
        self.assertEqual(one.told, ["read"])

    def test_ends(self) -> None:
        """What a descriptor gives back ends it; what it raises does too, is logged, and is nobody else's business."""
        done, broken, well = self.add(3)
        done.on_read = ConnectionDone

        def fail() -> None:
            raise ZeroDivisionError

        broken.on_read = fail
        self.poller.doRead()
        self.assertEqual(done.told, ["read", "ConnectionDone"])
        self.assertEqual(broken.told, ["read", "ZeroDivisionError"])
        self.assertEqual(well.told, ["read"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_boundedEvents(self) -> None:
        """No more than TURN_EVENTS_MAX are served in a turn, and the others first in the next."""
        everybody = self.add(TURN_EVENTS_MAX + 20)
        self.poller.doRead()
        self.assertEqual(sum(len(one.told) for one in everybody), TURN_EVENTS_MAX)
        self.poller.doRead()
        self.assertTrue(all(one.told for one in everybody))

    def test_boundedTime(self) -> None:
        """A turn ends in time, and goes on with those who have not been served."""
        everybody = self.add(9)
        for one in everybody:
            one.on_read = lambda: self.reactor.advance(TURN_SECONDS_MAX / 2.5)
        for turn in (1, 2, 3):
            self.poller.doRead()
            self.assertEqual(sum(len(one.told) for one in everybody), turn * 3)
        self.assertTrue(all(one.told == ["read"] for one in everybody))

    def test_removedMeanwhile(self) -> None:
        """One that is removed by another's work is not served any more."""
        first, second = self.add(2)
        first.on_read = lambda: self.poller.remove(second)
        second.on_read = lambda: self.poller.remove(first)
        self.poller.doRead()
        self.assertEqual(len(first.told) + len(second.told), 1)

    def test_reactorStops(self) -> None:
        """When the reactor lets go of it, every connection ends."""
        one, two = self.add(2)
        self.poller.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(one.told + two.told, ["ConnectionLost"] * 2)


class ReactorPollerTests(SynchronousTestCase):
    """The same by the reactor alone."""

    def test_watching(self) -> None:
        """Each connection is the reactor's own."""
        reactor = Reactor()
        poller = ReactorPoller(reactor)
        one: Any = Descriptor()
        self.addCleanup(one.close)
        poller.add(one)
        self.assertEqual((reactor.readers, reactor.writers), ({one}, set()))
        poller.change(one, True, True)
        self.assertEqual((reactor.readers, reactor.writers), ({one}, {one}))
        poller.change(one, False, False)
        self.assertEqual((reactor.readers, reactor.writers), (set(), set()))
        poller.change(one, True, True)
        poller.remove(one)
        self.assertEqual((reactor.readers, reactor.writers), (set(), set()))
