"""
The default network: plain TCP and unix listeners as descriptors of our own; everything else by Twisted's endpoints.

Each connection is a L{Stream}: one recv and at most one send a turn. Protocols are ordinary L{IProtocol}s, so that
they run unchanged on L{ReactorNetwork}.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txconsul.interfaces import INetwork
from txconsul.net.datagrams import DirectDatagrams, open_datagrams
from txconsul.net.poller import Poller, poller_for
from txconsul.net.reactor import ReactorNetwork, parse_datagrams, parse_description
from txconsul.net.stream import Stream, address_of

__all__ = ["ACCEPT_PAUSE_SECONDS", "BACKLOG", "TURN_ACCEPTS_MAX", "DirectNetwork", "DirectPort"]

#: Connections the kernel may hold ready; it cuts this to net.core.somaxconn, usually 4096.
BACKLOG = 4096
#: Taken in one turn: a storm of connections must not delay those that are there.
TURN_ACCEPTS_MAX = 64
#: How long nothing is accepted after the process ran out of descriptors.
ACCEPT_PAUSE_SECONDS = 1.0
#: What accept may say when the process or the system is out of something.
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

_log = Logger()


@implementer(IListeningPort, IReadDescriptor)
class DirectPort:
    """
    A listening socket. It owns the factory's start and stop, as Twisted's ports do.

    @param unlink: the path of a unix socket to remove when listening ends.
    """

    def __init__(self, listener: socket.socket, factory: Any, reactor: Any, poller: Poller, unlink: str = "") -> None:
        self._socket = listener
        self._factory = factory
        self._reactor = reactor
        self._poller = poller
        self._unlink = unlink
        self._tcp = listener.family != socket.AF_UNIX
        self._resume: Any = None
        self._open = False

    def startListening(self) -> None:
        """Begin to accept."""
        self._open = True
        self._factory.doStart()
        self._reactor.addReader(self)

    def stopListening(self) -> Deferred[None]:
        """Accept no more; connections that are there stay."""
        self.connectionLost(None)
        return succeed(None)

    def connectionLost(self, reason: Failure | None) -> None:
        """As L{stopListening}: the reactor calls it when it stops."""
        if not self._open:
            return
        self._open = False
        if self._resume is not None:
            self._resume.cancel()
            self._resume = None
        self._reactor.removeReader(self)
        self._socket.close()
        if self._unlink:
            try:
                os.unlink(self._unlink)
            except OSError:
                _log.debug("socket {path} was gone already", path=self._unlink)
        self._factory.doStop()

    def getHost(self) -> Any:
        """The address it listens on."""
        return address_of(self._socket.family, self._socket.getsockname())

    def fileno(self) -> int:
        """The socket's number, or -1."""
        return self._socket.fileno()

    def logPrefix(self) -> str:
        """As the reactor wants it."""
        return type(self._factory).__name__

    def doRead(self) -> None:
        """Take what waits, up to L{TURN_ACCEPTS_MAX}."""
        for _ in range(TURN_ACCEPTS_MAX):
            try:
                connected, name = self._socket.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._pause(error)
                    return
                if not self._open:
                    return
                continue  # that one went away before it was taken
            self._accepted(connected, name)
            if not self._open:
                return

    def _accepted(self, connected: socket.socket, name: Any) -> None:
        try:
            connected.setblocking(False)
            if self._tcp:
                connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            protocol = self._factory.buildProtocol(address_of(connected.family, name))
        except Exception:
            _log.failure("no protocol for a new connection")
            protocol = None
        if protocol is None:
            connected.close()
        else:
            Stream(connected, name, self._reactor, self._poller).start(protocol)

    def _pause(self, error: OSError) -> None:
        _log.error("accepting no connections for {seconds} s: {error}", seconds=ACCEPT_PAUSE_SECONDS, error=error)
        self._reactor.removeReader(self)
        self._resume = self._reactor.callLater(ACCEPT_PAUSE_SECONDS, self._resumed)

    def _resumed(self) -> None:
        self._resume = None
        self._reactor.addReader(self)


def _first(name: str, positional: list[str], named: dict[str, str]) -> str:
    found = named.get(name) or (positional[0] if positional else "")
    if not found:
        raise ValueError(f"an endpoint description without {name}")
    return found


@implementer(INetwork)
class DirectNetwork:
    """
    An L{INetwork} for C{tcp:}, C{tcp6:} and C{unix:} of its own, and for every other description that Twisted knows.

    @param reactor: an L{IReactorFDSet} and L{IReactorTime}; C{seconds()} monotonic.
    @param poller: who says what is ready; by default the best this system has.
    """

    def __init__(self, reactor: Any, poller: Poller | None = None) -> None:
        self.clock = reactor
        self._poller = poller_for(reactor) if poller is None else poller
        self._others = ReactorNetwork(reactor)

    def listen(self, description: str, factory: Any) -> Deferred[Any]:
        """See L{INetwork}."""
        kind, positional, named = parse_description(description)
        if kind in ("tcp", "tcp6"):
            return maybeDeferred(self._listen_tcp, kind, positional, named, factory)
        if kind == "unix":
            return maybeDeferred(self._listen_unix, positional, named, factory)
        return self._others.listen(description, factory)

    def connect(self, description: str, factory: Any) -> Deferred[Any]:
        """See L{INetwork}."""
        return self._others.connect(description, factory)

    def resolve(self, name: str) -> Deferred[str]:
        """See L{INetwork}."""
        return self._others.resolve(name)

    def resolve_all(self, name: str) -> Deferred[list[str]]:
        """See L{INetwork}."""
        return self._others.resolve_all(name)

    def datagrams(self, description: str, receiver: Any) -> Deferred[Any]:
        """See L{INetwork}."""
        return maybeDeferred(self._datagrams, description, receiver)

    def _datagrams(self, description: str, receiver: Any) -> DirectDatagrams:
        port, interface = parse_datagrams(description)
        return open_datagrams(port, interface, receiver, self.clock)

    def _listen_tcp(self, kind: str, positional: list[str], named: dict[str, str], factory: Any) -> DirectPort:
        port = int(_first("port", positional, named))
        interface = named.get("interface", "::" if kind == "tcp6" else "")
        family = socket.AF_INET6 if ":" in interface else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            host, _, zone = interface.partition("%")
            if family == socket.AF_INET6:
                listener.bind((host, port, 0, socket.if_nametoindex(zone) if zone else 0))
            else:
                listener.bind((host, port))
            return self._opened(listener, named, factory)
        except OSError as error:
            listener.close()
            raise CannotListenError(interface, port, error) from error  # type: ignore[no-untyped-call]

    def _listen_unix(self, positional: list[str], named: dict[str, str], factory: Any) -> DirectPort:
        path = _first("address", positional, named)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            if os.path.exists(path) and stat.S_ISSOCK(os.stat(path).st_mode):
                _log.warn("replacing socket {path}", path=path)
                os.unlink(path)
            listener.bind(path)
            os.chmod(path, int(named.get("mode", "666"), 8))
            return self._opened(listener, named, factory, path)
        except OSError as error:
            listener.close()
            raise CannotListenError("unix", path, error) from error  # type: ignore[no-untyped-call]

    def _opened(self, listener: socket.socket, named: dict[str, str], factory: Any, unlink: str = "") -> DirectPort:
        listener.setblocking(False)
        listener.listen(int(named.get("backlog", BACKLOG)))
        port = DirectPort(listener, factory, self.clock, self._poller, unlink)
        port.startListening()
        return port
