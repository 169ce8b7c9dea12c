"""
What the layer above a L{SwimNode<txconsul.swim.node.SwimNode>} says when it is asked.

Everything else it learns from the node's outputs. The default serves a pool whose members only want to know of each
other.
"""

from __future__ import annotations

from collections.abc import Sequence

from txconsul.swim.members import Member
from txconsul.swim.messages import NodeState

__all__ = ["Delegate"]


class Delegate:
    """
    Answers that cannot wait. None of them may do I/O, or call the node.
    """

    def ack_payload(self) -> bytes | None:
        """What goes along with each ack: the node's network coordinate."""
        return None

    def local_state(self, join: bool) -> bytes:
        """What goes along with an exchange of states."""
        return b""

    def broadcasts(self, overhead: int, room: int) -> list[bytes]:
        """
        Messages of the layer above for a packet, with their type byte; each costs C{overhead} beside its bytes.
        """
        return []

    def has_broadcasts(self) -> bool:
        """Whether L{broadcasts} would give any, were there room."""
        return False

    def refuse_alive(self, member: Member) -> str:
        """Why a member is not let in; empty if it is."""
        return ""

    def refuse_merge(self, nodes: Sequence[NodeState]) -> str:
        """Why a whole pool is not joined with ours; empty if it is."""
        return ""
