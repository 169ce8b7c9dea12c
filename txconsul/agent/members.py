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

__all__ = ["member_of", "members_of", "stats_of"]

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


def stats_of(pool: GossipPool) -> dict[str, str]:
    """What goes on in an open pool, in the words of Consul's C{/v1/agent/self}."""
    node = pool.core
    member_time, event_time, query_time = node.l_times()
    intents, queries, events = (len(queue) for queue in node.queues)
    found: dict[str, object] = {
        "members": len(node.members),
        "failed": len(node.members.failed),
        "left": len(node.members.left),
        "health_score": node.swim.health_score,
        "member_time": member_time,
        "event_time": event_time,
        "query_time": query_time,
        "intent_queue": intents,
        "event_queue": events,
        "query_queue": queries,
        "encrypted": str(pool.keyring is not None).lower(),
        "coordinate_resets": 0 if node.vivaldi is None else node.vivaldi.resets,
    }
    return {name: str(number) for name, number in found.items()}
