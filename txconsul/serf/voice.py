"""
How a L{SerfNode<txconsul.serf.node.SerfNode>} answers the SWIM node below it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from txconsul.serf.messages import write
from txconsul.serf.ping import write_payload
from txconsul.swim.delegate import Delegate
from txconsul.swim.members import Member
from txconsul.swim.messages import Kind, NodeState, State

if TYPE_CHECKING:
    from txconsul.serf.node import SerfNode

__all__ = ["USER_BYTE", "Voice"]

#: What stands before a message of Serf's among SWIM's.
USER_BYTE = bytes([Kind.USER])


class Voice(Delegate):
    """What the SWIM node asks of Serf."""

    def __init__(self, node: SerfNode) -> None:
        self._node = node

    def ack_payload(self) -> bytes | None:
        vivaldi = self._node.vivaldi
        return None if vivaldi is None else write_payload(vivaldi.position)

    def local_state(self, join: bool) -> bytes:
        return write(self._node.state())

    def broadcasts(self, overhead: int, room: int) -> list[bytes]:
        return self._node.take_broadcasts(overhead + len(USER_BYTE), room)

    def has_broadcasts(self) -> bool:
        return any(map(len, self._node.queues))

    def refuse_alive(self, member: Member) -> str:
        return self._node.refuse_one(member)

    def refuse_merge(self, nodes: Sequence[NodeState]) -> str:
        return self._node.refuse(
            [
                Member(one.name, one.addr, one.port, one.meta or b"", one.vsn, one.incarnation, State(one.state), 0.0)
                for one in nodes
            ]
        )
