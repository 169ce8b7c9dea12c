"""
Queries: those that this node has asked, and those that it is asked.

Source: the wire documents, GOSSIP section 5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, log10

import msgspec

from txconsul.codec import gomsgpack
from txconsul.language.goregexp import Allowance, Pattern, TooCostly
from txconsul.language.goregexp_syntax import BadRegexp
from txconsul.records.base import Record

__all__ = ["QueryParameters", "Running", "default_timeout", "passes", "write_filters"]

#: A query lasts so many rounds of gossip, times the logarithm of the pool's size.
_TIMEOUT_MULT = 16
_BY_NODES = 0
_BY_TAG = 1


class QueryParameters(msgspec.Struct, frozen=True, kw_only=True):
    """
    How a query is meant.

    @ivar nodes: only these are to answer; none for all.
    @ivar tags: only those whose tags match these patterns.
    @ivar wants_acks: whoever is meant says at once that it has the query.
    @ivar relay_factor: through how many members each answer comes a second time.
    @ivar timeout: seconds; None for the default.
    """

    nodes: Sequence[str] = ()
    tags: Mapping[str, str] = {}
    wants_acks: bool = False
    relay_factor: int = 0
    timeout: float | None = None


class _TagFilter(Record, frozen=True):
    """@ivar expr: a pattern of Go's that the tag's value must match somewhere."""

    expr: str = ""
    tag: str = ""


def default_timeout(gossip_interval: float, members: int) -> float:
    """How long a query lasts where nothing else is said."""
    return gossip_interval * _TIMEOUT_MULT * ceil(log10(members + 1))


def write_filters(parameters: QueryParameters) -> tuple[bytes, ...] | None:
    """The filters of a query."""
    filters = []
    if parameters.nodes:
        filters.append(bytes([_BY_NODES]) + gomsgpack.pack(list(parameters.nodes)))
    for tag, pattern in parameters.tags.items():
        filters.append(bytes([_BY_TAG]) + gomsgpack.encode(_TagFilter(expr=pattern, tag=tag)))
    return tuple(filters) or None


def passes(filters: Sequence[bytes], name: str, tags: Mapping[str, str]) -> bool:
    """
    Whether a node is meant by a query. A filter that cannot be read lets nobody pass.

    @param name: the node's name.
    """
    return all(_passes(one, name, tags) for one in filters)


def _passes(data: bytes, name: str, tags: Mapping[str, str]) -> bool:
    try:
        if data[:1] == bytes([_BY_NODES]):
            names = gomsgpack.unpack(data[1:])
            return isinstance(names, list) and name.encode("utf-8", "surrogateescape") in names
        if data[:1] == bytes([_BY_TAG]):
            wanted = gomsgpack.decode(_TagFilter, data[1:])
            return Pattern(wanted.expr, Allowance()).search(tags.get(wanted.tag, ""))
    except (gomsgpack.BadMessage, BadRegexp, TooCostly):
        return False
    return False


class Running:
    """
    A query that this node has asked.

    @ivar key: time and number, by which answers are known.
    """

    __slots__ = ("_acked", "_answered", "_most", "deadline", "key")

    def __init__(self, key: tuple[int, int], deadline: float, members: int) -> None:
        """@param members: no more than so many can answer."""
        self.key = key
        self.deadline = deadline
        self._most = members
        self._acked: set[str] = set()
        self._answered: set[str] = set()

    def is_new(self, sender: str, *, ack: bool) -> bool:
        """Whether this is the member's first word of this kind: relays bring them twice."""
        heard = self._acked if ack else self._answered
        if sender in heard or len(heard) >= self._most:
            return False
        heard.add(sender)
        return True
