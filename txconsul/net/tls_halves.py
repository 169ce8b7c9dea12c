"""
TLS connections of which one side may end its half while the other one goes on, as TCP's may.

Go's programs use that (a snapshot's archive ends so), Twisted's transport does not know it: there the end of one half
is the end of both. What is done here rests on names of Twisted's that it does not promise to keep; tests would tell.

Source: RFC 8446, section 6.1: a close_notify says of the other direction nothing.
"""

from __future__ import annotations

from typing import Any

from OpenSSL.SSL import Error, WantReadError, ZeroReturnError
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.protocols.policies import ProtocolWrapper
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory
from twisted.python.failure import Failure

__all__ = ["HalfClosableTLS", "HalfClosableTLSFactory"]


def _ignore(data: Any) -> None:
    """Nothing may follow."""


class HalfClosableTLS(BufferingTLSTransport):
    """
    TLS for a protocol; if that is an L{IHalfCloseableProtocol}, it is told of the end of the other side's half, and has
    to close the connection when it is done.
    """

    _read_over = False
    _write_over = False
    _told = False

    def loseWriteConnection(self) -> None:
        """See L{ITCPTransport}: tell the other side that nothing follows, after what was written; go on reading."""
        if self._write_over or self.disconnecting or not self.connected:
            return
        self._aggregator.flush()
        self._write_over = True
        self.write = _ignore  # type: ignore[method-assign,assignment]
        self._say_that_nothing_follows()

    def dataReceived(self, bytes: Any) -> None:
        """See L{Protocol<twisted.internet.protocol.Protocol>}."""
        super().dataReceived(bytes)  # type: ignore[no-untyped-call]
        if self._write_over:
            self._say_that_nothing_follows()

    def _say_that_nothing_follows(self) -> None:
        """As soon as the handshake is over, and what had to wait for it is sent."""
        if self._told or not self._handshakeDone or self._appSendBuffer or self.disconnecting or not self.connected:
            return
        self._told = True
        try:
            self._tlsConnection.shutdown()
        except Error:
            self._tlsShutdownFinished(Failure())  # type: ignore[no-untyped-call]
        else:
            self._flushSendBIO()  # type: ignore[no-untyped-call]

    def _flushReceiveBIO(self) -> None:
        if not IHalfCloseableProtocol.providedBy(self.wrappedProtocol):
            super()._flushReceiveBIO()  # type: ignore[no-untyped-call]
            return
        while not (self._lostTLSConnection or self._read_over):
            try:
                data = self._tlsConnection.recv(1 << 15)
            except WantReadError:
                break
            except ZeroReturnError:
                self._read_over = True
                self.wrappedProtocol.readConnectionLost()
            except Error:
                self._tlsShutdownFinished(Failure())  # type: ignore[no-untyped-call]
            else:
                if not self._aborted:
                    ProtocolWrapper.dataReceived(self, data)
        self._flushSendBIO()  # type: ignore[no-untyped-call]


class HalfClosableTLSFactory(TLSMemoryBIOFactory):
    """Makes such connections."""

    protocol = HalfClosableTLS
