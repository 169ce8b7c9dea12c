"""
What a Serf node is told beforehand.

Source: the wire documents, GOSSIP sections 5 and 7; Serf's documentation for what the options are for.
"""

from __future__ import annotations

import msgspec

from txconsul.errors import InvalidRequest
from txconsul.swim.timing import Timing

__all__ = ["Settings", "TooLarge"]


class TooLarge(InvalidRequest):
    """An event, a query or an answer has more bytes than may be."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """
    Durations are seconds, sizes bytes.

    @ivar protocol: Serf's protocol version, which others are told: 4 is Consul's.
    @ivar coordinates: whether to learn where this node is in the network.
    @ivar resolves_conflicts: whether a node that shares its name with another has the pool vote who must stop.
    @ivar reconnect_timeout: how long a failed member is tried again and remembered.
    @ivar tombstone_timeout: how long a member that left is remembered.
    @ivar leave_propagate_delay: how long a node that leaves stays up to be heard.
    @ivar coalesce_period: how long member events may be held back to be told together; with C{quiescent_period}, how
        long after the last one. Both 0: each is told at once. The same of user events with C{user_} before.
    @ivar queue_min: queues are pruned above this, or twice the number of members.
    """

    timing: Timing
    protocol: int = 5
    coordinates: bool = True
    resolves_conflicts: bool = True
    reap_interval: float = 15.0
    reconnect_interval: float = 30.0
    reconnect_timeout: float = 24 * 3600.0
    tombstone_timeout: float = 24 * 3600.0
    intent_timeout: float = 300.0
    broadcast_timeout: float = 5.0
    leave_propagate_delay: float = 1.0
    coalesce_period: float = 0.0
    quiescent_period: float = 0.0
    user_coalesce_period: float = 0.0
    user_quiescent_period: float = 0.0
    queue_check_interval: float = 30.0
    queue_min: int = 4096
    event_bytes_max: int = 512
    query_bytes_max: int = 1024
    answer_bytes_max: int = 1024
