"""Who checks talk to in tests: listeners on this host, with and without TLS."""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL, crypto
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.ssl import Certificate, CertificateOptions, trustRootFromCertificates
from twisted.trial.unittest import TestCase

from tests.net.test_tls import CA, CLIENT, SERVER
from txconsul.agent.checks.dialing import CheckTLS, Secure
from txconsul.net.direct import DirectNetwork
from txconsul.net.tls import wrap
from txconsul.net.tls_client import Identity

__all__ = ["AGENT", "TRUSTING", "PeerCase", "secure"]


def _x509(certificate: Any) -> crypto.X509:
    return crypto.X509.from_cryptography(certificate)


#: Who trusts the tests' authority, and who also has a certificate of it.
TRUSTING = Identity(trusted=(_x509(CA[0]),))
AGENT = Identity((_x509(CLIENT[0]),), crypto.PKey.from_cryptography_key(CLIENT[1]), (_x509(CA[0]),))


def secure(identity: Identity = TRUSTING, name: str = "localhost", verify: bool = True, *protocols: bytes) -> Secure:
    """TLS as a check has it."""
    return Secure(CheckTLS(identity), name, verify, protocols)


class PeerCase(TestCase):
    """Listens on this host."""

    timeout = 30

    def setUp(self) -> None:
        """A network of real sockets."""
        self.network = DirectNetwork(reactor)

    async def listen(
        self, factory: Any, *, tls: bool = False, client_needed: bool = False, protocols: tuple[bytes, ...] = ()
    ) -> str:
        """
        Listen, with the certificate of C{localhost} if there is TLS.

        @param client_needed: only who has a certificate of the tests' authority is let in.
        @return: host and port.
        """
        factory.noisy = False
        if tls:
            options: dict[str, Any] = {"certificate": _x509(SERVER[0])}
            options["privateKey"] = crypto.PKey.from_cryptography_key(SERVER[1])
            if client_needed:
                options["trustRoot"] = trustRootFromCertificates([Certificate(_x509(CA[0]))])
            if protocols:
                options["acceptableProtocols"] = list(protocols)
            factory = wrap(CertificateOptions(**options), factory, self.network.clock)
        port = await self.network.listen("tcp:0:interface=127.0.0.1", factory)
        self.addCleanup(port.stopListening)
        return f"127.0.0.1:{port.getHost().port}"

    def forget_tls_errors(self) -> None:
        """What the listener's side says of a client that turned away."""
        self.flushLoggedErrors(SSL.Error)

    def settled(self) -> Deferred[None]:
        """A turn of the reactor later, in which connections that were closed are gone."""
        later: Deferred[None] = Deferred()
        reactor.callLater(0.01, later.callback, None)  # type: ignore[attr-defined]
        return later
