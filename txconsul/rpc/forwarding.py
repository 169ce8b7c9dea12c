"""
The way to other servers: a request of the door's becomes a call, and the reply its answer.

Source: the wire documents, RPC section 4.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, NoReturn, Protocol

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from txconsul.codec.gomsgpack import BadMessage
from txconsul.endpoints.placing import Place
from txconsul.endpoints.trials import blocking_seconds
from txconsul.errors import (
    CallLost,
    CallTimedOut,
    LeaderNotTracked,
    NoLeader,
    PeerMisbehaved,
    RemoteError,
    RetryElsewhere,
    Unreachable,
)
from txconsul.records.archive import SnapshotRequest
from txconsul.records.query import Context, Relayed
from txconsul.rpc.bodies import AsItCame
from txconsul.rpc.methods import ASKED, Method
from txconsul.rpc.refusals import HOP, refusal
from txconsul.rpc.router import Router, Server

__all__ = ["CALL_TIMEOUT", "Calls", "Forwarder"]

#: Seconds in which a call that does not wait for a change has to be answered (Consul's C{rpc_client_timeout}).
CALL_TIMEOUT = 60.0

_NO_CONNECTION = "rpc error getting client: "


class Calls(Protocol):
    """Who makes calls; L{txconsul.rpc.pool.ConnectionPool} does."""

    def call(self, peer: Any, method: str, body: bytes, timeout: float) -> Deferred[bytes]:
        """See there."""


class Snapshots(Protocol):
    """Who asks for whole states; L{txconsul.rpc.snapshot_asking.SnapshotAsker} does."""

    def save(self, peer: Any, request: SnapshotRequest, token: str) -> Deferred[Any]:
        """See there."""

    def restore(self, peer: Any, request: SnapshotRequest, token: str) -> Deferred[None]:
        """See there."""


class Forwarder:
    """
    The way from one agent to other servers; an L{Elsewhere<txconsul.endpoints.trials.Elsewhere>}.

    @ivar call_timeout: seconds in which a call that does not wait has to be answered; it may be changed.
    """

    def __init__(
        self,
        calls: Calls,
        router: Router,
        peer_of: Callable[[Any], Any],
        *,
        leader_address: Callable[[], str],
        snapshots: Snapshots | None = None,
        hold_timeout: float = 7.0,
        default_query_time: float = 300.0,
        max_query_time: float = 600.0,
        call_timeout: float = CALL_TIMEOUT,
    ) -> None:
        """
        @param peer_of: how a server of the router's is called, for C{calls}.
        @param leader_address: gives where the leader's Raft is; empty while there is none.
        @param snapshots: without it, whole states can be saved and restored at the leader only.
        @param hold_timeout: seconds for which a server may hold a request that it cannot place.
        """
        self._calls = calls
        self._router = router
        self._peer_of = peer_of
        self._leader_address = leader_address
        self._streamed: dict[str, Callable[[Any, SnapshotRequest, str], Deferred[Any]]] = {}
        if snapshots is not None:
            self._streamed = {"Snapshot.Save": snapshots.save, "Snapshot.Restore": snapshots.restore}
        self._hold_timeout = hold_timeout
        self._default_query_time = default_query_time
        self._max_query_time = max_query_time
        self.call_timeout = call_timeout

    def send(self, where: Place, method: str, request: Any, context: Context) -> Deferred[Any]:
        """
        See L{Elsewhere<txconsul.endpoints.trials.Elsewhere>}. What came as a call goes on as it came, and its reply is
        given back so, as an L{AsItCame}.
        """
        server = self._choose(where, request, context)
        peer = self._peer_of(server)
        row = ASKED.get(method)
        if row is None:
            streamed = self._streamed.get(method)
            if streamed is None:
                raise NoLeader()  # it can be asked of the leader only, by itself
            return streamed(peer, request, context.token).addErrback(self._failed, server)
        if type(context) is Relayed:
            name, body = context.method, context.body
        else:
            name, body = row.wire_name, row.request.encode(request, context.token)
        answer: Deferred[Any] = self._calls.call(peer, name, body, self._timeout(request))
        answer.addCallbacks(
            _relayed if type(context) is Relayed else _answered,
            self._failed,
            callbackArgs=(row, request),
            errbackArgs=(server,),
        )
        return answer

    def ask(self, server: Any, method: str, request: Any) -> Deferred[Any]:
        """
        Ask a certain server, once.

        @param server: one of the router's.
        @return: fires and fails as L{send} does, but for words of who answered.
        """
        row = ASKED[method]
        body = row.request.encode(request, "")
        answer: Deferred[Any] = self._calls.call(self._peer_of(server), row.wire_name, body, self.call_timeout)
        return answer.addCallback(_answered, row, request)

    def _choose(self, where: Place, request: Any, context: Context) -> Server:
        router = self._router
        if where is Place.SERVER:
            return router.local()
        if where is Place.DATACENTER:
            return router.distant(request.datacenter)
        address = self._leader_address()
        if not address:
            raise NoLeader()
        server = router.at(address)
        if server is None:
            raise LeaderNotTracked()
        if context.source and _comes_from(context.source, server, router):
            raise NoLeader()  # whom that one takes for the leader knows of another one: it will be known here soon
        return server

    def _timeout(self, request: Any) -> float:
        options = getattr(request, "options", None)
        longest = blocking_seconds(options, self._default_query_time, self._max_query_time)
        return longest + self._hold_timeout if longest else self.call_timeout

    def _failed(self, failure: Failure, server: Server) -> NoReturn:
        """Who does not answer is not asked first any more."""
        error = failure.value
        if isinstance(error, RemoteError):
            refused = refusal(HOP + str(error))
            if isinstance(refused, NoLeader | RetryElsewhere | CallLost):
                self._router.failed(server)
            raise refused from None
        if isinstance(error, Unreachable | CallLost | CallTimedOut):
            self._router.failed(server)
            text = str(error)
            head = _NO_CONNECTION if isinstance(error, Unreachable) else HOP
            raise type(error)(text if text.startswith(head) else head + text) from None
        failure.raiseException()


def _answered(body: bytes, row: Method, request: Any) -> Any:
    try:
        return row.reply.decode(body, request)
    except BadMessage as error:
        raise PeerMisbehaved(f"a reply to {row.wire_name} cannot be read: {error}") from None


def _relayed(body: bytes, row: Method, request: Any) -> AsItCame:
    return AsItCame(body)


def _comes_from(source: str, server: Server, router: Router) -> bool:
    """
    Whether a call came from this very server. Its port says nothing, so that of several servers at one address nobody
    knows which it was.
    """
    host = _host(source)
    return host == _host(server.address) and sum(_host(one.address) == host for one in router.locals()) == 1


def _host(address: str) -> str:
    host = address.rpartition(":")[0].strip("[]")
    try:
        return str(ip_address(host))
    except ValueError:
        return host
