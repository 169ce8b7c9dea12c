"""
Which node or service an address belongs to, for names of addresses (PTR).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv6Address, ip_address
from typing import Any

from txconsul.endpoints.authorizing import Authorizer
from txconsul.endpoints.registry import read
from txconsul.records.queries import DCSpecificRequest
from txconsul.state.store import Store
from txconsul.state.tables import PEER
from txconsul.state.watches import table

__all__ = ["names_by_address"]


def _canonical(text: str) -> str:
    """An address as it is usually written; empty where it is a host name or nothing."""
    try:
        address = ip_address(text)
    except ValueError:
        return ""
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    return str(address)


def _first(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Address to name; of several, the first counts."""
    found: dict[str, str] = {}
    for address, name in pairs:
        if address and (canonical := _canonical(address)):
            found.setdefault(canonical, name)
    return found


def _nodes(store: Store) -> Iterator[tuple[str, str]]:
    rows = store.tables.nodes.rows
    return ((rows[key].address, rows[key].node) for key in sorted(rows))


def _services(store: Store) -> Iterator[tuple[str, str]]:
    rows = store.tables.services.rows
    return ((rows[key].address, rows[key].service) for key in sorted(rows))


def names_by_address(
    nodes: Iterable[tuple[str, str]], services: Iterable[tuple[str, str]]
) -> tuple[dict[str, str], dict[str, str]]:
    """
    C{(nodes, services)}: names by address, out of pairs of address and name. Consul compares texts here: a service
    whose address is written in another way is not found.
    """
    return _first(nodes), _first(pair for pair in services if pair[0] == _canonical(pair[0]))


@read("Catalog.NamesOfAddresses", DCSpecificRequest, lambda request: (table("nodes"), table("services")))
def names_of_addresses(store: Store, request: DCSpecificRequest, authorizer: Authorizer) -> tuple[int, Any]:
    """
    C{(nodes, services)}: names by address. Of this program only: Consul's agents read the whole catalog for each
    question instead.
    """
    return store.tables.index(PEER + "nodes", PEER + "services") or 1, names_by_address(_nodes(store), _services(store))
