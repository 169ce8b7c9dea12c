"""TLS for listeners: its files, its errors, and a conversation."""

from __future__ import annotations

import datetime
import os
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL
from twisted.internet import reactor
from twisted.internet.defer import inlineCallbacks
from twisted.internet.protocol import Factory
from twisted.internet.ssl import Certificate, CertificateOptions, PrivateCertificate, trustRootFromCertificates
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.net.test_networks import Collector
from txconsul.http.connection import Response
from txconsul.http.server import HTTPFactory
from txconsul.net.direct import DirectNetwork
from txconsul.net.tls import CIPHER_SUITES, TLSUnusable, server_options, wrap


def authority(name: str, signer: tuple[Any, Any] | None = None) -> tuple[x509.Certificate, Any]:
    """A certificate and its key, signed by C{signer} or by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    issuer = signer[0].subject if signer else subject
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=signer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(signer[1] if signer else key, hashes.SHA256())
    )
    return certificate, key


def certificate_pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def key_pem(key: Any) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )  # type: ignore[no-any-return]


CA = authority("Test CA")
SERVER = authority("localhost", CA)
CLIENT = authority("client", CA)
STRANGER = authority("stranger", authority("Other CA"))


class Files(SynchronousTestCase):
    """Writes files for a test."""

    def write(self, data: bytes) -> str:
        path = self.mktemp()
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
        return path

    def server_files(self) -> dict[str, str]:
        return {
            "cert_file": self.write(certificate_pem(SERVER[0]) + certificate_pem(CA[0])),
            "key_file": self.write(key_pem(SERVER[1])),
        }


class OptionTests(Files):
    """What configuration becomes, and what is said where it cannot."""

    def refused(self, **options: Any) -> str:
        with self.assertRaises(TLSUnusable) as raised:
            server_options(**{**self.server_files(), **options})
        return str(raised.exception)

    def test_usable(self) -> None:
        """Certificate, chain and key from PEM files; every name of Consul's is known."""
        for version in ("", "TLSv1_2", "TLSv1_3", "tls12"):
            server_options(**self.server_files(), min_version=version)
        server_options(**self.server_files(), cipher_suites=list(CIPHER_SUITES))

    def test_files(self) -> None:
        """A file that is missing or not what it should be is named, with the reason."""
        self.assertIn("both cert_file and key_file", self.refused(key_file=""))
        self.assertEqual(self.refused(cert_file="none.pem"), "cert_file none.pem: No such file or directory")
        self.assertEqual(self.refused(key_file="none.pem"), "key_file none.pem: No such file or directory")
        text = self.write(b"text")
        self.assertEqual(self.refused(cert_file=text), f"cert_file {text}: no PEM certificate in it")
        self.assertIn(f"key_file {text}: no usable PEM private key in it", self.refused(key_file=text))
        damaged = self.write(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        self.assertIn(f"cert_file {damaged}: a certificate is damaged", self.refused(cert_file=damaged))

    def test_encryptedKey(self) -> None:
        """An encrypted key is refused; nobody is asked for its passphrase."""
        encrypted = self.write(
            SERVER[1].private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(b"secret"),
            )
        )
        self.assertIn(f"key_file {encrypted}: no usable PEM private key", self.refused(key_file=encrypted))

    def test_keyOfAnother(self) -> None:
        """A key that is not the certificate's is refused."""
        self.assertIn("do not go together", self.refused(key_file=self.write(key_pem(CLIENT[1]))))

    def test_names(self) -> None:
        """Unknown names are told, with those that are known."""
        self.assertIn("'TLSv9' is unknown; known are TLSv1_0", self.refused(min_version="TLSv9"))
        self.assertIn("unknown RC4", self.refused(cipher_suites=["RC4"]))

    def test_authorities(self) -> None:
        """C{verify_incoming} needs an authority, from a file or a directory."""
        self.assertIn("verify_incoming is set", self.refused(verify_incoming=True))
        self.assertEqual(self.refused(verify_incoming=True, ca_path="none"), "ca_path none: No such file or directory")
        directory = self.mktemp()
        os.makedirs(directory)
        with open(os.path.join(directory, "ca.pem"), "wb") as file:
            file.write(certificate_pem(CA[0]))
        server_options(**self.server_files(), verify_incoming=True, ca_path=directory)


class ConversationTests(Files, TestCase):
    """HTTPS over the default network."""

    timeout = 30

    @inlineCallbacks
    def ask(self, client: Any, **options: Any) -> Any:
        """One request for a large answer; gives what came."""
        network = DirectNetwork(reactor)
        factory = HTTPFactory(lambda request: Response(200, b"", b"a" * 1_000_000), network.clock)
        wrapped = wrap(server_options(**self.server_files(), **options), factory, network.clock)
        port = yield network.listen("tcp:0:interface=127.0.0.1", wrapped)
        self.addCleanup(port.stopListening)
        protocol = yield network.connect(
            f"tcp:127.0.0.1:{port.getHost().port}",
            TLSMemoryBIOFactory(client, True, Factory.forProtocol(Collector), network.clock),
        )
        inner = protocol.wrappedProtocol
        inner.transport.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        data = yield inner.ended
        yield factory.stop(5.0)
        return data

    def client(self, certificate: Any = None, **options: Any) -> CertificateOptions:
        if certificate is not None:
            loaded = PrivateCertificate.loadPEM(key_pem(certificate[1]) + certificate_pem(certificate[0]))
            options["privateKey"] = loaded.privateKey.original
            options["certificate"] = loaded.original
        return CertificateOptions(
            trustRoot=trustRootFromCertificates([Certificate.loadPEM(certificate_pem(CA[0]))]), **options
        )

    @inlineCallbacks
    def test_answer(self) -> Any:
        """A client gets its answer whole."""
        data = yield self.ask(self.client())
        self.assertTrue(data.startswith(b"HTTP/1.1 200 OK\r\n"))
        self.assertEqual(len(data.partition(b"\r\n\r\n")[2]), 1_000_000)

    @inlineCallbacks
    def test_verifyIncoming(self) -> Any:
        """Only a client with a certificate of the authority is answered."""
        options = {"verify_incoming": True, "ca_file": self.write(certificate_pem(CA[0]))}
        data = yield self.ask(self.client(CLIENT), **options)
        self.assertTrue(data.startswith(b"HTTP/1.1 200 OK\r\n"))
        for other in (None, STRANGER):
            data = yield self.ask(self.client(other), **options)
            self.assertEqual(data, b"")
        self.flushLoggedErrors(SSL.Error)

    def test_handshakeTimeout(self) -> None:
        """A client that does not get to its first request is cut off."""
        clock = Clock()
        factory = HTTPFactory(lambda request: Response(200), clock, handshake_seconds_max=5.0)
        wrapped = wrap(server_options(**self.server_files()), factory, clock)
        protocol: Any = wrapped.buildProtocol(None)
        transport = StringTransport()
        protocol.makeConnection(transport)
        clock.pump([1] * 4)
        self.assertFalse(transport.disconnected)
        clock.pump([1] * 2)
        self.assertTrue(transport.disconnected)
