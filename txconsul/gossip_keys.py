"""
Keys changed on a whole pool: the queries that this node asks, and what it does when it is asked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed

from txconsul.gossip_files import KeyringFile
from txconsul.serf.asking import QueryParameters
from txconsul.serf.keyquery import INSTALL, LIST, REMOVE, USE, KeyResults, request
from txconsul.serf.messages import Status
from txconsul.serf.node import SerfNode
from txconsul.serf.outputs import QueryAnswer, QueryEnded, RingChanged
from txconsul.serf.settings import TooLarge

__all__ = ["KeyQueries"]

_QUERIES = {"install": INSTALL, "use": USE, "remove": REMOVE, "list": LIST}
#: Who is in the pool and can answer.
_PRESENT = (Status.ALIVE, Status.LEAVING)

Do = Callable[[Callable[[SerfNode, float], Any]], Any]


class KeyQueries:
    """What goes on about keys in one pool."""

    def __init__(self, do: Do, file: KeyringFile | None) -> None:
        """@param do: has the node do something, as L{GossipPool.do<txconsul.gossip.GossipPool.do>}."""
        self._do = do
        self._file = file
        self._running: dict[tuple[int, int], tuple[KeyResults, Deferred[KeyResults]]] = {}

    def ask(self, operation: str, key: bytes, relay_factor: int) -> Deferred[KeyResults]:
        """See L{GossipPool.change_keys<txconsul.gossip.GossipPool.change_keys>}."""
        query, parameters = _QUERIES[operation], QueryParameters(relay_factor=relay_factor)

        def begin(node: SerfNode, now: float) -> Deferred[KeyResults]:
            asked = node.query(query, request(query, key), now, parameters)
            results = KeyResults(sum([one.status in _PRESENT for one in node.members]))
            done: Deferred[KeyResults] = Deferred(lambda _: self._forget(asked))
            self._running[asked] = (results, done)
            return done

        try:
            asking: Deferred[KeyResults] = self._do(begin)
        except TooLarge as error:
            return fail(error)
        return asking

    def hear(self, answer: QueryAnswer) -> bool:
        """A member has answered a query. @return: whether it is one of these."""
        running = self._running.get(answer.key)
        if running is None:
            return False
        results, done = running
        results.add(answer.sender, answer.payload)
        if results.responses == results.members:
            del self._running[answer.key]
            done.callback(results)
        return True

    def end(self, ended: QueryEnded) -> bool:
        """Nobody can answer a query any more. @return: whether it is one of these that still waited."""
        running = self._running.pop(ended.key, None)
        if running is None:
            return False
        results, done = running
        done.callback(results)
        return True

    def _forget(self, key: tuple[int, int]) -> None:
        """Whoever asked has gone."""
        self._running.pop(key, None)

    def keep(self, changed: RingChanged) -> None:
        """The keys have changed, because somebody asked for it: who did is answered when they are written down."""
        kept = succeed("") if self._file is None else self._file.keep()
        kept.addCallback(lambda problem: self._do(lambda node, now: node.keys_kept(changed.key, problem, now)))

    def stop(self) -> None:
        """The pool is stopped: what was said until now is all that there is."""
        running, self._running = self._running, {}
        for results, done in running.values():
            done.callback(results)
