"""
Where a request belongs: one pure function, the same at every hop.

Source: the project's architecture, section 6; Consul's consistency modes.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

__all__ = ["Me", "Place", "Rule", "place"]


class Rule(Enum):
    """What a method's declaration says of where it may run."""

    READ = "read"  # at the leader, or at any server if stale is allowed
    WRITE = "write"  # at the leader
    SERVER = "server"  # at whichever server is asked
    AGENT = "agent"  # at the very agent that is asked, whatever datacenter is named


class Place(Enum):
    """Where a request goes next."""

    HERE = "here"
    LEADER = "leader"
    SERVER = "server"
    DATACENTER = "datacenter"
    NOWHERE = "nowhere"  # nobody can take it now: try again until the deadline


class Me(NamedTuple):
    """What an agent knows of itself when it places a request."""

    datacenter: str
    is_server: bool
    is_leader: bool
    leader_known: bool
    heard_of_leader: bool


def place(rule: Rule, datacenter: str, allow_stale: bool, me: Me) -> Place:
    """
    Where a request goes next.

    @param datacenter: the one that the request names; empty is mine.
    @param allow_stale: it is a read that any server may answer.
    """
    if rule is Rule.AGENT:
        return Place.HERE
    if not me.is_server:
        return Place.SERVER
    if datacenter and datacenter != me.datacenter:
        return Place.DATACENTER
    if me.is_leader or rule is Rule.SERVER:
        return Place.HERE
    if allow_stale and rule is Rule.READ and me.heard_of_leader:
        return Place.HERE
    return Place.LEADER if me.leader_known else Place.NOWHERE
