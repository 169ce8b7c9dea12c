"""
A gossip pool's members, in the words of C{/v1/agent/members}.

Source: Consul's documentation of the agent HTTP API.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

from txconsul.gossip import GossipPool
from txconsul.serf.members import Member

__all__ = ["member_of", "members_of"]

#: The six bytes of a member's versions, in their order.
_VERSIONS = ("ProtocolMin", "ProtocolMax", "ProtocolCur", "DelegateMin", "DelegateMax", "DelegateCur")


def shown(member: Member) -> dict[str, Any]:
    """One member."""
    return {
        "Name": member.name,
        "Addr": str(ip_address(member.addr)),
        "Port": member.port,
        "Tags": dict(member.tags),
        "Status": int(member.status),
        **dict(zip(_VERSIONS, member.vsn, strict=False)),
    }


def members_of(pool: GossipPool) -> Iterator[dict[str, Any]]:
    """Everybody who is remembered, in the order of names; nobody before the pool is open."""
    if pool.node is not None:
        for member in sorted(pool.node.members, key=lambda one: one.name):
            yield shown(member)


def member_of(pool: GossipPool) -> dict[str, Any]:
    """This node itself; nothing before the pool is open."""
    own = None if pool.node is None else pool.node.members.get(str(pool.name))
    return {} if own is None else shown(own)
