"""
What a Raft log holds: entries, and the membership that some of them carry.

Source: hashicorp/raft 1.7's log format, as written down in the project's wire documents.
"""

from __future__ import annotations

from enum import IntEnum

from txconsul.records.base import Record, Time

__all__ = ["NO_TIME", "Configuration", "Entry", "EntryType", "Server", "Suffrage"]

#: Go's zero time: year 1, UTC.
NO_TIME = b"\x01" + bytes(12) + b"\xff\xff"


class EntryType(IntEnum):
    """The kinds of log entry in use; 2 and 3 are deprecated peer changes."""

    COMMAND = 0
    NOOP = 1
    BARRIER = 4
    CONFIGURATION = 5


class Entry(Record, frozen=True, gc=False):
    """
    One entry of the log.

    @ivar type: an L{EntryType}, kept as the int that is stored.
    @ivar data: for a command, its type byte and its msgpack body; for a configuration, its msgpack.
    @ivar appended_at: wall time at the leader, for people; no decision reads it.
    """

    index: int = 0
    term: int = 0
    type: int = 0
    data: bytes | None = None
    extensions: bytes | None = None
    appended_at: Time = NO_TIME


class Suffrage(IntEnum):
    """Whether a server's word counts in elections and commits."""

    VOTER = 0
    NONVOTER = 1
    STAGING = 2


class Server(Record, frozen=True):
    """One member of the Raft group: its id (the node's UUID) and where its Raft listens (C{host:port})."""

    suffrage: int = Suffrage.VOTER
    id: str = ""
    address: str = ""


class Configuration(Record, frozen=True):
    """Who belongs to the Raft group, in the order in which they came."""

    servers: tuple[Server, ...] = ()
