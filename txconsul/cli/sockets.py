"""
Requests over sockets, by the standard library's HTTP client.

A connection is kept for the next request when its answer was read to the end: C{kv import} makes one request a key. No
time limit on answers, since blocking queries may take long.
"""

from __future__ import annotations

import http.client
import select
import socket
import ssl
from contextlib import suppress

from txconsul.cli.api import Answer, Client, Request, TransportFailed
from txconsul.cli.dialing import dial, ends
from txconsul.cli.gotext import go_quoted, system_error
from txconsul.cli.settings import Settings
from txconsul.cli.trust import tls_context, tls_failure

__all__ = ["connect"]


def connect(settings: Settings) -> Client:
    """
    A client over sockets. Nothing is dialled before the first request.

    @raise BadSettings: TLS files cannot be used. They are read even where the scheme is http, as Consul does.
    """
    wants_tls = settings.scheme == "https"
    named = settings.ca_file or settings.ca_path or settings.client_cert or settings.client_key
    context = tls_context(settings) if wants_tls or named else None
    return Client(settings, _Sockets(settings, context if wants_tls else None).exchange)


class _Sockets:
    """The transport: at most one connection that waits for the next request."""

    def __init__(self, settings: Settings, context: ssl.SSLContext | None) -> None:
        self._settings = settings
        self._context = context
        self._idle: socket.socket | None = None

    def exchange(self, request: Request) -> Answer:
        """Carry one request. See L{Transport}."""
        one = self._take()
        try:
            return self._answer(one, request)
        except BaseException:
            one.close()
            raise

    def _take(self) -> socket.socket:
        one, self._idle = self._idle, None
        if one is not None:
            # whatever waits to be read belongs to no request: mostly the end, of an agent that stopped
            if not select.select([one], [], [], 0)[0]:
                return one
            one.close()
        return dial(self._settings, self._context)

    def give_back(self, one: socket.socket) -> None:
        """Keep a connection whose answer was read whole."""
        if self._idle is not None:
            self._idle.close()
        self._idle = one

    def _answer(self, one: socket.socket, request: Request) -> Answer:
        settings = self._settings
        connection = http.client.HTTPConnection(settings.host.encode("ascii", "replace").decode(), 80)
        connection.sock = one
        headers = {"Host": settings.host, "User-Agent": "txconsul", **request.headers}
        chunks = request.body is not None and not isinstance(request.body, bytes) and "Content-Length" not in headers
        if chunks:
            headers["Transfer-Encoding"] = "chunked"
        names = ends(one)
        broken: OSError | None = None
        try:
            connection.request(request.method, request.target, request.body, headers, encode_chunked=chunks)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError) as error:
            broken = error  # the agent may have said why before it stopped reading
        except ValueError:  # without its text, which shows the header: it may be the token
            text = "net/http: a header's value cannot be sent, such as a token of several lines"
            raise TransportFailed(text) from None
        except OSError as error:
            raise TransportFailed(_broken(error, names, settings, "write")) from None
        try:
            response = connection.response_class(one, method=request.method)
            response.begin()
        except (OSError, http.client.HTTPException) as error:
            told = isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError)  # an alert says more
            cause, operation = (broken, "write") if broken and not told else (error, "read")
            raise TransportFailed(_broken(cause, names, settings, operation)) from None
        if broken:
            response.will_close = True
        found = {name.lower(): value for name, value in response.getheaders()}
        body = _Body(self, one, response, names, settings)
        return Answer(response.status, found, body, request.url, body.interrupt)


class _Body:
    """An answer's body. Read to its end, it gives the connection back."""

    def __init__(
        self, sockets: _Sockets, one: socket.socket, response: http.client.HTTPResponse, names: str, settings: Settings
    ) -> None:
        self._sockets = sockets
        self._socket: socket.socket | None = one
        self._response = response
        self._names = names
        self._settings = settings

    def read(self, size: int = -1, /) -> bytes:
        try:
            data = self._response.read(None if size < 0 else size)
            if size > 0 and not data and self._response.length:
                raise http.client.IncompleteRead(b"")
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise TransportFailed(_broken(error, self._names, self._settings, "read")) from None
        if (size < 0 or not data) and self._socket is not None:
            if self._response.will_close:
                self.close()
            else:
                self._sockets.give_back(self._socket)
                self._socket = None
        return data

    def read1(self, size: int = -1, /) -> bytes:
        try:
            data = self._response.read1(size)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise TransportFailed(_broken(error, self._names, self._settings, "read")) from None
        if not data:
            self.close()
        return data

    def interrupt(self) -> None:
        """Wake a thread that reads; it finds the end, and closes."""
        one = self._socket
        if one is not None:
            with suppress(OSError):  # it may be closed already
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._response.close()
        if self._socket is not None:
            self._socket.close()
            self._socket = None


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
