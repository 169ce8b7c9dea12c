"""
The HTTPS edge of an agent: what the configuration says of TLS, in the edge's terms.
"""

from __future__ import annotations

from twisted.internet.ssl import CertificateOptions

from txconsul.agent.configuration.model import Configuration
from txconsul.net.tls import server_options

__all__ = ["https_options"]


def https_options(configuration: Configuration) -> CertificateOptions:
    """
    C{tls.https}.

    @raise TLSUnusable: a file or a setting cannot be used.
    """
    it = configuration.tls.https
    return server_options(
        cert_file=it.cert_file,
        key_file=it.key_file,
        ca_file=it.ca_file,
        ca_path=it.ca_path,
        verify_incoming=it.verify_incoming,
        min_version=it.min_version,
        cipher_suites=it.cipher_suites,
    )
