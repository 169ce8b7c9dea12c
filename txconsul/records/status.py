"""
What a server says of its group.
"""

from __future__ import annotations

from txconsul.records.base import Record, Uint

__all__ = ["RaftConfigurationResponse", "RaftServer", "RaftStats"]


class RaftServer(Record, frozen=True):
    """One server of the group, as operators see it."""

    id: str = ""
    node: str = ""
    address: str = ""
    leader: bool = False
    protocol_version: str = ""
    voter: bool = False
    last_index: int = 0


class RaftConfigurationResponse(Record, frozen=True):
    """The group: its servers, and the index of the entry that says so."""

    servers: tuple[RaftServer, ...] = ()
    index: int = 0


class RaftStats(Record, frozen=True):
    """
    How far a server is.

    @ivar last_contact: how long ago it heard of its leader, as a Go duration; C{0} of the leader itself, and C{never}.
    @ivar last_index: of the newest entry of its log, and C{last_term} its term.
    """

    last_contact: str = ""
    last_index: Uint = 0
    last_term: Uint = 0
