"""Calls inside TLS, on a wire without sockets."""

from __future__ import annotations

from io import BytesIO

from OpenSSL import crypto
from twisted.internet.defer import Deferred
from twisted.internet.ssl import CertificateOptions

from tests.net.test_tls import CA, SERVER, STRANGER
from tests.rpc.test_snapshot import PIECE, Door
from tests.rpc.wire import PEER, Raw, WireCase
from txconsul.errors import CallLost, Unreachable
from txconsul.net.tls_client import ClientTLS, Identity
from txconsul.net.tls_halves import HalfClosableTLSFactory
from txconsul.records.archive import SnapshotRequest
from txconsul.rpc.demux import FirstByte
from txconsul.rpc.dialing import DIAL_TIMEOUT, Dialer
from txconsul.rpc.pool import ConnectionPool
from txconsul.rpc.snapshot_asking import SnapshotAsker
from txconsul.rpc.snapshot_serving import SnapshotServer
from txconsul.rpc.streams import INITIAL_WINDOW

SECURE = PEER._replace(use_tls=True)


class TLSTests(WireCase):
    """The server port behind byte 3."""

    def setUp(self) -> None:
        """A server that wants TLS."""
        super().setUp()
        options = CertificateOptions(
            privateKey=crypto.PKey.from_cryptography_key(SERVER[1]),
            certificate=crypto.X509.from_cryptography(SERVER[0]),
        )
        self.port.tls_required = True
        tls = HalfClosableTLSFactory(options, False, self.port.inside(), self.clock)
        self.port.protocols[FirstByte.TLS] = tls.buildProtocol
        self.pool = self.trusting(CA[0])

    def trusting(self, authority: object, name: str = "localhost") -> ConnectionPool:
        """A pool of whoever trusts an authority, and wants a server of a certain name."""
        tls = ClientTLS(Identity(trusted=(crypto.X509.from_cryptography(authority),)))  # type: ignore[arg-type]
        return ConnectionPool(self.clock, Dialer(self.client, lambda peer: tls.creator(name)))

    def test_calls(self) -> None:
        """Calls go through, those too that need many windows, on one connection."""
        large = b"\xdb\x00\x10\x00\x00" + bytes(4 * INITIAL_WINDOW)
        for body in (b"\x80", large):
            called = self.pool.call(SECURE, "Test.Echo", body)
            self.until(lambda one=called: one.called)  # type: ignore[misc]
            self.assertEqual(self.successResultOf(called), body)
        self.assertEqual(len(self.calling.active), 1)
        self.pool.disconnect(SECURE)
        self.until(lambda: not self.connections)

    def test_snapshots(self) -> None:
        """A state is saved and restored: the archive ends with one half of the connection, the other half answers."""
        door = Door()
        door.pieces = [PIECE] * 200
        SnapshotServer(self.clock, door, self.port.complaints).register(self.port)  # type: ignore[arg-type]
        asker = SnapshotAsker(self.clock, self.pool.dialer)
        saving = asker.save(SECURE, SnapshotRequest("dc1"), "")
        self.until(lambda: saving.called)
        saved, archive = self.successResultOf(saving), b""
        for piece in saved.pieces:
            if isinstance(piece, Deferred):
                self.until(lambda one=piece: one.called)  # type: ignore[misc]
                piece = self.successResultOf(piece)
            archive += piece
        self.assertEqual(archive, PIECE * 200)
        restoring = asker.restore(SECURE, SnapshotRequest("dc1", archive=BytesIO(archive)), "")
        self.until(lambda: restoring.called)
        self.assertIsNone(self.successResultOf(restoring))
        self.assertEqual(door.restored, [archive])
        self.until(lambda: not self.connections)

    def test_untrusted(self) -> None:
        """A server whose certificate is not trusted, or not of that name, is not spoken to."""
        for pool, why in (
            (self.trusting(STRANGER[0]), "certificate verify failed"),
            (self.trusting(CA[0], "server.dc1.consul"), "certificate is not valid for server.dc1.consul"),
        ):
            self.pool = pool
            called = self.pool.call(SECURE, "Test.Echo", b"\x80")
            self.until(lambda one=called: one.called)  # type: ignore[misc]
            self.assertIn(why, str(self.failureResultOf(called, Unreachable).value))
        self.assertEqual(self.calls, [])
        self.until(lambda: not self.connections)
        self.assertEqual(self.pool.peers, [])

    def test_handshakeThatDoesNotEnd(self) -> None:
        """A server that is silent in the middle of the handshake is given up."""
        self.port.protocols[FirstByte.TLS] = lambda address: Raw()
        called = self.pool.call(SECURE, "Test.Echo", b"\x80")
        self.until(lambda: called.called, DIAL_TIMEOUT + 1.0)
        error = self.failureResultOf(called, Unreachable).value
        self.assertEqual(str(error), f"failed to get conn: dial tcp {PEER.address}: i/o timeout")
        self.until(lambda: not self.connections)

    def test_givenUp(self) -> None:
        """Stopping in the middle of the handshake ends the connection."""
        self.port.protocols[FirstByte.TLS] = lambda address: Raw()
        called = self.pool.call(SECURE, "Test.Echo", b"\x80")
        self.settle()
        stopped = self.pool.stop()
        self.failureResultOf(called, Unreachable)
        self.successResultOf(stopped)
        self.until(lambda: not self.connections)

    def test_withoutTls(self) -> None:
        """Who does not speak TLS is not served."""
        called = self.call("Test.Echo", b"\x80")
        self.failureResultOf(called, CallLost)
        self.assertEqual(self.calls, [])
