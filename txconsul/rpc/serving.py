"""
What others ask by RPC, asked at the door.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from txconsul.codec.gomsgpack import BadMessage
from txconsul.errors import BadRequest, UnknownMethod, UnknownService
from txconsul.interfaces import ICaller
from txconsul.records.query import Relayed
from txconsul.rpc.bodies import AsItCame
from txconsul.rpc.methods import SERVED, Method

__all__ = ["Serving"]

_SERVICES = frozenset(name.partition(".")[0] for name in SERVED)


class Serving:
    """
    The RPC methods of one server.

    @param door: where they are asked.
    """

    def __init__(self, door: ICaller) -> None:
        self._door = door

    def serve(self, method: str, body: bytes, source: str = "") -> bytes | Deferred[bytes]:
        """
        Answer one call.

        @param method: as Consul names it.
        @param source: where it came from, C{host:port}.
        @return: the reply's body, or a Deferred of it, which may be cancelled when nobody waits any more.
        @raise UnknownMethod: there is no such method. The stream is closed after that, as Consul's servers do.
        @raise TxconsulError: as the door does, or the Deferred fails so. The text is what the caller is told.
        """
        row = SERVED.get(method)
        if row is None:
            raise (UnknownMethod if method.partition(".")[0] in _SERVICES else UnknownService)(method)
        try:
            request, token = row.request.decode(body)
        except BadMessage as error:
            raise BadRequest(str(error)) from None
        context = Relayed(token=token, source=source, method=method, body=body)
        answer: Any = self._door.call(row.name, request, context)
        if type(answer) is Deferred:
            return answer.addCallback(_written, row, request)
        return _written(answer, row, request)


def _written(answer: Any, row: Method, request: Any) -> bytes:
    return answer.body if type(answer) is AsItCame else row.reply.encode(answer, request)
