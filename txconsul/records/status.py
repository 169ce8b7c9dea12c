"""
What a server says of its group.
"""

from __future__ import annotations

from txconsul.records.base import Record

__all__ = ["RaftConfigurationResponse", "RaftServer"]


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
