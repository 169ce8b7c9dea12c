"""
Requests over TCP, TLS and Unix sockets, by the standard library's HTTP client.

One connection a request: a command seldom makes two. No time limit on answers, since blocking queries may take long.
"""

from __future__ import annotations

import http.client
import socket
import ssl

from txconsul.cli.api import Answer, Request, Transport, TransportFailed
from txconsul.cli.gotext import go_quoted, system_error
from txconsul.cli.settings import Settings
from txconsul.cli.trust import tls_context, tls_failure

__all__ = ["socket_transport"]

#: Seconds to wait for a connection, as Consul's client does.
DIAL_SECONDS = 30.0
_PORTS = {"http": "80", "https": "443"}


def socket_transport(settings: Settings) -> Transport:
    """
    The transport for these settings.

    @raise BadSettings: TLS files cannot be used. They are read even where the scheme is http, as Consul does.
    """
    wants_tls = settings.scheme == "https"
    named = settings.ca_file or settings.ca_path or settings.client_cert or settings.client_key
    context = tls_context(settings) if wants_tls or named else None

    def exchange(request: Request) -> Answer:
        connection = http.client.HTTPConnection(settings.host.encode("ascii", "replace").decode(), 80)
        connection.sock = _dial(settings, context if wants_tls else None)
        try:
            return _exchange(connection, request, settings)
        except BaseException:
            connection.close()
            raise

    return exchange


def _exchange(connection: http.client.HTTPConnection, request: Request, settings: Settings) -> Answer:
    headers = {"Host": settings.host, "User-Agent": "txconsul", **request.headers}
    chunks = request.body is not None and not isinstance(request.body, bytes) and "Content-Length" not in headers
    if chunks:
        headers["Transfer-Encoding"] = "chunked"
    names = _names(connection.sock)
    broken: OSError | None = None
    try:
        connection.request(request.method, request.target, request.body, headers, encode_chunked=chunks)
    except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError) as error:
        broken = error  # the agent may have said why before it stopped reading
    except ValueError:  # without its text, which shows the header: it may be the token
        raise TransportFailed("net/http: a header's value cannot be sent, such as a token of several lines") from None
    except OSError as error:
        raise TransportFailed(_broken(error, names, settings, "write")) from None
    try:
        response = connection.response_class(connection.sock, method=request.method)
        response.begin()
    except (OSError, http.client.HTTPException) as error:
        told = isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError)  # an alert says more
        cause, operation = (broken, "write") if broken and not told else (error, "read")
        raise TransportFailed(_broken(cause, names, settings, operation)) from None
    found = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, found, _Body(connection, response, names, settings), request.url)


class _Body:
    """An answer's body; the connection is closed with it."""

    def __init__(
        self,
        connection: http.client.HTTPConnection,
        response: http.client.HTTPResponse,
        names: str,
        settings: Settings,
    ) -> None:
        self._connection = connection
        self._response = response
        self._names = names
        self._settings = settings

    def read(self, size: int = -1, /) -> bytes:
        try:
            data = self._response.read(None if size < 0 else size)
            if size > 0 and not data and self._response.length:
                raise http.client.IncompleteRead(b"")
        except (OSError, http.client.HTTPException) as error:
            raise TransportFailed(_broken(error, self._names, self._settings, "read")) from None
        if size < 0 or not data:
            self.close()
        return data

    def close(self) -> None:
        self._response.close()
        self._connection.close()


def _dial(settings: Settings, context: ssl.SSLContext | None) -> socket.socket:
    plain = _dial_unix(settings.address) if settings.unix else _dial_tcp(settings)
    if context is None:
        return plain
    host = settings.server_name or ("localhost" if settings.unix else _host_and_port(settings)[0])
    try:
        return context.wrap_socket(plain, server_hostname=host)
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
        return one
    raise TransportFailed(failure or f"dial tcp: lookup {host}: no such host")


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


def _names(one: socket.socket) -> str:
    """Both ends of a connection, as Go tells them when it breaks."""
    try:
        here, there = one.getsockname(), one.getpeername()
    except OSError:
        return ""
    if isinstance(there, tuple):
        return f"tcp {_shown(here)}->{_shown(there)}"
    return f"unix {there if isinstance(there, str) else ''}".rstrip()


def _broken(error: Exception, names: str, settings: Settings, operation: str) -> str:
    if isinstance(error, http.client.RemoteDisconnected | ssl.SSLEOFError):
        return "EOF"
    if isinstance(error, ssl.SSLError):
        return tls_failure(error, settings.server_name or settings.host)
    if isinstance(error, OSError):
        return f"{operation} {names}: {operation}: {system_error(error)}".replace(" :", ":")
    if isinstance(error, http.client.BadStatusLine):
        line = str(error.args[0]).strip() if error.args else ""
        return f"net/http: HTTP/1.x transport connection broken: malformed HTTP response {go_quoted(line)}"
    if isinstance(error, http.client.IncompleteRead):
        return "unexpected EOF"
    return f"net/http: {error}" if str(error) else f"net/http: {type(error).__name__}"
