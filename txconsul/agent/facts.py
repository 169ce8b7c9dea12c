"""
What an agent tells of itself and of its machine, for C{/v1/agent/self}, C{host} and C{metrics}.

Source: Consul's documentation of the agent HTTP API; proc(5) for the machine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from txconsul import CONSUL_VERSION
from txconsul.agent.following import Following
from txconsul.agent.identity import BUILD_DATE
from txconsul.agent.log_streams import LogStream, LogStreams
from txconsul.agent.machine import machine
from txconsul.agent.members import member_of, members_of
from txconsul.agent.pools import Pools
from txconsul.agent.telemetry import Telemetry
from txconsul.metrics.metrics import Exposed
from txconsul.records.coordinate import Position

__all__ = ["AgentFacts", "Portrait"]


class Portrait(msgspec.Struct, frozen=True, kw_only=True):
    """
    What an agent is, as far as that does not change while it runs.

    @ivar outline: the part of the configuration that clients rely on.
    @ivar xds: where proxies are told their configuration; None where they are not.
    """

    outline: dict[str, Any]
    node_meta: dict[str, str]
    xds: dict[str, Any] | None = None


class AgentFacts:
    """
    @param debug: the whole configuration that is in force, without secrets.
    @param coordinate: where it is in the network; None where that is not known.
    @param stats: counts of the running server, by topic.
    @param pools: the gossip pools that it belongs to.
    @ivar portrait: may be replaced at any time.
    @ivar log: who watches the log.
    """

    def __init__(
        self,
        portrait: Portrait,
        debug: Callable[[], dict[str, Any]],
        coordinate: Callable[[], Position | None],
        stats: Callable[[], dict[str, dict[str, str]]],
        telemetry: Telemetry,
        pools: Pools,
    ) -> None:
        self.portrait = portrait
        self._debug = debug
        self._coordinate = coordinate
        self._stats = stats
        self._telemetry = telemetry
        self._pools = pools
        self.log = LogStreams()

    def document(self) -> dict[str, Any]:
        """What the agent was told to be, and what it does now."""
        it = self.portrait
        document = {
            "Config": it.outline,
            "DebugConfig": self._debug(),
            "Coord": self._coordinate(),
            "Member": member_of(self._pools.lan),
            "Stats": self._stats(),
            "Meta": it.node_meta,
        }
        if it.xds is not None:
            document["xDS"] = it.xds
        return document

    def follow_log(self, level: str, json: bool) -> LogStream:
        """The log from now on; see L{LogStreams.follow}."""
        return self.log.follow(level, json)

    def members(self, wan: bool = False) -> list[dict[str, Any]] | None:
        """See L{Facts<txconsul.endpoints.site.Facts>}."""
        pool = self._pools.wan if wan else self._pools.lan
        return None if pool is None else list(members_of(pool))

    def version(self) -> dict[str, str]:
        """Which program this is."""
        return {"SHA": "", "BuildDate": BUILD_DATE, "HumanVersion": CONSUL_VERSION, "FIPS": ""}

    def host(self) -> dict[str, Any]:
        """The machine: memory and disk in bytes, processors, and what could not be read."""
        return machine()

    def metrics(self) -> dict[str, Any]:
        """What was measured and counted, in the shape of Consul's own."""
        return self._telemetry.metrics.document()

    def exposed_metrics(self) -> list[Exposed]:
        """The same for those who add up themselves."""
        return self._telemetry.metrics.exposed()

    def follow_metrics(self) -> Following:
        """Every interval's metrics from now on; see L{Telemetry.follow}."""
        return self._telemetry.follow()

    def end(self) -> None:
        """The agent stops: end what is followed."""
        self.log.end()
        self._telemetry.end()
