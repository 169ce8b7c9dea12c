"""
One probe, and the requests of others to probe for them: what is known of each while its answer is awaited.

Source: SWIM section 4.1; Lifeguard section IV-A for nacks.
"""

from __future__ import annotations

from txconsul.swim.members import Address, Member

__all__ = ["Probe", "Relay"]


class Probe:
    """
    A member is being asked.

    @ivar number: the sequence number by which its acks are known.
    @ivar sent: when the ping went out.
    @ivar deadline: when the whole probe is over.
    @ivar is_direct: until the direct answer has timed out. Only a direct one tells how far away the member is.
    @ivar nacks_wanted: how many of those who were asked to help would say that they heard nothing.
    @ivar by_stream: whether the member answered over a stream. That alone does not end the probe: packets should work.
    """

    __slots__ = ("by_stream", "deadline", "is_direct", "member", "nacks", "nacks_wanted", "number", "sent")

    def __init__(self, number: int, member: Member, sent: float, deadline: float) -> None:
        self.number = number
        self.member = member
        self.sent = sent
        self.deadline = deadline
        self.is_direct = True
        self.nacks = 0
        self.nacks_wanted = 0
        self.by_stream = False

    @property
    def missing_nacks(self) -> int:
        """How much this failed probe speaks against this node itself (Lifeguard)."""
        return self.nacks_wanted - self.nacks if self.nacks_wanted else 1


class Relay:
    """
    Somebody had this node ask a member.

    @ivar number: the asker's own sequence number.
    @ivar nack: whether it wants to hear of no answer, too.
    """

    __slots__ = ("asker", "nack", "number")

    def __init__(self, asker: Address, number: int, nack: bool) -> None:
        self.asker = asker
        self.number = number
        self.nack = nack
