"""
A protocol that stands at the beginning of a connection, and hands it over to another one.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IHalfCloseableProtocol, IProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

__all__ = ["Handover"]


@implementer(IHalfCloseableProtocol)
class Handover(Protocol):
    """
    Passes everything on, once somebody is there. From then on it costs nothing that this stands between.

    @ivar inner: who has the connection; None before.
    """

    inner: Any = None

    def hand_over(self, inner: IProtocol, rest: bytes = b"") -> None:
        """
        Give the connection away.

        @param rest: what was received for the other one already.
        """
        self.inner = inner
        self.dataReceived = inner.dataReceived  # type: ignore[method-assign]
        transport: Any = self.transport
        inner.makeConnection(transport)
        if rest:
            inner.dataReceived(rest)

    def readConnectionLost(self) -> None:
        """See L{IHalfCloseableProtocol}."""
        if IHalfCloseableProtocol.providedBy(self.inner):
            self.inner.readConnectionLost()
        else:
            transport: Any = self.transport
            transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """See L{IHalfCloseableProtocol}."""
        if IHalfCloseableProtocol.providedBy(self.inner):
            self.inner.writeConnectionLost()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See L{Protocol}."""
        inner, self.inner = self.inner, None
        if inner is not None:
            inner.connectionLost(reason)
