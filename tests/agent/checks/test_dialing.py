"""Checks of ports that really listen: TCP, TCP with TLS, UDP, and pages with TLS."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import succeed
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.agent.checks.peers import AGENT, TRUSTING, PeerCase, secure
from tests.net.test_tls import CLIENT, SERVER, STRANGER, Files, certificate_pem, key_pem
from txconsul.agent.checks.dialing import CheckTLS
from txconsul.agent.checks.http import HTTPCheck
from txconsul.agent.checks.tcp import TCPCheck
from txconsul.agent.checks.udp import UDPCheck
from txconsul.net.tls import TLSUnusable
from txconsul.net.tls_client import ANONYMOUS, identity
from txconsul.records.health import CRITICAL, PASSING, CheckResult


class Page(Protocol):
    """A page that says who asked."""

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        shown = getattr(self.transport, "getPeerCertificate", lambda: None)()
        name = b"nobody" if shown is None else shown.get_subject().CN.encode()
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(name), name))


class Shut(Protocol):
    """Hangs up."""

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.loseConnection()


class TCPTests(PeerCase):
    """Checks of a port."""

    async def run_check(self, address: str, *arguments: Any) -> CheckResult:
        """One look."""
        result: CheckResult = await TCPCheck(self.network, address, 10.0, *arguments).run()
        await self.settled()
        return result

    async def test_plain(self) -> None:
        """A port that listens is passing, one that does not is critical."""
        address = await self.listen(Factory.forProtocol(Page))
        result = await self.run_check(address)
        self.assertEqual(result, CheckResult(status=PASSING, output=f"TCP connect {address}: Success"))
        result = await self.run_check("127.0.0.1:1")
        text = "dial tcp 127.0.0.1:1: connect: connection refused"
        self.assertEqual(result, CheckResult(status=CRITICAL, output=text))

    async def test_tls(self) -> None:
        """With TLS, the certificate must be trusted and of the name, unless that does not matter."""
        address = await self.listen(Factory.forProtocol(Page), tls=True)
        success = CheckResult(status=PASSING, output=f"TCP+TLS connect {address}: Success")
        self.assertEqual(await self.run_check(address, secure()), success)
        self.assertEqual(await self.run_check(address, secure(ANONYMOUS, verify=False)), success)
        self.assertEqual(await self.run_check(address, secure(TRUSTING, "other", verify=False)), success)
        for used, why in (
            (secure(ANONYMOUS), "certificate signed by unknown authority"),
            (secure(TRUSTING, "other"), "certificate is not valid for other"),
            (secure(TRUSTING, ""), "certificate is not valid for 127.0.0.1"),
        ):
            result = await self.run_check(address, used)
            text = f"tls: failed to verify certificate: x509: {why}"
            self.assertEqual(result, CheckResult(status=CRITICAL, output=text))
        self.forget_tls_errors()

    async def test_serverNameOfTheAgent(self) -> None:
        """Where a check expects no name, the one that the agent's settings have is expected."""
        address = await self.listen(Factory.forProtocol(Page), tls=True)
        settings = CheckTLS(TRUSTING, "localhost")
        used = secure(name="")._replace(settings=settings)
        self.assertEqual((await self.run_check(address, used)).status, PASSING)
        settings.change(ANONYMOUS, "localhost")
        self.assertEqual((await self.run_check(address, used)).status, CRITICAL)
        self.forget_tls_errors()

    async def test_noTLS(self) -> None:
        """Who speaks no TLS, or hangs up, is critical in words."""
        for protocol, text in (
            (Page, "tls: first record does not look like a TLS handshake"),
            (Shut, "EOF"),
        ):
            address = await self.listen(Factory.forProtocol(protocol))
            result = await self.run_check(address, secure())
            self.assertEqual(result, CheckResult(status=CRITICAL, output=text))

    async def test_handshakeTimeout(self) -> None:
        """A handshake that never ends is given up in time."""
        address = await self.listen(Factory.forProtocol(Protocol))
        result = await TCPCheck(self.network, address, 0.05, secure()).run()
        self.assertEqual(result, CheckResult(status=CRITICAL, output=f"dial tcp {address}: i/o timeout"))
        await self.settled()


class PageTests(PeerCase):
    """Checks of pages with TLS."""

    async def ask(self, address: str, used: Any) -> CheckResult:
        """One look."""
        check = HTTPCheck(self.network, f"https://{address}/", secure=used)
        result: CheckResult = await check.run()
        check.stop()
        await self.settled()
        return result

    async def test_tls(self) -> None:
        """As a stranger, with the system's authorities, with none, and with the tests'."""
        address = await self.listen(Factory.forProtocol(Page), tls=True)
        for used in (secure(), secure(ANONYMOUS, verify=False)):
            result = await self.ask(address, used)
            self.assertEqual(result.status, PASSING)
            self.assertTrue(result.output.endswith("200 OK Output: nobody"))
        result = await self.ask(address, secure(ANONYMOUS))
        why = "tls: failed to verify certificate: x509: certificate signed by unknown authority"
        self.assertEqual(result, CheckResult(status=CRITICAL, output=f'Get "https://{address}/": {why}'))
        self.forget_tls_errors()

    async def test_agentsCertificate(self) -> None:
        """With the agent's certificate, a page that needs one is seen; without, it is not."""
        address = await self.listen(Factory.forProtocol(Page), tls=True, client_needed=True)
        result = await self.ask(address, secure(AGENT))
        self.assertTrue(result.output.endswith("200 OK Output: client"), result.output)
        result = await self.ask(address, secure())
        self.assertEqual(result.status, CRITICAL)
        self.assertIn("remote error: tls: ", result.output)
        self.forget_tls_errors()


class IdentityTests(Files):
    """The agent's certificate, from its files."""

    def test_files(self) -> None:
        """Each of them may be left out; a key that is another's is told."""
        self.assertEqual(identity("", "", "", ""), ANONYMOUS)
        certificate, key = self.write(certificate_pem(CLIENT[0])), self.write(key_pem(CLIENT[1]))
        found = identity(certificate, key, self.write(certificate_pem(SERVER[0])), "")
        self.assertEqual((len(found.chain), len(found.trusted)), (1, 1))
        other = self.write(key_pem(STRANGER[1]))
        self.assertRaises(TLSUnusable, identity, certificate, other, "", "")
        self.assertRaises(TLSUnusable, identity, certificate, "absent", "", "")
        self.assertRaises(TLSUnusable, identity, "", "", "absent", "")


class Answers(DatagramProtocol):
    """Answers."""

    noisy = False

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        assert self.transport is not None
        self.transport.write(b"yes", addr)


class UDPTests(PeerCase):
    """Checks of UDP ports."""

    async def test_real(self) -> None:
        """An answer is passing, so is none; the host's word that nobody is there is critical."""
        for receiver, seconds in ((Answers(), 10.0), (DatagramProtocol(), 0.05)):
            receiver.noisy = False
            port = await self.network.datagrams("udp:0:interface=127.0.0.1", receiver)
            self.addCleanup(port.stopListening)
            address = f"127.0.0.1:{port.getHost().port}"
            result = await UDPCheck(self.network, address, seconds).run()
            self.assertEqual(result, CheckResult(status=PASSING, output=f"UDP connect {address}: Success"))
        result = await UDPCheck(self.network, "localhost:1", 10.0).run()
        self.assertEqual(result.status, CRITICAL)
        self.assertIn("connection refused", result.output)

    async def test_noAddress(self) -> None:
        """What is no address, or no name, is critical."""
        for address in ("localhost", "a:b", "no..name:1"):
            self.assertEqual((await UDPCheck(self.network, address, 10.0).run()).status, CRITICAL)


class Recorded:
    """A network whose datagrams go nowhere."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.closed = 0
        self.sent: list[bytes] = []

    def resolve(self, name: str) -> Any:
        """Itself."""
        return succeed(name)

    def datagrams(self, description: str, receiver: Any) -> Any:
        """This."""
        receiver.makeConnection(self)
        self.receiver = receiver
        return succeed(self)

    def connect(self, host: str, port: int) -> None:
        """Nowhere."""

    def write(self, data: bytes, address: Any) -> None:
        """Remember."""
        self.sent.append(data)

    def stopListening(self) -> None:
        """Remember."""
        self.closed += 1
        self.receiver.doStop()


class UDPClockTests(SynchronousTestCase):
    """How long is waited."""

    def test_timeout(self) -> None:
        """Silence is passing when time is up, and not before; the port is given back."""
        network = Recorded()
        found = UDPCheck(network, "10.0.0.1:9", 3.0).run()  # type: ignore[arg-type]
        network.clock.advance(2.9)
        self.assertNoResult(found)
        network.clock.advance(0.1)
        self.assertEqual(self.successResultOf(found).status, PASSING)
        self.assertEqual((network.sent, network.closed), ([b""], 1))

    def test_stopped(self) -> None:
        """A check that is broken off gives its port back."""
        network = Recorded()
        found = UDPCheck(network, "10.0.0.1:9", 3.0).run()  # type: ignore[arg-type]
        found.addErrback(lambda _: None)
        found.cancel()
        self.assertEqual(network.closed, 1)
