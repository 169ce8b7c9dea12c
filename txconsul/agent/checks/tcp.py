"""
The check that a port takes connections.

Source: Consul's documentation of TCP checks.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from txconsul.agent.checks.dialing import Target, dial, split_address
from txconsul.interfaces import ICheck, INetwork
from txconsul.records.health import CRITICAL, PASSING, CheckResult

__all__ = ["TCPCheck"]

LOOPBACK = "127.0.0.1"


@implementer(IHandshakeListener)
class _Shaking(Protocol):
    """Says when the other side has shown its certificate, or why it will not."""

    def __init__(self) -> None:
        self.shaken: Deferred[None] = Deferred(lambda _: self._close())

    def _close(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()

    def handshakeCompleted(self) -> None:
        self.shaken.callback(None)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self.shaken.called:
            self.shaken.errback(reason)


@implementer(ICheck)
class TCPCheck:
    """
    @param address: C{host:port}.
    @param server_name: in the certificate; the host where it is empty.
    @param verify: whether the certificate must be trusted.
    @param timeout: seconds.
    """

    def __init__(
        self,
        network: INetwork,
        address: str,
        timeout: float,
        *,
        tls: bool = False,
        server_name: str = "",
        verify: bool = True,
    ) -> None:
        self._network = network
        self._address = address
        self._timeout = timeout
        self._tls = tls
        self._server_name = server_name
        self._verify = verify

    def run(self) -> Deferred[CheckResult]:
        """See L{ICheck}."""
        return Deferred.fromCoroutine(self._run()).addErrback(self._failed)

    async def _run(self) -> CheckResult:
        host, port = split_address(self._address)
        target = Target(host or LOOPBACK, port, self._tls, self._server_name, self._verify)
        factory: Any = Factory.forProtocol(_Shaking if self._tls else Protocol)
        protocol = await dial(self._network, target, factory, self._timeout)
        if self._tls:
            await protocol.wrappedProtocol.shaken.addTimeout(self._timeout, self._network.clock)
        protocol.transport.loseConnection()
        kind = "TCP+TLS" if self._tls else "TCP"
        return CheckResult(status=PASSING, output=f"{kind} connect {self._address}: Success")

    def _failed(self, reason: Failure) -> CheckResult:
        return CheckResult(status=CRITICAL, output=reason.getErrorMessage())

    def stop(self) -> None:
        """See L{ICheck}."""
