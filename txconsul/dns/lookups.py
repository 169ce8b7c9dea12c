"""
What an answer is made from: reads through the door, which remember what they read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Protocol

import msgspec
from twisted.internet.defer import Deferred

from txconsul.codec.duration import SECOND
from txconsul.dns.settings import DNSSettings
from txconsul.records.catalog import CheckServiceNode, Node
from txconsul.records.health import CRITICAL
from txconsul.records.prepared_query import (
    PreparedQueryExecuteRequest,
    PreparedQueryExecuteResponse,
)
from txconsul.records.queries import DCSpecificRequest, NodeSpecificRequest, ServiceSpecificRequest
from txconsul.records.query import DEFAULT, NOWHERE, Context, QueryOptions, QuerySource

__all__ = ["IDoor", "Lookups", "Names", "read_options"]

#: Names of nodes and of services, by their addresses.
Names = tuple[dict[str, str], dict[str, str]]


class IDoor(Protocol):
    """The part of the door that this edge needs."""

    def call(self, method: str, request: Any, context: Context) -> Any:
        """See L{ICaller}."""

    def watch(self, asked: Iterable[tuple[str, Any]], callback: Callable[[], object]) -> Callable[[], None] | None:
        """Call back, once, when an answer to any of these may have changed; None where nobody could tell."""


class Lookups:
    """
    The reads for one answer.

    @param asker: the address of whoever asks.
    @ivar asked: the reads so far, for L{IDoor.watch}.
    @ivar lasting: whether the answer stands as long as nothing of C{asked} is touched. It does not where a read failed,
        where somebody else was asked, or where the catalog was searched for what has no watch.
    @ivar drawn: whether records were drawn by lot, so that another answer may differ.
    """

    def __init__(self, door: IDoor, settings: DNSSettings, options: QueryOptions, asker: str) -> None:
        """@param options: those of the settings; see L{read_options}."""
        self._door = door
        self._settings = settings
        self._options = options
        self.asker = asker
        self.asked: list[tuple[str, Any]] = []
        self.lasting = True
        self.drawn = False

    async def _read(self, method: str, request: Any) -> Any:
        """
        The value of a read; one that is too far behind the leader is read again there.

        @raise TxconsulError: as the door does.
        """
        lasting, self.lasting = self.lasting and request.datacenter == self._settings.datacenter, False
        stale = self._settings.allow_stale
        if self._options is not DEFAULT:
            request = msgspec.structs.replace(request, options=self._options)
        self.asked.append((method, request))
        answer = self._door.call(method, request, Context(source="dns"))
        if isinstance(answer, Deferred):
            answer = await answer
        if stale and answer.last_contact > self._settings.max_stale:
            lasting = False
            answer = self._door.call(method, msgspec.structs.replace(request, options=DEFAULT), Context(source="dns"))
            if isinstance(answer, Deferred):
                answer = await answer
        self.lasting = lasting  # a failure is not: it never comes here
        return answer.value

    async def instances(self, service: str, tag: str, datacenter: str, kind: str = "service") -> list[CheckServiceNode]:
        """
        A list of the instances of a service that may be told of: none is critical, or all pass.

        @param kind: C{connect} for what makes the service reachable in the mesh, C{ingress} for the gateways that let
            others in to it.
        """
        only_passing = self._settings.only_passing
        request = ServiceSpecificRequest(
            datacenter=datacenter,
            service_name=service,
            service_tags=(tag,) if tag else (),
            must_be_passing=only_passing,
            connect=kind == "connect",
            ingress=kind == "ingress",
        )
        found: list[CheckServiceNode] = await self._read("Health.ServiceNodes", request)
        if only_passing:
            return [*found]
        return [one for one in found if not any(check.status == CRITICAL for check in one.checks or ())]

    async def query(self, name: str, datacenter: str) -> PreparedQueryExecuteResponse:
        """
        What a prepared query finds.

        @raise NotFound: there is no such query.
        """
        it = self._settings
        request = PreparedQueryExecuteRequest(
            agent=QuerySource(datacenter=it.datacenter, node=it.node_name),
            datacenter=datacenter,
            query_id_or_name=name,
            # an answer that is kept for all who ask is near none of them
            source=NOWHERE if self._options.use_cache else QuerySource(ip=self.asker),
        )
        response: PreparedQueryExecuteResponse = await self._read("PreparedQuery.Execute", request)
        if response.failovers:
            self.lasting = False  # what other places find is not watched
        return response

    async def node(self, name: str, datacenter: str) -> Node | None:
        """A node by its name, or by the beginning of its id."""
        found = await self._read("Catalog.NodeServices", NodeSpecificRequest(datacenter=datacenter, node=name))
        node: Node | None = found[0] if found else None
        if node is None or node.node.lower() != name:
            self.lasting = False  # another node's id may begin so one day
        return node

    async def virtual_address(self, service: str, peer: str, datacenter: str) -> str:
        """
        The address that a service has been given in the mesh; empty for none.

        @param peer: where the service was imported from; empty for this cluster itself.
        """
        request = ServiceSpecificRequest(datacenter=datacenter, service_name=service, peer_name=peer)
        address: str = await self._read("Catalog.VirtualIPForService", request)
        return address

    async def names_of(self, address: IPv4Address | IPv6Address, datacenter: str) -> tuple[str, str]:
        """C{(node, service)} with an address; both empty for none."""
        names: Names = await self._read("Catalog.NamesOfAddresses", DCSpecificRequest(datacenter=datacenter))
        text = str(address)
        return names[0].get(text, ""), names[1].get(text, "")


def read_options(settings: DNSSettings) -> QueryOptions:
    """How all reads are asked."""
    if not (settings.allow_stale or settings.use_cache):
        return DEFAULT
    return QueryOptions(
        allow_stale=settings.allow_stale,
        use_cache=settings.use_cache,
        max_age=int(settings.cache_max_age * SECOND) if settings.use_cache else 0,
    )
