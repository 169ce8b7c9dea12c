"""
Connections to an agent: names looked up, TCP, Unix sockets, TLS; and how a failure of each is told.
"""

from __future__ import annotations

import socket
import ssl

from txconsul.cli.api import TransportFailed
from txconsul.cli.gotext import system_error
from txconsul.cli.settings import Settings
from txconsul.cli.trust import tls_failure

__all__ = ["dial", "ends"]

#: Seconds to wait for a connection, and for the handshake of TLS, as Consul's client does.
DIAL_SECONDS = 30.0
HANDSHAKE_SECONDS = 10.0
#: Seconds of silence before the other end is asked whether it is still there, and between such questions; as Go's.
KEEPALIVE_SECONDS = 15
_PORTS = {"http": "80", "https": "443"}


def dial(settings: Settings, context: ssl.SSLContext | None) -> socket.socket:
    """
    Connect.

    @param context: None for a connection without TLS.
    @return: a socket without a time limit.
    @raise TransportFailed: it did not come about.
    """
    plain = _dial_unix(settings.address) if settings.unix else _dial_tcp(settings)
    if context is None:
        return plain
    host = settings.server_name or ("localhost" if settings.unix else _host_and_port(settings)[0])
    try:
        plain.settimeout(HANDSHAKE_SECONDS)
        secured = context.wrap_socket(plain, server_hostname=host)
        secured.settimeout(None)
        return secured
    except TimeoutError:
        plain.close()
        raise TransportFailed("net/http: TLS handshake timeout") from None
    except ssl.SSLError as error:
        plain.close()
        raise TransportFailed(tls_failure(error, host)) from None
    except (OSError, ValueError) as error:
        plain.close()
        raise TransportFailed(system_error(error) if isinstance(error, OSError) else f"tls: {error}") from None


def _dial_unix(path: str) -> socket.socket:
    one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        one.connect(path)
    except OSError as error:  # also for a path that is too long
        one.close()
        raise TransportFailed(f"dial unix {path}: connect: {system_error(error)}") from None
    return one


def _dial_tcp(settings: Settings) -> socket.socket:
    """Try every address of the host; when all fail, the first one's failure is told."""
    host, port = _host_and_port(settings)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise TransportFailed(f"dial tcp: lookup {host}: no such host") from None
    failure = ""
    for family, kind, protocol, _, address in found:
        one = socket.socket(family, kind, protocol)
        one.settimeout(DIAL_SECONDS)
        try:
            one.connect(address)
        except OSError as error:
            one.close()
            shown = _shown(address)
            reason = "i/o timeout" if isinstance(error, TimeoutError) else f"connect: {system_error(error)}"
            failure = failure or f"dial tcp {shown}: {reason}"
            continue
        one.settimeout(None)
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _notice_absence(one)
        return one
    raise TransportFailed(failure or f"dial tcp: lookup {host}: no such host")


def _notice_absence(one: socket.socket) -> None:
    """A query may wait for minutes; an agent whose machine is gone would be waited for until the end of days."""
    one.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option in ("TCP_KEEPIDLE", "TCP_KEEPINTVL"):  # not every system has them
        if hasattr(socket, option):
            one.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), KEEPALIVE_SECONDS)


def _host_and_port(settings: Settings) -> tuple[str, int]:
    address, default = settings.address, _PORTS[settings.scheme]
    if address.startswith("["):
        host, _, rest = address[1:].partition("]")
        port = rest[1:] if rest.startswith(":") else default
    elif address.count(":") > 1:
        raise TransportFailed(f"dial tcp: address {address}: too many colons in address")
    else:
        host, _, port = address.partition(":")
        port = port or default
    if not (port.isascii() and port.isdigit() and int(port) < 65536):
        raise TransportFailed(f"dial tcp: address {port}: invalid port")
    return host or "localhost", int(port)


def _shown(address: tuple[object, ...]) -> str:
    host, port = str(address[0]), address[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def ends(one: socket.socket) -> str:
    """Both ends of a connection, as Go tells them when it breaks."""
    try:
        here, there = one.getsockname(), one.getpeername()
    except OSError:
        return ""
    if isinstance(there, tuple):
        return f"tcp {_shown(here)}->{_shown(there)}"
    return f"unix {there if isinstance(there, str) else ''}".rstrip()
