"""Calls from one host to another, on a wire without sockets."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from tests.rpc.wire import PEER, SERVER, WireCase
from txconsul.codec.gomsgpack import unpack
from txconsul.errors import CallLost, CallTimedOut, RemoteError, Unreachable
from txconsul.rpc.dialing import Peer
from txconsul.rpc.pool import IDLE_SECONDS, IDLE_STREAMS_MAX
from txconsul.rpc.streams import INITIAL_WINDOW
from txconsul.rpc.yamux import BACKLOG


class PoolTests(WireCase):
    """The pool, against our own server."""

    def test_call(self) -> None:
        """A call brings back what the other side answered."""
        self.assertEqual(self.successResultOf(self.call("Test.Echo", b"\xa1x")), b"\xa1x")
        self.assertEqual(self.calls, [("Test.Echo", b"\xa1x")])

    def test_source(self) -> None:
        """Who serves a call is told where it came from."""
        source = unpack(self.successResultOf(self.call("Test.Source", b"\x80")))
        self.assertRegex(source, rb"^10\.0\.0\.2:\d+$")

    def test_oneConnection(self) -> None:
        """All calls share a connection, one after the other even a stream."""
        for _ in range(5):
            self.successResultOf(self.call("Test.Echo", b"\x80"))
        waits = [self.call("Test.Wait", b"\x80") for _ in range(3)]
        self.assertEqual(self.connections, 1)
        (connection,) = self.calling.active
        self.assertEqual(sorted(connection.multiplex.session.streams), [1, 3, 5])  # type: ignore[union-attr]
        for deferred in self.waiting:
            deferred.callback(b"\x01")
        self.settle()
        self.assertEqual([self.successResultOf(one) for one in waits], [b"\x01"] * 3)

    def test_manyAtOnce(self) -> None:
        """More calls than the other side has to accept at once are all answered; as many streams are kept as may be."""
        calls = [self.pool.call(PEER, "Test.Echo", b"\xcd%c%c" % divmod(number, 256)) for number in range(3 * BACKLOG)]
        self.settle()
        for number, one in enumerate(calls):
            self.assertEqual(self.successResultOf(one), b"\xcd%c%c" % divmod(number, 256))
        self.settle()
        (connection,) = self.calling.active
        self.assertEqual(len(connection.multiplex.session.streams), IDLE_STREAMS_MAX)  # type: ignore[union-attr]

    def test_largeBodies(self) -> None:
        """Bodies larger than a window, and than what a connection takes at once, arrive whole, several at a time."""
        body = b"\xdb\x00\x20\x00\x00" + b"x" * (8 * INITIAL_WINDOW)
        calls = [self.call("Test.Echo", body) for _ in range(10)]
        self.until(lambda: all(one.called for one in calls))
        for one in calls:
            self.assertEqual(self.successResultOf(one), body)

    def test_remoteErrors(self) -> None:
        """An error that was answered keeps its text, and the connection lives on."""
        error = self.failureResultOf(self.call("Test.Nope", b"\x80"), RemoteError).value
        self.assertEqual(str(error), "rpc: can't find method Test.Nope")
        self.successResultOf(self.call("Test.Echo", b"\x80"))
        self.assertEqual(self.connections, 1)

    def test_bugsAreNotTold(self) -> None:
        """What goes wrong there is logged there, and is no text for others."""
        error = self.failureResultOf(self.call("Test.Bug", b"\x80"), RemoteError).value
        self.assertEqual(str(error), "Internal error")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_refused(self) -> None:
        """Where nobody listens the call was not sent, and the next one tries again."""
        nobody = Peer("other", f"{SERVER}:8301", "dc1")
        for _ in range(2):
            called = self.pool.call(nobody, "Test.Echo", b"\x80")
            self.settle()
            error = self.failureResultOf(called, Unreachable).value
            self.assertEqual(str(error), f"failed to get conn: dial tcp {SERVER}:8301: connect: connection refused")
        self.assertEqual(self.pool.peers, [])

    def test_badAddresses(self) -> None:
        """An address that is none is told at once."""
        for address in ("", "10.0.0.1", ":8300", "host:x"):
            self.failureResultOf(self.pool.call(Peer("bad", address), "Test.Echo", b"\x80"), Unreachable)

    def test_tlsWithoutTls(self) -> None:
        """A peer that wants TLS is not spoken to without."""
        error = self.failureResultOf(
            self.pool.call(PEER._replace(use_tls=True), "Test.Echo", b"\x80"), Unreachable
        ).value
        self.assertEqual(str(error), "failed to get conn: server wants TLS, which is not configured")

    def test_lost(self) -> None:
        """When the connection breaks, nobody knows what became of its calls; the next one opens another."""
        waits = [self.call("Test.Wait", b"\x80") for _ in range(2)]
        self.port.stop()
        self.settle()
        for one in waits:
            self.assertEqual(str(self.failureResultOf(one, CallLost).value), "EOF")
        self.assertEqual(self.cancelled, 2)
        self.assertEqual(self.pool.peers, [])
        self.successResultOf(self.call("Test.Echo", b"\x80"))

    def test_againFromTheErrback(self) -> None:
        """Whoever calls again as soon as a connection is lost gets a new one."""
        again: list[Deferred[bytes]] = []

        def retry(_: Any) -> None:
            again.append(self.pool.call(PEER, "Test.Echo", b"\x80"))

        self.call("Test.Wait", b"\x80").addErrback(retry)
        self.port.stop()
        self.settle()
        self.assertEqual(self.successResultOf(again[0]), b"\x80")

    def test_timeout(self) -> None:
        """What is not answered in time fails, is given up there, and harms no other call."""
        slow, other = self.call("Test.Wait", b"\x80", 5.0), self.call("Test.Wait", b"\x80", 50.0)
        self.clock.advance(4.0)
        self.assertNoResult(slow)
        self.clock.advance(1.0)
        self.failureResultOf(slow, CallTimedOut)
        self.settle()
        self.assertEqual(self.cancelled, 1)
        self.waiting[1].callback(b"\x02")
        self.settle()
        self.assertEqual(self.successResultOf(other), b"\x02")

    def test_timeoutWhileConnecting(self) -> None:
        """Where there is no connection in time the call was not sent."""
        self.wire.part(["client"], ["server"])
        slow = self.call("Test.Echo", b"\x80", 3.0)
        self.clock.advance(3.0)
        self.assertEqual(str(self.failureResultOf(slow, Unreachable).value), "failed to get conn: i/o timeout")
        slower = self.call("Test.Echo", b"\x80")
        self.until(lambda: slower.called, 15.0)
        self.failureResultOf(slower, Unreachable)
        self.assertEqual(self.pool.peers, [])

    def test_cancel(self) -> None:
        """Cancelling a call gives it up on both sides; one that still waits for the connection is never sent."""
        waiting = self.call("Test.Wait", b"\x80")
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.settle()
        self.assertEqual(self.cancelled, 1)
        self.pool.disconnect(PEER)
        self.settle()
        unsent = self.pool.call(PEER, "Test.Echo", b"\x80")
        unsent.cancel()
        self.failureResultOf(unsent, CancelledError)
        self.settle()
        self.assertEqual([method for method, _ in self.calls], ["Test.Wait"])

    def test_idle(self) -> None:
        """A connection without calls is closed after a while, not earlier; one with a call never is."""
        self.call("Test.Echo", b"\x80")
        self.clock.advance(IDLE_SECONDS / 2)
        self.settle()
        self.call("Test.Echo", b"\x80")
        self.until(lambda: not self.connections, IDLE_SECONDS + 1)
        self.assertEqual(self.pool.peers, [])
        waiting = self.call("Test.Wait", b"\x80", 1000.0)
        for _ in range(40):
            self.settle(10.0)
        self.assertNoResult(waiting)
        self.assertEqual(self.connections, 1)

    def test_disconnect(self) -> None:
        """After a disconnect calls go on, new ones take another connection, and the old one is closed with the last."""
        old = self.call("Test.Wait", b"\x80")
        self.pool.disconnect(PEER)
        self.call("Test.Echo", b"\x80")
        self.assertEqual(self.connections, 2)
        self.waiting[0].callback(b"\x01")
        self.settle()
        self.assertEqual(self.successResultOf(old), b"\x01")
        self.assertEqual(self.connections, 1)

    def test_goneAway(self) -> None:
        """A server that takes no new streams is asked on a new connection, once it takes those."""
        old = self.call("Test.Wait", b"\x80")
        self.calling.go_away()
        self.settle()
        self.assertEqual(self.pool.peers, [])
        self.waiting[0].callback(b"\x01")
        self.successResultOf(self.call("Test.Echo", b"\x80"))
        self.assertEqual(self.successResultOf(old), b"\x01")

    def test_stop(self) -> None:
        """A pool that stops lets calls end for as long as it is told, then breaks them off, and takes no more."""
        first, second = self.call("Test.Wait", b"\x80"), self.call("Test.Wait", b"\x80")
        stopped = self.pool.stop(5.0)
        self.failureResultOf(self.pool.call(PEER, "Test.Echo", b"\x80"), Unreachable)
        self.waiting[0].callback(b"\x01")
        self.settle()
        self.assertEqual(self.successResultOf(first), b"\x01")
        self.assertNoResult(stopped)
        self.clock.advance(5.0)
        self.settle()
        self.failureResultOf(second, CallLost)
        self.successResultOf(stopped)
        self.settle(20.0)
        self.assertEqual(self.connections, 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopWhileConnecting(self) -> None:
        """Stopping gives up what is not connected yet."""
        self.wire.part(["client"], ["server"])
        called = self.call("Test.Echo", b"\x80")
        self.successResultOf(self.pool.stop())
        self.failureResultOf(called, Unreachable)

    def test_silentPeer(self) -> None:
        """A peer that is gone without a word is noticed by the keepalive, within 40 seconds."""
        waiting = self.call("Test.Wait", b"\x80", 1000.0)
        self.server.kill(silent=True)
        self.until(lambda: waiting.called, 41.0)
        self.failureResultOf(waiting, CallLost)

    def test_deadlinesAreForgotten(self) -> None:
        """Calls that are over do not pile up until their time."""
        for _ in range(300):
            self.call("Test.Echo", b"\x80")
        self.assertLess(len(self.pool.deadlines._heap), 150)
