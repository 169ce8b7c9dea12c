"""
What requests and answers share: options of a read, facts about an answer.

Source: Consul's documentation of consistency modes and blocking queries; the wire documents' QueryOptions
and QueryMeta.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from txconsul.records.base import OMIT_JSON, Duration, Record

__all__ = ["DEFAULT", "NOWHERE", "Context", "QueryMeta", "QueryOptions", "QuerySource", "Relayed"]


class QueryOptions(Record, frozen=True):
    """
    How a read wants to be answered.

    @ivar min_query_index: answer only once the answer's index is greater; 0 is at once.
    @ivar max_query_time: how long to wait for that, in ns; 0 is the default.
    @ivar max_stale_duration: with C{allow_stale}, how old the answer may be, in ns; 0 is no bound.
    @ivar allow_not_modified_response: whoever asks keeps the last answer, and need not be told it again. Nothing of
        ours makes use of that.
    """

    allow_stale: bool = False
    require_consistent: bool = False
    min_query_index: int = 0
    max_query_time: Duration = 0
    max_stale_duration: Duration = 0
    use_cache: bool = False
    must_revalidate: bool = False
    max_age: Duration = 0
    stale_if_error: Duration = 0
    filter: str = ""
    allow_not_modified_response: bool = False


#: A read that says nothing of its own.
DEFAULT = QueryOptions()


class QuerySource(Record, frozen=True):
    """
    Where a read comes from: what is near it is shown first.

    @ivar node: the node to be near to; empty where the order does not matter.
    @ivar ip: the address of whoever asks.
    @ivar disable_node: C{node} says nothing of how the request is to be served.
    """

    datacenter: str = ""
    disable_node: Annotated[bool, OMIT_JSON] = False
    ip: str = msgspec.field(name="Ip", default="")
    node: str = ""
    node_partition: Annotated[str, OMIT_JSON] = ""
    segment: str = ""


#: A read whose order does not matter.
NOWHERE = QuerySource()


class QueryMeta(Record, frozen=True):
    """
    What is known about an answer.

    @ivar index: the state's index that the answer shows; never 0.
    @ivar last_contact: how long ago the answering server heard of its leader, in ns.
    @ivar backend: 0 is a blocking query, 1 streaming.
    """

    index: int = 0
    last_contact: Duration = 0
    known_leader: bool = True
    consistency_level: str = ""
    not_modified: bool = False
    backend: int = 0
    results_filtered_by_acls: bool = False


class Context(Record, frozen=True):
    """
    Who asks, beside what is asked.

    @ivar token: the secret that the request bears; empty is anonymous.
    @ivar source: where the request came from, for logs (C{host:port}, or a name of our own).
    """

    token: str = ""
    source: str = ""


class Relayed(Context, frozen=True):
    """
    Who asks, of a request that came from another agent. Where it belongs elsewhere, it goes on as it came.

    @ivar method: the method's name, as it came.
    @ivar body: the request, as it came.
    """

    method: str = ""
    body: bytes = b""
