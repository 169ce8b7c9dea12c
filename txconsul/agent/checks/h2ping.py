"""
The check that an HTTP/2 server gives a ping back.

Source: Consul's documentation of H2ping checks; RFC 9113, section 6.7.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.protocol import Factory
from zope.interface import implementer

from txconsul.agent.checks.dialing import CannotDial, Secure, Target, dial, split_address
from txconsul.agent.checks.http2 import HTTP2Client
from txconsul.agent.checks.tcp import LOOPBACK
from txconsul.errors import PeerMisbehaved
from txconsul.interfaces import ICheck, INetwork
from txconsul.records.health import CRITICAL, PASSING, CheckResult

__all__ = ["H2PingCheck"]


@implementer(ICheck)
class H2PingCheck:
    """
    @param address: C{host:port}.
    @param timeout: seconds, for the connection and the ping each.
    """

    def __init__(self, network: INetwork, address: str, timeout: float, secure: Secure | None = None) -> None:
        self._network = network
        self._address = address
        self._timeout = timeout
        self._secure = secure

    def run(self) -> Deferred[CheckResult]:
        """See L{ICheck}."""
        return Deferred.fromCoroutine(self._run())

    async def _run(self) -> CheckResult:
        factory = Factory.forProtocol(HTTP2Client)
        try:
            host, port = split_address(self._address)
            client = await dial(self._network, Target(host or LOOPBACK, port, self._secure), factory, self._timeout)
        except (CannotDial, PeerMisbehaved, ValueError) as error:
            return CheckResult(status=CRITICAL, output=f"Failed to dial to {self._address}: {error}")
        try:
            await client.ping().addTimeout(self._timeout, self._network.clock)
        except (PeerMisbehaved, DeferredTimeout) as error:
            why = "context deadline exceeded" if isinstance(error, DeferredTimeout) else str(error)
            return CheckResult(status=CRITICAL, output=f"HTTP2 ping failed: {why}")
        finally:
            client.close()
        return CheckResult(status=PASSING, output="HTTP2 ping was successful")

    def stop(self) -> None:
        """See L{ICheck}."""
