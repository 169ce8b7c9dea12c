"""
TLS for listeners, from the files and names that Consul's configuration has.

A listener is wrapped, not replaced: L{wrap} gives a factory for C{INetwork.listen}, so that TLS runs over any network.

Source: the C{tls} block of Consul's agent configuration; OpenSSL's names of cipher suites from its ciphers(1).
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any

from OpenSSL import SSL, crypto
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.ssl import AcceptableCiphers, CertificateOptions, TLSVersion, trustRootFromCertificates
from twisted.internet.ssl import Certificate as TwistedCertificate
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer

from txconsul.errors import TxconsulError

__all__ = [
    "CIPHER_SUITES",
    "TLS_VERSIONS",
    "Renewable",
    "TLSUnusable",
    "authorities",
    "certificates",
    "private_key",
    "server_options",
    "wrap",
]

#: Consul's C{tls_min_version}, and the names of before 1.12.
TLS_VERSIONS = {
    "TLSv1_0": TLSVersion.TLSv1_0,
    "TLSv1_1": TLSVersion.TLSv1_1,
    "TLSv1_2": TLSVersion.TLSv1_2,
    "TLSv1_3": TLSVersion.TLSv1_3,
    "tls10": TLSVersion.TLSv1_0,
    "tls11": TLSVersion.TLSv1_1,
    "tls12": TLSVersion.TLSv1_2,
    "tls13": TLSVersion.TLSv1_3,
}

#: Consul's C{tls_cipher_suites} (up to TLS 1.2) in OpenSSL's spelling.
CIPHER_SUITES = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
}

_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


class TLSUnusable(TxconsulError):
    """A file or a name for TLS cannot be used; the text says which, and why."""


def server_options(
    *,
    cert_file: str,
    key_file: str,
    ca_file: str = "",
    ca_path: str = "",
    verify_incoming: bool = False,
    min_version: str = "TLSv1_2",
    cipher_suites: Sequence[str] = (),
) -> CertificateOptions:
    """
    What a listener needs, read once from its files.

    @param cert_file: PEM: the certificate, then those that lead up to the authority.
    @param key_file: PEM, not encrypted.
    @param ca_file: PEM: authorities whose clients are let in.
    @param ca_path: a directory of such files.
    @param verify_incoming: only clients with a certificate of these authorities are let in.
    @param min_version: a key of L{TLS_VERSIONS}; empty means TLS 1.2.
    @param cipher_suites: keys of L{CIPHER_SUITES}, for TLS 1.2 and below; empty means a modern choice.
    @raise TLSUnusable: a file is missing, unreadable or not what it should be, or a name is unknown.
    """
    if not cert_file or not key_file:
        raise TLSUnusable("TLS needs both cert_file and key_file")
    chain = certificates("cert_file", cert_file)
    options: dict[str, Any] = {
        "certificate": chain[0],
        "extraCertChain": chain[1:],
        "privateKey": private_key(key_file),
        "acceptableProtocols": [b"http/1.1"],
        **_minimum(min_version or "TLSv1_2"),
    }
    if cipher_suites:
        options["acceptableCiphers"] = _ciphers(cipher_suites)
    if verify_incoming:
        trusted = [TwistedCertificate(one) for one in authorities(ca_file, ca_path)]  # type: ignore[no-untyped-call]
        options["trustRoot"] = trustRootFromCertificates(trusted)  # type: ignore[no-untyped-call]
    built = CertificateOptions(**options)
    try:
        built.getContext()
    except SSL.Error as error:
        raise TLSUnusable(f"cert_file {cert_file} and key_file {key_file} do not go together: {_why(error)}") from error
    return built


@implementer(IOpenSSLServerConnectionCreator)
class Renewable:
    """
    What a listener shows to its clients, which may be renewed while it listens.

    @ivar options: see L{server_options}; for connections that come from then on.
    """

    def __init__(self, options: CertificateOptions) -> None:
        self.options = options

    def serverConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        """See L{IOpenSSLServerConnectionCreator}."""
        return SSL.Connection(self.options.getContext(), None)


def wrap(options: CertificateOptions | Renewable, factory: Any, clock: Any) -> TLSMemoryBIOFactory:
    """
    The same factory behind TLS.

    @param options: see L{server_options}.
    @param clock: an L{IReactorTime}.
    """
    return TLSMemoryBIOFactory(options, False, factory, clock)


def _minimum(name: str) -> dict[str, Any]:
    version = TLS_VERSIONS.get(name)
    if version is None:
        raise TLSUnusable(f"tls_min_version {name!r} is unknown; known are {', '.join(TLS_VERSIONS)}")
    # Twisted's own minimum may rise one day; Consul's default stays what its documentation says.
    return {"raiseMinimumTo" if version is TLSVersion.TLSv1_3 else "insecurelyLowerMinimumTo": version}


def _ciphers(names: Sequence[str]) -> Any:
    unknown = [name for name in names if name not in CIPHER_SUITES]
    if unknown:
        raise TLSUnusable(f"tls_cipher_suites: unknown {', '.join(unknown)}; known are {', '.join(CIPHER_SUITES)}")
    spelled = ":".join(CIPHER_SUITES[name] for name in names)
    return AcceptableCiphers.fromOpenSSLCipherString(spelled)  # type: ignore[no-untyped-call]


def _read(what: str, path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise TLSUnusable(f"{what} {path}: {error.strerror}") from error


def certificates(what: str, path: str) -> list[crypto.X509]:
    """
    The certificates of a PEM file, in their order.

    @param what: the key of the configuration that names the file.
    @raise TLSUnusable: the file is missing, unreadable or not what it should be.
    """
    found = _CERTIFICATE.findall(_read(what, path))
    if not found:
        raise TLSUnusable(f"{what} {path}: no PEM certificate in it")
    try:
        return [crypto.load_certificate(crypto.FILETYPE_PEM, one) for one in found]
    except (crypto.Error, ValueError) as error:
        raise TLSUnusable(f"{what} {path}: a certificate is damaged: {_why(error)}") from error


def private_key(path: str) -> crypto.PKey:
    """
    The key of a PEM file.

    @raise TLSUnusable: the file is missing, unreadable, encrypted or not what it should be.
    """
    try:
        return crypto.load_privatekey(crypto.FILETYPE_PEM, _read("key_file", path), passphrase=b"")
    except (crypto.Error, ValueError, TypeError) as error:
        raise TLSUnusable(f"key_file {path}: no usable PEM private key in it: {_why(error)}") from error


def authorities(ca_file: str, ca_path: str) -> list[crypto.X509]:
    """
    The certificates of a file and of all files in a directory.

    @raise TLSUnusable: a file is missing, unreadable or not what it should be, or there is none.
    """
    found = certificates("ca_file", ca_file) if ca_file else []
    if ca_path:
        try:
            names = sorted(os.listdir(ca_path))
        except OSError as error:
            raise TLSUnusable(f"ca_path {ca_path}: {error.strerror}") from error
        for name in names:
            path = os.path.join(ca_path, name)
            if os.path.isfile(path):
                found += certificates("ca_path", path)
    if not found:
        raise TLSUnusable("verify_incoming is set, but neither ca_file nor ca_path names an authority")
    return found


def _why(error: Exception) -> str:
    """OpenSSL's own words, without its codes."""
    if isinstance(error, (SSL.Error, crypto.Error)) and error.args and isinstance(error.args[0], list):
        return "; ".join(entry[-1] for entry in error.args[0] if entry) or "no reason given"
    return str(error) or "no reason given"
