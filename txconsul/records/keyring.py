"""
Gossip keys of whole pools: what is asked, and what their members said.

Source: Consul's documentation of the keyring HTTP API; the wire documents, Internal.KeyringOperation.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from txconsul.records.base import OMIT_JSON, Duration, Record, Uint
from txconsul.records.query import DEFAULT, QueryOptions

__all__ = ["KeyBody", "KeyringRequest", "KeyringResponse", "KeyringResponses"]


class KeyBody(Record, frozen=True):
    """
    What stands in the body of a request.

    @ivar key: base64.
    @ivar relay_factor: that of the path goes first.
    @ivar token: taken without effect, as is C{local_only}.
    """

    key: str = ""
    token: str = ""
    relay_factor: int = 0
    local_only: bool = False


class KeyringRequest(Record, frozen=True):
    """
    Change or list the keys of all pools.

    @ivar operation: C{list}, C{install}, C{use} or C{remove}.
    @ivar key: base64.
    @ivar forwarded: a server of another datacenter asks: only the own pool is meant.
    @ivar relay_factor: through how many members each answer comes a second time.
    @ivar local_only: only the pool of the datacenter that is asked is meant.
    @ivar token: the secret of who asks, for servers of other datacenters.
    """

    datacenter: str = ""
    operation: str = ""
    key: str = ""
    forwarded: bool = False
    relay_factor: int = 0
    local_only: bool = False
    token: str = ""
    options: QueryOptions = DEFAULT


class KeyringResponse(Record, frozen=True):
    """
    What the members of one pool said.

    @ivar wan: it is the pool of the servers of all datacenters.
    @ivar messages: what members had to say, by name.
    @ivar keys: on how many members each key is, base64.
    @ivar primary_keys: on how many it is the one that is encrypted with.
    @ivar num_nodes: how many members were asked.
    @ivar error: why the pool is not as it was wanted; empty if it is.
    """

    wan: bool = False
    datacenter: str = ""
    segment: str = ""
    partition: Annotated[str, OMIT_JSON] = ""
    messages: Annotated[dict[str, str] | None, OMIT_JSON] = None
    keys: dict[str, int] | None = None
    primary_keys: dict[str, int] | None = None
    num_nodes: int = 0
    error: Annotated[str, OMIT_JSON] = ""


class KeyringResponses(Record, frozen=True):
    """What the members of several pools said."""

    backend: int = 0
    consistency_level: str = ""
    index: Uint = 0
    known_leader: bool = False
    last_contact: Duration = 0
    not_modified: bool = False
    responses: tuple[KeyringResponse, ...] | None = None
    results_filtered_by_acls: bool = msgspec.field(name="ResultsFilteredByACLs", default=False)
