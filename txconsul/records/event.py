"""
User events: something that happened, told to all agents of a datacenter by gossip.

Source: Consul's documentation of the event HTTP API; the wire documents, GOSSIP section 7, and Internal.EventFire.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from txconsul.records.base import OMIT_WIRE, Duration, Record, Uint
from txconsul.records.query import DEFAULT, QueryOptions

__all__ = [
    "EVENT_VERSION",
    "EventFireRequest",
    "EventFireResponse",
    "EventListRequest",
    "EventPayload",
    "FireRequest",
    "UserEvent",
]

#: The version of event payloads that is written, and the newest one that is known.
EVENT_VERSION = 1


class UserEvent(Record, frozen=True):
    """
    An event, as agents show it.

    @ivar id: a UUID.
    @ivar node_filter: a pattern of Go's: only nodes whose name has a match are meant. Empty for all.
    @ivar service_filter: only agents that run a service whose id has a match.
    @ivar tag_filter: and of which a tag has a match.
    @ivar version: of the payload's form.
    @ivar l_time: the Lamport time at which it was told; 0 where that is not known.
    """

    id: str = ""
    name: str = ""
    payload: bytes | None = None
    node_filter: str = ""
    service_filter: str = ""
    tag_filter: str = ""
    version: int = 0
    l_time: Uint = 0


class EventPayload(Record, frozen=True):
    """The same as the payload of Serf's event: short names, and nothing that is empty."""

    id: str = ""
    name: str = msgspec.field(name="n", default="")
    node_filter: Annotated[str, OMIT_WIRE] = msgspec.field(name="nf", default="")
    payload: Annotated[bytes | None, OMIT_WIRE] = msgspec.field(name="p", default=None)
    service_filter: Annotated[str, OMIT_WIRE] = msgspec.field(name="sf", default="")
    tag_filter: Annotated[str, OMIT_WIRE] = msgspec.field(name="tf", default="")
    version: int = msgspec.field(name="v", default=0)


class FireRequest(Record, frozen=True):
    """
    Have an agent make an event, and have it told.

    @ivar datacenter: always empty: it is the agent that is asked.
    @ivar to: the datacenter in which it is told; empty for the agent's own.
    @ivar event: without id and version.
    @ivar token: the secret of who asks.
    """

    datacenter: str = ""
    to: str = ""
    event: UserEvent = UserEvent()
    token: str = ""


class EventListRequest(Record, frozen=True):
    """
    Ask an agent for the events that it holds.

    @ivar datacenter: always empty: only the agent that is asked knows.
    @ivar name: only events of this name; empty for all.
    """

    datacenter: str = ""
    name: str = ""
    options: QueryOptions = DEFAULT


class EventFireRequest(Record, frozen=True):
    """
    Have a server tell all agents of its datacenter of an event.

    @ivar payload: an L{EventPayload}, encoded with texts and bytes told apart.
    """

    datacenter: str = ""
    name: str = ""
    payload: bytes | None = None
    options: QueryOptions = DEFAULT


class EventFireResponse(Record, frozen=True):
    """It is being told. Nothing is said but what every answer says."""

    backend: int = 0
    consistency_level: str = ""
    index: Uint = 0
    known_leader: bool = False
    last_contact: Duration = 0
    not_modified: bool = False
    results_filtered_by_acls: bool = msgspec.field(name="ResultsFilteredByACLs", default=False)
