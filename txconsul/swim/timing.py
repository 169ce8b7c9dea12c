"""
The timing of a pool, and the few formulas by which it follows the pool's size.

Durations are seconds. Source: the wire documents, GOSSIP section 4, with vectors for each formula.
"""

from __future__ import annotations

from math import ceil, floor, log2, log10

import msgspec

__all__ = ["LAN", "LOCAL", "WAN", "Timing", "push_pull_interval", "suspicion_minimum", "transmit_limit"]

#: Above so many members, exchanges of whole states become rarer as the pool grows.
_PUSH_PULL_SCALE_FROM = 32


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """
    What C{gossip_lan} and C{gossip_wan} set, and what they do not.

    @ivar stream_timeout: until an exchange over a stream must be done (memberlist's TCPTimeout).
    @ivar indirect_checks: how many members are asked to ping one that did not answer.
    @ivar retransmit_mult: how often a broadcast is sent, times the logarithm of the pool's size.
    @ivar suspicion_mult: how long a suspicion lasts at least, times that logarithm and the probe interval.
    @ivar suspicion_max_timeout_mult: and at most, times the least.
    @ivar push_pull_interval: between exchanges of whole states, in a pool of up to 32; 0 for none.
    @ivar probe_interval: a member is probed each time; 0 for never.
    @ivar probe_timeout: for the direct answer.
    @ivar disable_tcp_pings: do not try a stream where packets were lost.
    @ivar awareness_max_multiplier: Lifeguard's local health multiplier goes up to this; 1 switches it off.
    @ivar gossip_interval: between packets of broadcasts.
    @ivar gossip_nodes: how many members get them each time.
    @ivar gossip_to_the_dead_time: dead members get them so long, and are forgotten after.
    @ivar dead_node_reclaim_time: after so long a dead member's name may come back with another address; 0 for never.
    @ivar packet_bytes: how long a packet may be, all layers included.
    """

    stream_timeout: float = 10.0
    indirect_checks: int = 3
    retransmit_mult: int = 4
    suspicion_mult: int = 4
    suspicion_max_timeout_mult: int = 6
    push_pull_interval: float = 30.0
    probe_interval: float = 1.0
    probe_timeout: float = 0.5
    disable_tcp_pings: bool = False
    awareness_max_multiplier: int = 8
    gossip_interval: float = 0.2
    gossip_nodes: int = 3
    gossip_to_the_dead_time: float = 30.0
    dead_node_reclaim_time: float = 0.0
    packet_bytes: int = 1400


LAN = Timing()
WAN = Timing(
    stream_timeout=30.0,
    suspicion_mult=6,
    push_pull_interval=60.0,
    probe_timeout=3.0,
    probe_interval=5.0,
    gossip_nodes=4,
    gossip_interval=0.5,
    gossip_to_the_dead_time=60.0,
)
LOCAL = Timing(
    stream_timeout=1.0,
    indirect_checks=1,
    retransmit_mult=2,
    suspicion_mult=3,
    push_pull_interval=15.0,
    probe_timeout=0.2,
    gossip_interval=0.1,
    gossip_to_the_dead_time=15.0,
)


def suspicion_minimum(multiplier: int, members: int, probe_interval: float) -> float:
    """How long a suspicion lasts where enough others confirm it, in whole milliseconds as memberlist counts."""
    scale = max(1.0, log10(max(1.0, members)))
    return floor(scale * 1000.0) * multiplier * probe_interval / 1000.0


def transmit_limit(multiplier: int, members: int) -> int:
    """How often each broadcast is sent."""
    return multiplier * ceil(log10(members + 1))


def push_pull_interval(interval: float, members: int) -> float:
    """Between exchanges of whole states."""
    if members <= _PUSH_PULL_SCALE_FROM:
        return interval
    return interval * (ceil(log2(members) - log2(_PUSH_PULL_SCALE_FROM)) + 1)
