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


class JoinRequest(Record, frozen=True):
    """
    Have an agent join a pool.

    @ivar datacenter: always empty: it is the agent that is asked; likewise below.
    @ivar address: of somebody in the pool: a host, with or without a port.
    @ivar wan: the pool that servers of all datacenters share.
    """

    datacenter: str = ""
    address: str = ""
    wan: bool = False


class ForceLeaveRequest(Record, frozen=True):
    """
    Have a failed member be gone for good.

    @ivar wan: in the pool that servers of all datacenters share, only.
    @ivar prune: and have it forgotten at once.
    """

    datacenter: str = ""
    node: str = ""
    wan: bool = False
    prune: bool = False
