"""
The check that nobody says that a UDP port is shut.

UDP has no connections: an empty datagram is sent, and any answer is good. So is none until time is up, since many
services have nothing to say to it. What counts as bad is the message of the host (ICMP) that nobody is there.

Source: Consul's documentation of UDP checks.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.error import CannotListenError, DNSLookupError
from twisted.internet.protocol import DatagramProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from txconsul.agent.checks.dialing import CannotDial, split_address
from txconsul.agent.checks.tcp import LOOPBACK
from txconsul.interfaces import ICheck, INetwork
from txconsul.records.health import CRITICAL, PASSING, CheckResult

__all__ = ["UDPCheck"]


class _Asking(DatagramProtocol):
    """Waits for what comes back."""

    noisy = False
    transport: Any

    def __init__(self, where: str) -> None:
        self._where = where
        self.answered: Deferred[None] = Deferred()

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        if not self.answered.called:
            self.answered.callback(None)

    def connectionRefused(self) -> None:
        if not self.answered.called:
            self.answered.errback(CannotDial(f"read udp {self._where}: read: connection refused"))

    def stopProtocol(self) -> None:
        self.connectionRefused()


@implementer(ICheck)
class UDPCheck:
    """
    @param address: C{host:port}.
    @param timeout: seconds for which an answer is awaited.
    """

    def __init__(self, network: INetwork, address: str, timeout: float) -> None:
        self._network = network
        self._address = address
        self._timeout = timeout

    def run(self) -> Deferred[CheckResult]:
        """See L{ICheck}."""
        return Deferred.fromCoroutine(self._run()).addErrback(self._failed)

    async def _run(self) -> CheckResult:
        host, port = split_address(self._address)
        looked_up = self._network.resolve(host or LOOPBACK)
        address = await looked_up.addTimeout(self._timeout, self._network.clock)
        asking = _Asking(f"[{address}]:{port}" if ":" in address else f"{address}:{port}")
        interface = r"\:\:" if ":" in address else "0.0.0.0"
        place = await self._network.datagrams(f"udp:0:interface={interface}", asking)
        try:
            asking.transport.connect(address, port)
            asking.transport.write(b"", None)
            await asking.answered.addTimeout(self._timeout, self._network.clock)
        except DeferredTimeout:
            pass
        finally:
            asking.answered.addErrback(lambda _: None)  # what is heard after this says nothing
            place.stopListening()
        return CheckResult(status=PASSING, output=f"UDP connect {self._address}: Success")

    def _failed(self, reason: Failure) -> CheckResult:
        if reason.check(DNSLookupError):
            return CheckResult(status=CRITICAL, output=f"dial udp: lookup {self._address}: no such host")
        if reason.check(DeferredTimeout):
            return CheckResult(status=CRITICAL, output=f"dial udp: lookup {self._address}: i/o timeout")
        if reason.check(ValueError):
            return CheckResult(status=CRITICAL, output=f"dial udp: {reason.getErrorMessage()}")
        reason.trap(CannotDial, CannotListenError)
        return CheckResult(status=CRITICAL, output=reason.getErrorMessage())

    def stop(self) -> None:
        """See L{ICheck}."""
