"""
Requests that are tried again: when, how often, and which may be at all.

What was surely not carried out may be asked again. So may a read whose answer got lost; a write of which nobody knows
whether it was carried out may not.

Source: Consul's documentation of C{rpc_hold_timeout}, and its habit of growing, jittered pauses.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any, Protocol

from txconsul.codec.duration import SECOND
from txconsul.endpoints.blocking import JITTER_SHARE
from txconsul.endpoints.placing import Place
from txconsul.errors import CallLost, LeaderNotTracked, NoLeader, RetryElsewhere, RetryLater, Unreachable

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from txconsul.records.query import Context

__all__ = ["PAUSES", "Elsewhere", "Trial", "blocking_seconds", "may_repeat"]

#: The first pause is at most this share of the time for which a request is held; each may be twice as long as the one
#: before.
PAUSES = 16

#: What surely was not carried out.
_NOT_DONE = (NoLeader, Unreachable, LeaderNotTracked)


class Elsewhere(Protocol):
    """The way to other servers; L{txconsul.rpc.forwarding.Forwarder} is one."""

    def send(self, where: Place, method: str, request: Any, context: Context) -> Deferred[Any]:
        """
        Ask whoever is to be asked, once.

        @param where: the leader, a server, or another datacenter.
        @return: a Deferred of what the door there answered. It fails as the door there did, or with L{Unreachable},
            L{CallLost} or L{CallTimedOut<txconsul.errors.CallTimedOut>}. Cancelling it gives the request up there, too.
        @raise Unavailable: nobody is known who could be asked.
        """


class Trial:
    """
    A request that was not answered yet.

    @ivar until: when it is given up, in the clock's seconds.
    """

    __slots__ = ("_limit", "_pause", "until")

    def __init__(self, until: float, hold_timeout: float) -> None:
        self.until = until
        self._limit = hold_timeout / PAUSES
        self._pause = 0.0

    def pause(self, rng: Random) -> float:
        """Seconds to wait before the next time; more each time, and different for everybody."""
        self._pause += rng.random() * (self._limit - self._pause)
        self._limit *= 2
        return self._pause


def may_repeat(error: Exception, where: Place, reads: bool) -> bool:
    """
    Whether a request that failed so may be sent again. To another datacenter it is sent once, as by Consul: whoever
    asks is told at once that nobody is there, and may turn elsewhere.

    @param where: whom it was sent to.
    @param reads: it changes nothing.
    """
    if where is Place.DATACENTER:
        return False
    if isinstance(error, _NOT_DONE):
        return True
    if isinstance(error, RetryLater):
        return where is Place.LEADER
    if isinstance(error, RetryElsewhere):
        return where is Place.SERVER
    return reads and isinstance(error, CallLost)


def blocking_seconds(options: Any, default: float, longest: float) -> float:
    """
    How long a read may take until it is answered, because it waits for a change; 0 for one that does not.

    @param options: the request's L{QueryOptions<txconsul.records.query.QueryOptions>}; None for none.
    """
    if options is None or options.min_query_index <= 0:
        return 0.0
    wait: float = min(options.max_query_time / SECOND if options.max_query_time > 0 else default, longest)
    return wait * (1 + JITTER_SHARE)
