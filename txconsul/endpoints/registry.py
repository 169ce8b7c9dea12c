"""
The table of all methods: each a function with the record that it takes, declared by a decorator.

C{@read} is a pure function of the state; blocking, staleness, consistency and metadata are written once, at the
door. C{@write} refuses or completes a request before it is proposed. C{@server} may wait and concerns the
server that is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import msgspec

from txconsul.endpoints.placing import Rule
from txconsul.errors import TxconsulError
from txconsul.records.base import Record
from txconsul.records.command import Command

if TYPE_CHECKING:
    from txconsul.endpoints.authorizing import Authorizer
    from txconsul.endpoints.leading import Leading
    from txconsul.endpoints.views import View
    from txconsul.state.store import Store
    from txconsul.state.watches import Key

__all__ = ["METHODS", "Answer", "Cached", "Decided", "Read", "ServerMethod", "Write", "read", "server", "write"]

F = TypeVar("F", bound=Callable[..., Any])


class Cached(msgspec.Struct, frozen=True):
    """
    That an answer was kept by the agent that was asked, rather than read for who asks.

    @ivar hit: it was there when it was asked for.
    @ivar age: in seconds; 0 while it is kept current.
    """

    hit: bool
    age: float


class Answer(msgspec.Struct, frozen=True):
    """
    What a read found.

    @ivar index: the state's index that the value shows.
    @ivar last_contact: how long ago the answering server heard of its leader, in seconds.
    @ivar view: what keeps the value and its renderings, where it is kept.
    """

    index: int
    value: Any
    last_contact: float = 0.0
    known_leader: bool = True
    view: View | None = None
    cached: Cached | None = None


class Decided(msgspec.Struct, frozen=True):
    """A write that is answered without being proposed."""

    value: Any


@dataclass(frozen=True, slots=True)
class Read:
    """
    @ivar function: C{(store, request, authorizer) -> (index, value)}.
    @ivar watch: C{request -> keys}: what touches the answer.
    @ivar absent: whether a value says that there is nothing. A blocking query which saw nothing twice goes on
        waiting though the index moved, as Consul's does.
    @ivar kept: C{(store, request) -> index}: the value, which has a length, is kept as a L{View} until a watch key is
        touched, and this is the index that it has at the moment. 0 where this request's value may change without.
    @ivar order: C{request -> keys}: what else touches a kept value: its order, which is no change that anybody waits
        for.
    @ivar counted: C{catalog} or C{health} where requests are counted by the service that they ask for.
    """

    name: str
    request: type[Record]
    function: Callable[[Store, Any, Authorizer], tuple[int, Any]]
    watch: Callable[[Any], Iterable[Key]]
    absent: Callable[[Any], bool] | None
    kept: Callable[[Store, Any], int] | None = None
    order: Callable[[Any], Iterable[Key]] | None = None
    counted: str = ""

    rule: ClassVar[Rule] = Rule.READ


@dataclass(frozen=True, slots=True)
class Write:
    """
    @ivar function: C{(store, request, authorizer, leading) -> request | Decided}; it may raise.
    @ivar after: C{(request, result, leading) -> value}: what the asker is told, once it is committed.
    @ivar refused: the words for a refusal by the state, once it is committed.
    """

    name: str
    request: type[Record]
    command: Command
    function: Callable[[Store, Any, Authorizer, Leading], Any]
    after: Callable[[Any, Any, Leading], Any] | None
    refused: Callable[[TxconsulError], TxconsulError] | None

    rule: ClassVar[Rule] = Rule.WRITE


@dataclass(frozen=True, slots=True)
class ServerMethod:
    """
    @ivar function: C{(site, request, authorizer) -> value | Deferred}, where C{site} is the door's L{Site}.
    @ivar watch: C{(site, request) -> keys}: what touches the answer. None, itself or what it returns, where nobody can
        tell.
    """

    name: str
    request: type[Record]
    function: Callable[[Any, Any, Authorizer], Any]
    rule: Rule
    watch: Callable[[Any, Any], Iterable[Key] | None] | None


#: Every method by its name.
METHODS: dict[str, Read | Write | ServerMethod] = {}


def _add(method: Read | Write | ServerMethod) -> None:
    if method.name in METHODS:
        raise ValueError(f"two methods are named {method.name}")
    METHODS[method.name] = method


def read(
    name: str,
    request: type[Record],
    watch: Callable[[Any], Iterable[Key]],
    absent: Callable[[Any], bool] | None = None,
    kept: Callable[[Store, Any], int] | None = None,
    order: Callable[[Any], Iterable[Key]] | None = None,
    counted: str = "",
) -> Callable[[F], F]:
    """Declare a read; see L{Read}."""

    def declare(function: F) -> F:
        _add(Read(name, request, function, watch, absent, kept, order, counted))
        return function

    return declare


def write(
    name: str,
    request: type[Record],
    command: Command,
    after: Callable[[Any, Any, Leading], Any] | None = None,
    refused: Callable[[TxconsulError], TxconsulError] | None = None,
) -> Callable[[F], F]:
    """Declare a write; see L{Write}."""

    def declare(function: F) -> F:
        _add(Write(name, request, command, function, after, refused))
        return function

    return declare


def server(
    name: str,
    request: type[Record],
    rule: Rule = Rule.SERVER,
    watch: Callable[[Any, Any], Iterable[Key] | None] | None = None,
) -> Callable[[F], F]:
    """
    Declare a method of a server; with L{Rule.WRITE}, of the leader; with L{Rule.READ}, it is placed as a read is, and
    what it sees is as fresh, but it answers at once.
    """

    def declare(function: F) -> F:
        _add(ServerMethod(name, request, function, rule, watch))
        return function

    return declare
