"""A door with a catalog, and the agent's cache before it."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec

from tests.endpoints.serving import Served
from txconsul.agent.cached import CACHED
from txconsul.agent.subscriptions import Subscriptions
from txconsul.caching.entry import FetchLimits
from txconsul.records.catalog import RegisterRequest
from txconsul.records.query import Context, QueryOptions
from txconsul.records.service import NodeService

__all__ = ["CachedServer", "Counting"]


class Counting:
    """
    A door that is seen through.

    @ivar asked: methods, with the indexes that were waited for, and tokens.
    @ivar error: what everybody gets instead of an answer.
    """

    def __init__(self, door: Any) -> None:
        self._door = door
        self.asked: list[tuple[str, int, str]] = []
        self.error: Exception | None = None

    def call(self, method: str, request: Any, context: Context) -> Any:
        """Ask behind."""
        self.asked.append((method, request.options.min_query_index, context.token))
        if self.error is not None:
            raise self.error
        return self._door.call(method, request, context)

    def watch(self, asked: Any, callback: Any) -> Any:
        """Watch behind."""
        return self._door.watch(asked, callback)


class CachedServer(Served):
    """A server with a cache of 300 s default and 600 s longest waits."""

    def __init__(self, limits: FetchLimits | None = None) -> None:
        super().__init__()
        self.counting = Counting(self.door)
        self.cache = Subscriptions(self.counting, CACHED, self.clock, Random(1), limits or FetchLimits(), 300.0, 600.0)

    def register(self, node: str, service: str = "web", port: int = 80, **more: Any) -> None:
        """Add an instance."""
        self.call(
            "Catalog.Register",
            RegisterRequest(
                datacenter="dc1", node=node, address="10.0.0.1", service=NodeService(service=service, port=port), **more
            ),
        )

    def ask(self, method: str, request: Any, token: str = "", **options: Any) -> Any:
        """The answer, or a Deferred of it, with C{?cached}."""
        return self.cache.call(method, _with(request, use_cache=True, **options), Context(token=token))

    def turn(self) -> None:
        """The end of this turn of the reactor."""
        self.clock.advance(0)


def _with(request: Any, **options: Any) -> Any:
    return msgspec.structs.replace(request, options=QueryOptions(**options))
