"""
TLS towards others: one context for all that are called alike, the name verified for each connection.

A context with the system's authorities takes some milliseconds and some hundred kilobytes, so that a thousand checks of
pages must not have one each.

Source: RFC 6125 and RFC 9525 (names), RFC 6066, section 3 (no server name for addresses), RFC 7301 (ALPN).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from OpenSSL import SSL, crypto
from service_identity import VerificationError
from service_identity.pyopenssl import verify_hostname, verify_ip_address
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import Certificate, CertificateOptions, platformTrust, trustRootFromCertificates
from twisted.python.failure import Failure
from zope.interface import implementer

from txconsul.net.tls import TLSUnusable, authorities, certificates, private_key

__all__ = ["ANONYMOUS", "ClientTLS", "Identity", "Untrusted", "identity", "why_untrusted"]

#: OpenSSL's verification errors (X509_verify_cert_error_string(3)) that are told apart.
_NOT_YET_VALID, _EXPIRED = 9, 10


class Untrusted(Exception):
    """The other side is not who it should be; the text says why."""


class Identity(NamedTuple):
    """
    What is shown to others, and whom of them is trusted.

    @ivar chain: this side's certificate, then those that lead up to its authority; empty to show none.
    @ivar trusted: the authorities; empty for the system's.
    """

    chain: tuple[crypto.X509, ...] = ()
    key: crypto.PKey | None = None
    trusted: tuple[crypto.X509, ...] = ()


#: Who shows nothing and trusts whom the system trusts.
ANONYMOUS = Identity()


def identity(cert_file: str, key_file: str, ca_file: str, ca_path: str) -> Identity:
    """
    Read an identity from PEM files, of which each may be left out; a certificate needs its key.

    @raise TLSUnusable: a file is missing, unreadable or not what it should be.
    """
    chain = certificates("cert_file", cert_file) if cert_file and key_file else []
    key = private_key(key_file) if chain else None
    trusted = authorities(ca_file, ca_path) if ca_file or ca_path else []
    found = Identity(tuple(chain), key, tuple(trusted))
    try:
        ClientTLS(found)
    except SSL.Error as error:
        raise TLSUnusable(f"cert_file {cert_file} and key_file {key_file} do not go together") from error
    return found


class ClientTLS:
    """
    How some are called.

    @param verify: whether a certificate must be of a trusted authority and of the name.
    @param protocols: what may be spoken inside, the first one preferred.
    """

    def __init__(self, identity: Identity = ANONYMOUS, *, verify: bool = True, protocols: Sequence[bytes] = ()) -> None:
        options: dict[str, Any] = {}
        if identity.chain:
            options.update(
                certificate=identity.chain[0], extraCertChain=list(identity.chain[1:]), privateKey=identity.key
            )
        if verify and identity.trusted:
            trusted = [Certificate(one) for one in identity.trusted]  # type: ignore[no-untyped-call]
            options["trustRoot"] = trustRootFromCertificates(trusted)  # type: ignore[no-untyped-call]
        elif verify:
            options["trustRoot"] = platformTrust()  # type: ignore[no-untyped-call]
        if protocols:
            options["acceptableProtocols"] = list(protocols)
        self._verify = verify
        self._context = CertificateOptions(**options).getContext()
        if verify:
            self._context.set_verify(SSL.VERIFY_PEER, _verified)
        self._context.set_info_callback(_informed)

    def creator(self, name: str) -> _Creator:
        """
        What L{twisted.protocols.tls.TLSMemoryBIOFactory} makes connections with.

        @param name: a host's name, or an address, that must be in the certificate.
        """
        return _Creator(self._context, name, self._verify)


class _Called:
    """
    One connection: what its callbacks need.

    @ivar problem: why its certificate is not trusted, once that is known.
    """

    def __init__(self, name: str, verify: bool) -> None:
        self.name = name
        self.verify = verify
        self.problem = ""


#: Beside the connections, as their application data is Twisted's.
_calls: WeakKeyDictionary[SSL.Connection, _Called] = WeakKeyDictionary()


@implementer(IOpenSSLClientConnectionCreator)
class _Creator:
    def __init__(self, context: SSL.Context, name: str, verify: bool) -> None:
        self._context = context
        self._name = name
        self._verify = verify

    def clientConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        """See L{IOpenSSLClientConnectionCreator}."""
        connection = SSL.Connection(self._context, None)
        connection.set_app_data(protocol)
        _calls[connection] = _Called(self._name, self._verify)
        if self._name and not _is_address(self._name):
            # For what is no name nobody has a certificate: it fails when it is verified.
            with suppress(UnicodeError):
                connection.set_tlsext_host_name(self._name.encode("idna"))
        return connection


def why_untrusted(connection: Any) -> str:
    """Why the other side of an L{SSL.Connection} of ours is not trusted, as far as that is the reason."""
    called = _calls.get(connection)
    return "" if called is None else called.problem


def _is_address(name: str) -> bool:
    return isIPAddress(name) or isIPv6Address(name)


def _verified(connection: SSL.Connection, certificate: crypto.X509, number: int, depth: int, good: int) -> bool:
    if not good:
        _calls[connection].problem = (
            "certificate has expired or is not yet valid"
            if number in (_NOT_YET_VALID, _EXPIRED)
            else "certificate signed by unknown authority"
        )
    return bool(good)


def _informed(connection: SSL.Connection, where: int, ret: int) -> None:
    """Called in the middle of OpenSSL, which can carry no exception."""
    called = _calls[connection]
    if not where & SSL.SSL_CB_HANDSHAKE_DONE or not called.verify or called.problem:
        return
    try:
        if _is_address(called.name):
            verify_ip_address(connection, called.name)
        else:
            verify_hostname(connection, called.name)
    except (VerificationError, ValueError, UnicodeError):
        called.problem = f"certificate is not valid for {called.name}"
    except Exception as error:
        called.problem = str(error)
    if called.problem:
        connection.get_app_data().failVerification(Failure(Untrusted(called.problem)))
