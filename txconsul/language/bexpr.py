"""
Filters: C{?filter=} expressions, compiled to a function of a record.

An expression is read and checked once against the declaration of what it filters; what remains is a chain of small
functions, kept for the next request. The language is that of go-bexpr 0.1.2, with its habits:

  - a selector that goes through a list asks for any of its items, also with C{!=} and C{not in};
  - a key that a map does not have is unequal to everything, empty, and matches every pattern;
  - C{not} applies to what follows it, C{and} binds closer than C{or}.

Departures: an expression may have C{TEXT_MAX} characters and C{MATCHES_MAX} questions; a field without a value (a
service without weights) is its zero value, where Consul stops with a fault.

Source: Consul's page on filtering; the behaviour of hashicorp/go-bexpr 0.1.2, which Consul 1.21 uses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from operator import attrgetter
from typing import Any, TypeVar

from txconsul.codec.fields import Kind
from txconsul.codec.goquote import quote
from txconsul.language.bexpr_fields import NotOfKind, Selectable, selectable_fields
from txconsul.language.bexpr_grammar import And, BadExpression, Expression, Match, Not, Operator, parse
from txconsul.language.goregexp import PROGRAM_MAX, Allowance, BadRegexp, Pattern, TooCostly
from txconsul.records.base import Record

__all__ = [
    "FILTERS_KEPT",
    "MATCHES_MAX",
    "PATTERNS_MAX",
    "TEXT_MAX",
    "BadExpression",
    "Filter",
    "TooCostly",
    "filter_for",
    "select_seen",
]

#: Characters of an expression. It stands in a URL, for which proxies allow no more.
TEXT_MAX = 8 * 1024
#: Questions of an expression: each is asked of every record.
MATCHES_MAX = 512
#: Questions with a regular expression, whose instructions are counted together.
PATTERNS_MAX = 32
#: Compiled filters that are kept, the most recently used. Clients repeat theirs.
FILTERS_KEPT = 128
#: What all patterns of a kept filter may remember, in steps of about 100 bytes.
_STEPS_KEPT = 4_000

R = TypeVar("R", bound=Record)
Test = Callable[[Any], bool]

#: What an operator says of a key that a map does not have.
_MISSING = {operator: operator not in (Operator.EQUAL, Operator.IN, Operator.IS_NOT_EMPTY) for operator in Operator}
_CONTRARY = {
    Operator.NOT_EQUAL: Operator.EQUAL,
    Operator.NOT_IN: Operator.IN,
    Operator.IS_NOT_EMPTY: Operator.IS_EMPTY,
    Operator.NOT_MATCHES: Operator.MATCHES,
}


class Filter:
    """
    A compiled expression.

    @ivar matches: C{record -> bool}: does the record pass? It may raise L{TooCostly}.
    """

    def __init__(self, matches: Test, patterns: _Patterns) -> None:
        self.matches = matches
        self._patterns = patterns

    def select(self, records: Iterable[R]) -> list[R]:
        """
        The records that pass.

        @raise TooCostly: a regular expression takes too long.
        """
        matches = self.matches
        with self._patterns:
            return [record for record in records if matches(record)]

    def select_values(self, records: Mapping[str, R]) -> dict[str, R]:
        """The items of a map whose values pass. @raise TooCostly: as L{select}."""
        matches = self.matches
        with self._patterns:
            return {name: record for name, record in records.items() if matches(record)}


class _Patterns:
    """
    The regular expressions of one filter. As a context, it is one use of the filter: what they may spend begins anew,
    and what they remember is forgotten in the end if it is much.
    """

    def __init__(self) -> None:
        self._allowance = Allowance()
        self._all: list[Pattern] = []

    def compile(self, text: str) -> Pattern:
        """@raise BadExpression: the text is no pattern, or one too many."""
        if len(self._all) >= PATTERNS_MAX:
            raise BadExpression(f"Number of regular expressions exceeds the limit ({PATTERNS_MAX})")
        room = PROGRAM_MAX - sum(one.size for one in self._all)
        try:
            pattern = Pattern(text, self._allowance, room)
        except BadRegexp as error:
            raise BadExpression(f"Failed to compile regular expression {quote(text)}: {error}") from None
        self._all.append(pattern)
        return pattern

    def __enter__(self) -> None:
        self._allowance.refill()

    def __exit__(self, *_: object) -> None:
        if self._all and sum(one.kept for one in self._all) > _STEPS_KEPT:
            for pattern in self._all:
                pattern.forget()


@lru_cache(FILTERS_KEPT)
def filter_for(expression: str, record: type[Record]) -> Filter:
    """
    The filter that an expression is, for records of one class.

    @raise BadExpression: it is none, or asks for what these records do not have. The text is the one that Consul's
        clients see.
    """
    try:
        return _filter(_tree(expression), record)
    except BadExpression as error:
        raise _no_evaluator(error) from None


def select_seen(expression: str, record: type[R], records: Mapping[str, R]) -> dict[str, R]:
    """
    The items of a map whose values pass, where nothing was declared beforehand: what the expression asks for is looked
    for only once there is a value that should have it. Of an empty map, any expression leaves nothing.

    @raise BadExpression: as L{filter_for}; of a selector, without the words that go before.
    @raise TooCostly: a regular expression takes too long.
    """
    try:
        tree = _tree(expression)
    except BadExpression as error:
        raise _no_evaluator(error) from None
    return _filter(tree, record).select_values(records) if records else {}


def _no_evaluator(error: BadExpression) -> BadExpression:
    return BadExpression(f"Failed to create boolean expression evaluator: {error}")


def _tree(expression: str) -> Expression:
    if len(expression) > TEXT_MAX:
        raise BadExpression(f"Expression with length {len(expression)} exceeds the limit ({TEXT_MAX})")
    tree = parse(expression)
    asked = _count(tree)
    if asked > MATCHES_MAX:
        raise BadExpression(f"Number of match expressions ({asked}) exceeds the limit ({MATCHES_MAX})")
    return tree


def _filter(tree: Expression, record: type[Record]) -> Filter:
    patterns = _Patterns()
    return Filter(_compile(tree, record, patterns), patterns)


def _count(tree: Expression) -> int:
    if isinstance(tree, Match):
        return 1
    return _count(tree.part) if isinstance(tree, Not) else sum(map(_count, tree.parts))


def _compile(tree: Expression, record: type[Record], patterns: _Patterns) -> Test:
    if isinstance(tree, Match):
        return _compile_match(tree, record, patterns)
    if isinstance(tree, Not):
        part = _compile(tree.part, record, patterns)
        return lambda it: not part(it)
    tests = [_compile(one, record, patterns) for one in tree.parts]
    if len(tests) == 2:
        first, second = tests
        if isinstance(tree, And):
            return lambda it: first(it) and second(it)
        return lambda it: first(it) or second(it)
    if isinstance(tree, And):
        return lambda it: all(test(it) for test in tests)
    return lambda it: any(test(it) for test in tests)


# ---- one match ----


def _compile_match(match: Match, record: type[Record], patterns: _Patterns) -> Test:
    path = _path(match.selector, record)
    last = path[-1]
    selector = quote(".".join(match.selector))
    if match.operator not in last.operators:
        raise BadExpression(f"Invalid match operator {quote(match.operator.value)} for selector {selector}")
    value: Any = None
    if match.value is not None:
        try:
            value = last.value(match.value)
        except NotOfKind as error:
            raise BadExpression(
                f"Failed to coerce value {quote(match.value)} for selector {selector}: {error}"
            ) from None
    operator = _CONTRARY.get(match.operator, match.operator)
    test = _test(operator, last, value, patterns)
    if operator is not match.operator:
        test = _negated(test, operator, value)
    return _reaching(path, test, _MISSING[match.operator])


def _path(selector: tuple[str, ...], record: type[Record]) -> list[Selectable]:
    """What the parts of a selector lead to."""
    path: list[Selectable] = []
    within: Mapping[str, Selectable] = selectable_fields(record)
    every: Selectable | None = None
    for place, name in enumerate(selector, 1):
        found = within.get(name, every)
        if found is None:
            raise BadExpression(f"Selector {quote('.'.join(selector[:place]))} is not valid")
        path.append(found if every is None else found._replace(attribute=name))
        within, every = found.within, found.every
    return path


def _test(operator: Operator, last: Selectable, value: Any, patterns: _Patterns) -> Test:
    """The question itself, asked of the value at the end of the path."""
    if operator is Operator.EQUAL:
        return lambda it: bool(it == value)
    if operator is Operator.IS_EMPTY:
        return lambda it: not it
    if operator is Operator.IN:
        return lambda it: it is not None and value in it
    text = value if isinstance(value, str) else value.decode("utf-8", "surrogateescape")
    search = patterns.compile(text).search
    if last.shape.of is bytes:
        return lambda it: search((it or b"").decode("utf-8", "surrogateescape"))
    return lambda it: search(it or "")


def _negated(test: Test, operator: Operator, value: Any) -> Test:
    if operator is Operator.EQUAL:
        return lambda it: bool(it != value)
    if operator is Operator.IS_EMPTY:
        return bool
    return lambda it: not test(it)


# ---- the way to a value ----


def _reaching(path: list[Selectable], test: Test, missing: bool) -> Test:
    """The test of a record, from the test of what C{path} leads to in it."""
    fast = test
    for place in reversed(range(len(path))):
        holder = path[place - 1] if place else None
        fast = _step(path[place], holder, fast, missing)
    through_records = all(one.shape.kind is Kind.RECORD for one in path[:-1])
    if not through_records:
        return fast
    slow, read = fast, attrgetter(".".join(one.attribute for one in path))

    def ask(it: Any) -> bool:
        try:
            found = read(it)
        except AttributeError:  # one of the records on the way is absent
            return slow(it)
        return test(found) if found is not None else slow(it)

    return ask


def _step(step: Selectable, holder: Selectable | None, inner: Test, missing: bool) -> Test:
    """
    The test of what C{holder} (None: the record itself) leads to, from the test of what C{step} is in it.
    """
    inner = _filled(step, inner)
    name = step.attribute
    if holder is not None and holder.every is not None:
        return lambda it: inner(it[name]) if it and name in it else missing
    read = attrgetter(name)
    if holder is not None and holder.shape.kind is Kind.LIST:
        return lambda it: _any(it, read, inner)
    return lambda it: inner(read(it))


def _any(items: Iterable[Any] | None, read: Callable[[Any], Any], inner: Test) -> bool:
    for one in items or ():  # noqa: SIM110 - a loop takes half the time of a generator
        if one is not None and inner(read(one)):
            return True
    return False


def _filled(step: Selectable, inner: Test) -> Test:
    """The test, given the zero value where there is none."""
    shape = step.shape
    if not shape.optional or shape.kind in (Kind.LIST, Kind.MAP):
        return inner
    zero = b"" if shape.kind is Kind.BYTES else shape.of()
    return lambda it: inner(zero if it is None else it)
