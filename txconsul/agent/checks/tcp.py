"""
The check that a port takes connections.

Source: Consul's documentation of TCP checks.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from txconsul.agent.checks.dialing import Secure, Target, dial, split_address
from txconsul.interfaces import ICheck, INetwork
from txconsul.records.health import CRITICAL, PASSING, CheckResult

__all__ = ["LOOPBACK", "TCPCheck"]

#: Where an address without a host is.
LOOPBACK = "127.0.0.1"


@implementer(ICheck)
class TCPCheck:
    """
    @param address: C{host:port}.
    @param timeout: seconds.
    @param secure: see the certificate, too.
    """

    def __init__(self, network: INetwork, address: str, timeout: float, secure: Secure | None = None) -> None:
        self._network = network
        self._address = address
        self._timeout = timeout
        self._secure = secure

    def run(self) -> Deferred[CheckResult]:
        """See L{ICheck}."""
        return Deferred.fromCoroutine(self._run()).addErrback(self._failed)

    async def _run(self) -> CheckResult:
        try:
            host, port = split_address(self._address)
        except ValueError as error:
            return CheckResult(status=CRITICAL, output=f"dial tcp: {error}")
        target = Target(host or LOOPBACK, port, self._secure)
        protocol = await dial(self._network, target, Factory.forProtocol(Protocol), self._timeout)
        protocol.transport.loseConnection()
        kind = "TCP" if self._secure is None else "TCP+TLS"
        return CheckResult(status=PASSING, output=f"{kind} connect {self._address}: Success")

    def _failed(self, reason: Failure) -> CheckResult:
        return CheckResult(status=CRITICAL, output=reason.getErrorMessage())

    def stop(self) -> None:
        """See L{ICheck}."""
