"""
How long a Raft server waits for what, and how much it sends at once.

The values are hashicorp/raft's, the first three multiplied by Consul's C{raft_multiplier}.
"""

from __future__ import annotations

import msgspec

__all__ = ["Timing"]


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """
    All times in seconds.

    @ivar heartbeat: a follower that heard nothing from its leader for this long, and up to twice as long at random,
        stands for election. A leader sends heartbeats every tenth to fifth of it.
    @ivar election: a candidate tries again after this long, and up to twice as long at random. A leadership transfer
        that took longer has failed.
    @ivar lease: a leader steps down when no majority has answered for this long. At most C{heartbeat}: then no other
        leader can have been elected meanwhile (Raft dissertation 6.4.1).
    @ivar commit: a follower to which nothing else is sent learns of commits within this long, and up to twice.
    @ivar retry: an append unanswered for this long is sent again. A transport that knows of a loss says so earlier
        (C{core.unreachable}).
    @ivar snapshot: how long the answer to a snapshot may take once all its bytes are sent; and half of it is the pause
        before a failed one is tried again.
    @ivar entries_max: entries in one AppendEntries.
    @ivar entries_bytes_max: bytes of data in one AppendEntries, unless its first entry alone has more; bounds what a
        slow follower's requests hold in memory, and what a heartbeat may have to queue behind.
    @ivar in_flight_max: appends to one follower that may be unanswered at once. hashicorp/raft's default for its
        pipeline.
    """

    heartbeat: float = 5.0
    election: float = 5.0
    lease: float = 2.5
    commit: float = 0.05
    retry: float = 1.25
    snapshot: float = 10.0
    entries_max: int = 64
    entries_bytes_max: int = 1 << 20
    in_flight_max: int = 2

    def __post_init__(self) -> None:
        """@raise ValueError: a time is not above zero, or the lease outlasts the heartbeat timeout."""
        for name in ("heartbeat", "election", "lease", "commit", "retry", "snapshot"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0")
        for name in ("entries_max", "entries_bytes_max", "in_flight_max"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")
        if self.lease > self.heartbeat:
            raise ValueError("lease must not be longer than heartbeat")

    @property
    def silence(self) -> float:
        """The longest time between two heartbeats."""
        return self.heartbeat / 5

    @classmethod
    def multiplied(cls, raft_multiplier: int = 5) -> Timing:
        """
        The timing of Consul's C{performance.raft_multiplier}, 1 (fast, recommended for production) to 10.

        >>> Timing.multiplied(1).heartbeat, Timing.multiplied(5) == Timing()
        (1.0, True)
        """
        return cls(
            heartbeat=1.0 * raft_multiplier,
            election=1.0 * raft_multiplier,
            lease=0.5 * raft_multiplier,
            retry=0.25 * raft_multiplier,
        )
