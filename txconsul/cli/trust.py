"""
TLS towards an agent: whom to trust, what to show, and how failures are told.

An authority's certificate file or folder replaces the system's, as in Consul. Any certificate in it is trusted as
the end of a chain, intermediates too.
"""

from __future__ import annotations

import os
import ssl

from txconsul.cli.gotext import file_error
from txconsul.cli.settings import BadSettings, Settings

__all__ = ["tls_context", "tls_failure"]

#: X509_V_ERR codes of OpenSSL (x509_vfy.h).
_EXPIRED, _NOT_YET_VALID = 10, 9
_NAME_MISMATCH, _ADDRESS_MISMATCH = 62, 64


def tls_context(settings: Settings) -> ssl.SSLContext:
    """
    The context for connections with these settings.

    @raise BadSettings: a file cannot be read or holds nothing of use.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    _show_certificate(context, settings)
    if settings.ca_file:
        _trust(context, settings.ca_file, "Error loading CA File: ")
    elif settings.ca_path:
        for name in _files_below(settings.ca_path):
            _trust(context, name, "Error loading CA Path: ")
    elif settings.verify:
        context.load_default_certs()
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _show_certificate(context: ssl.SSLContext, settings: Settings) -> None:
    certificate, key = settings.client_cert, settings.client_key
    if not certificate and not key:
        return
    if not certificate or not key:
        raise BadSettings("both client cert and client key must be provided")
    for name in (certificate, key):
        _read(name, "")
    try:
        # a key behind a pass phrase is refused: nobody may be there to type it
        context.load_cert_chain(certificate, key, password=lambda: b"")
    except (ssl.SSLError, ValueError) as error:
        reason = error.reason if isinstance(error, ssl.SSLError) and error.reason else str(error)
        raise BadSettings(f"tls: {certificate} and {key} are no certificate and its key: {reason}") from None


def _trust(context: ssl.SSLContext, name: str, what: str) -> None:
    text = _read(name, what).decode("ascii", "replace")
    try:
        context.load_verify_locations(cadata=text)
    except (ssl.SSLError, ValueError):
        raise BadSettings(f"{what}Couldn't parse PEM in: {name}") from None


def _files_below(folder: str) -> list[str]:
    if not os.path.isdir(folder):
        return [folder]
    return sorted(os.path.join(where, name) for where, _, names in os.walk(folder) for name in names)


def _read(name: str, what: str) -> bytes:
    try:
        with open(os.fsencode(name), "rb") as file:
            return file.read()
    except OSError as error:
        raise BadSettings(what + file_error(error, name)) from None


def tls_failure(error: ssl.SSLError, host: str) -> str:
    """What went wrong with TLS, in Go's words where it has some."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return "tls: failed to verify certificate: x509: " + _mistrust(error, host)
    if error.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"):
        return "http: server gave HTTP response to HTTPS client"
    reason = (error.reason or str(error)).lower().replace("_", " ")
    alert = "alert "
    if alert in reason:
        return "remote error: tls: " + reason.partition(alert)[2]
    return "tls: " + reason


def _mistrust(error: ssl.SSLCertVerificationError, host: str) -> str:
    code = error.verify_code
    if code in (_NAME_MISMATCH, _ADDRESS_MISMATCH):
        return f"certificate is not valid for {host}"
    if code in (_EXPIRED, _NOT_YET_VALID):
        return "certificate has expired or is not yet valid"
    if "certificate" in error.verify_message and ("issuer" in error.verify_message or "self" in error.verify_message):
        return "certificate signed by unknown authority"
    return error.verify_message
