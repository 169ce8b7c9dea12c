"""
A member of a gossip pool, as the agent's API shows it.

Source: Consul's documentation of C{/v1/agent/members}.
"""

from __future__ import annotations

from txconsul.records.base import Record

__all__ = ["STATUS_WORDS", "Member"]

#: What Serf's numbers mean.
STATUS_WORDS = {0: "none", 1: "alive", 2: "leaving", 3: "left", 4: "failed"}


class Member(Record, frozen=True):
    """
    Who is, or was, in the pool.

    @ivar addr: four or sixteen bytes.
    @ivar status: Serf's number: 1 is alive, 2 leaving, 3 left, 4 failed.
    """

    addr: bytes | None = None
    delegate_cur: int = 0
    delegate_max: int = 0
    delegate_min: int = 0
    name: str = ""
    port: int = 0
    protocol_cur: int = 0
    protocol_max: int = 0
    protocol_min: int = 0
    status: int = 0
    tags: dict[str, str] | None = None
