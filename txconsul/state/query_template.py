"""
Prepared queries that are templates: every text of what they look for is filled in with the name that was asked for.

Source: Consul's documentation of prepared query templates.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

from msgspec.structs import replace

from txconsul.errors import InvalidRequest
from txconsul.language.goregexp import BadRegexp
from txconsul.language.goregexp_groups import GroupPattern
from txconsul.language.template import BadEvaluation, BadTemplate, Scope, Template
from txconsul.records.prepared_query import NAME_PREFIX_MATCH, PreparedQuery, QueryFailoverTarget, ServiceQuery

__all__ = ["RENDERED_KEPT", "QueryTemplate"]

#: What a template was filled in with last, and the queries that came out: some KB each, with the longest names.
RENDERED_KEPT = 64

#: C{(path, text) -> text}; the path is where the text stands, as errors name it.
_Visit = Callable[[str, str], str]
V = TypeVar("V")


class QueryTemplate:
    """
    A compiled query template. It renders with its own name, the shortest that it will meet.

    @raise InvalidRequest: the query's type is not known, a text is no template, the regular expression is none, or the
        template cannot be rendered with its own name.
    """

    def __init__(self, query: PreparedQuery) -> None:
        options = query.template
        if options.type != NAME_PREFIX_MATCH:
            raise InvalidRequest(f"Bad Template.Type '{options.type}'")
        self._query = query
        self._templates: dict[str, Template] = {}
        _walk(query.service, self._parse)
        self._pattern: GroupPattern | None = None
        if options.regexp:
            try:
                self._pattern = GroupPattern(options.regexp)
            except BadRegexp as error:
                raise InvalidRequest(f"Bad Regexp: {error}") from None
        self._render(query.name, "")
        self._kept = lru_cache(RENDERED_KEPT)(self._render)

    def _parse(self, path: str, text: str) -> str:
        try:
            self._templates[path] = Template(text)
        except BadTemplate as error:
            raise InvalidRequest(f"Bad format '{text}' in Service{path}: {error}") from None
        return text

    def render(self, name: str, segment: str) -> PreparedQuery:
        """
        The query for a name.

        @param segment: the network segment of the agent that was asked.
        @raise InvalidRequest: a text cannot be filled in.
        """
        return self._kept(name, segment)

    def _render(self, name: str, segment: str) -> PreparedQuery:
        query = self._query
        matches = self._pattern.match(name) if self._pattern is not None else ()
        scope = Scope(name, query.name, name.removeprefix(query.name), segment, matches)

        def fill_in(path: str, text: str) -> str:
            try:
                return self._templates[path].render(scope)
            except BadEvaluation as error:
                raise InvalidRequest(f"Bad evaluation for '{text}' in Service{path}: {error}") from None

        service = _walk(query.service, fill_in)
        if query.template.remove_empty_tags:
            service = replace(service, tags=tuple([tag for tag in service.tags or () if tag]))
        return replace(query, service=service)


def _walk(service: ServiceQuery, visit: _Visit) -> ServiceQuery:
    """What is looked for, with every text as C{visit} has it; they are visited in Consul's order."""
    name = visit(".Service", service.service)
    group = visit(".SamenessGroup", service.sameness_group)
    failover = service.failover
    datacenters = _list(failover.datacenters, ".Failover.Datacenters", visit)
    targets = _each(failover.targets, lambda number, target: _target(target, f".Failover.Targets[{number}]", visit))
    return replace(
        service,
        service=name,
        sameness_group=group,
        failover=replace(failover, datacenters=datacenters, targets=targets),
        ignore_check_ids=_list(service.ignore_check_ids, ".IgnoreCheckIDs", visit),
        near=visit(".Near", service.near),
        tags=_list(service.tags, ".Tags", visit),
        node_meta=_map(service.node_meta, ".NodeMeta", visit),
        service_meta=_map(service.service_meta, ".ServiceMeta", visit),
        peer=visit(".Peer", service.peer),
    )


def _target(target: QueryFailoverTarget, path: str, visit: _Visit) -> QueryFailoverTarget:
    peer = visit(f"{path}.Peer", target.peer)
    return QueryFailoverTarget(peer=peer, datacenter=visit(f"{path}.Datacenter", target.datacenter))


def _each(values: tuple[V, ...] | None, visit: Callable[[int, V], V]) -> tuple[V, ...] | None:
    return None if values is None else tuple([visit(number, value) for number, value in enumerate(values)])


def _list(values: tuple[str, ...] | None, path: str, visit: _Visit) -> tuple[str, ...] | None:
    return _each(values, lambda number, value: visit(f"{path}[{number}]", value))


def _map(values: dict[str, str] | None, path: str, visit: _Visit) -> dict[str, str] | None:
    """A map's values; its keys stay as they are."""
    return None if values is None else {key: visit(f"{path}[{key}]", values[key]) for key in sorted(values)}
