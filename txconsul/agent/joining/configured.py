"""The joins that an agent's configuration asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from txconsul.agent.checks.programs import Start
from txconsul.agent.configuration.model import Configuration
from txconsul.agent.joining.discovery import Discovery
from txconsul.agent.joining.retry_join import RetryJoin, lan_settings, wan_settings
from txconsul.interfaces import INetwork

__all__ = ["Joins", "configured_joins"]


class Joins(Protocol):
    """What joins; L{Pools<txconsul.agent.pools.Pools>} are."""

    def join(self, addresses: Sequence[str], *, wan: bool = False) -> Deferred[int]:
        """Join by all of them. @return: fires with the number of agents that were joined; fails if there were none."""


def configured_joins(
    configuration: Configuration,
    pools: Joins,
    network: INetwork,
    start: Start,
    *,
    exhausted: Callable[[Failure], object],
) -> Iterator[RetryJoin]:
    """
    The services that join, for as long as it takes.

    @param start: starts programs; see L{Discovery}.
    @param exhausted: told where a pool cannot be joined as often as was to be tried; see L{RetryJoin}.
    """
    find = Discovery(network, start).find
    clock = network.clock
    yield RetryJoin(lan_settings(configuration), find, pools.join, clock, exhausted)
    if configuration.server:
        yield RetryJoin(
            wan_settings(configuration), find, lambda addresses: pools.join(addresses, wan=True), clock, exhausted
        )
