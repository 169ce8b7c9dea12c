"""
Templates of prepared queries, compiled: C{web-${match(1)}} and a name give the text that the query looks for.

What a template may name is C{name.full} (the name that was asked for), C{name.prefix} (the query's own), C{name.suffix}
(the rest), C{agent.segment} (the network segment of the agent that was asked) and C{match(N)} (what group N of the
query's regular expression holds; empty where there is none). Values are text, whole numbers of 64 bits, fractions and
truth values; they are converted where that is what HIL does.

Types and names are checked once, when a template is compiled; the errors are those that HIL has when it is first used.

Source: the documentation of HIL; Consul's documentation of prepared query templates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf, isfinite, nan
from operator import attrgetter, eq, ge, gt, le, lt, ne
from typing import Any, NamedTuple

from txconsul.errors import InvalidRequest
from txconsul.language.template_numbers import BadNumber, read, show_float
from txconsul.language.template_syntax import (
    BadTemplate,
    Call,
    Choice,
    Literal,
    Node,
    Operation,
    Output,
    Position,
    Subscript,
    Variable,
    parse,
)

__all__ = ["BadEvaluation", "BadTemplate", "Scope", "Template"]


class BadEvaluation(InvalidRequest):
    """The template means nothing: it names what is not there, or a value does not fit."""


class Scope(NamedTuple):
    """
    What a template is filled in with.

    @ivar full: the name that was asked for; C{prefix}: the query's; C{suffix}: the rest.
    @ivar segment: the network segment of the agent that was asked.
    @ivar matches: the whole match of the regular expression, and its groups; empty where it did not match.
    """

    full: str = ""
    prefix: str = ""
    suffix: str = ""
    segment: str = ""
    matches: Sequence[str] = ()


_Evaluate = Callable[[Scope], Any]

_VARIABLES: dict[str, _Evaluate] = {
    "name.full": attrgetter("full"),
    "name.prefix": attrgetter("prefix"),
    "name.suffix": attrgetter("suffix"),
    "agent.segment": attrgetter("segment"),
}
_FUNCTION = "match"


class Template:
    """
    A compiled template.

    @raise BadTemplate: the text is none.
    """

    def __init__(self, text: str) -> None:
        self._tree = parse(text)
        self._evaluate: _Evaluate | None = None
        #: A template without anything to fill in is its own text.
        self._fixed = str(self._tree.value) if isinstance(self._tree, Literal) else None

    def render(self, scope: Scope) -> str:
        """
        Fill the template in.

        @raise BadEvaluation: it names what is not there, or a value does not fit.
        """
        if self._fixed is not None:
            return self._fixed
        if self._evaluate is None:
            _check_names(self._tree)
            self._evaluate = _compile(self._tree).evaluate
        return str(self._evaluate(scope))


# ---- names ----


def _check_names(node: Node) -> None:
    for inner in _children(node):
        _check_names(inner)
    if isinstance(node, Variable) and node.name not in _VARIABLES:
        raise BadEvaluation(f"{node.position}: unknown variable accessed: {node.name}")
    if isinstance(node, Call):
        if node.name != _FUNCTION:
            raise BadEvaluation(f"{node.position}: unknown function called: {node.name}")
        if len(node.arguments) != 1:
            raise BadEvaluation(f"{node.position}: {node.name}: expected 1 arguments, got {len(node.arguments)}")


def _children(node: Node) -> tuple[Node, ...]:
    if isinstance(node, Operation):
        return node.left, node.right
    if isinstance(node, Choice):
        return node.condition, node.yes, node.no
    if isinstance(node, Subscript):
        return node.target, node.key
    if isinstance(node, Output):
        return node.parts
    return node.arguments if isinstance(node, Call) else ()


# ---- types ----

_NAMES: dict[type, str] = {str: "TypeString", int: "TypeInt", float: "TypeFloat", bool: "TypeBool"}
_PRINTED: dict[type, str] = {str: "type string", int: "type int", float: "type float", bool: "type bool"}


class _Typed(NamedTuple):
    """An expression with the type that it will have."""

    type: type
    evaluate: _Evaluate


def _bad(position: Position, what: str) -> BadEvaluation:
    return BadEvaluation(f"at column {position.column}, line {position.line}: {what}")


def _converted(given: _Typed, wanted: type) -> _Typed | None:
    """The expression as another type; None where HIL has no such conversion."""
    if given.type is wanted:
        return given
    convert = _CONVERSIONS.get((given.type, wanted))
    if convert is None:
        return None
    inner = given.evaluate
    return _Typed(wanted, lambda scope: convert(inner(scope)))


def _reading(name: str, wanted: type) -> Callable[[str], Any]:
    def convert(text: str) -> Any:
        try:
            return read(wanted, text)
        except BadNumber as error:
            raise BadEvaluation(f"__builtin_{name}: {error}") from None

    return convert


def _whole(value: float) -> int:
    """The whole part; what does not fit is the lowest number, as on the usual processors."""
    return int(value) if isfinite(value) and -_INT_END <= value < _INT_END else -_INT_END


_INT_END = 2**63
_CONVERSIONS: dict[tuple[type, type], Callable[[Any], Any]] = {
    (float, int): _whole,
    (float, str): show_float,
    (int, float): float,
    (int, str): str,
    (str, int): _reading("StringToInt", int),
    (str, float): _reading("StringToFloat", float),
    (str, bool): _reading("StringToBool", bool),
    (bool, str): lambda value: "true" if value else "false",
}


def _compile(node: Node) -> _Typed:
    """@raise BadEvaluation: a value does not fit."""
    if isinstance(node, Literal):
        value = node.value
        return _Typed(type(value), lambda scope: value)
    if isinstance(node, Variable):
        return _Typed(str, _VARIABLES[node.name])
    if isinstance(node, Subscript):
        _compile(node.key)
        raise _bad(node.position, "invalid index operation into non-indexable type: TypeString")
    if isinstance(node, Call):
        return _call(node)
    if isinstance(node, Choice):
        return _choice(node)
    if isinstance(node, Operation):
        return _operation(node)
    parts = [_converted(_compile(part), str) for part in node.parts]  # all types become text
    evaluates = [part.evaluate for part in parts if part is not None]
    return _Typed(str, lambda scope: "".join([evaluate(scope) for evaluate in evaluates]))


def _call(node: Call) -> _Typed:
    given = _compile(node.arguments[0])
    number = _converted(given, int)
    if number is None:
        raise _bad(node.position, f"{node.name}: argument 1 should be type int, got {_PRINTED[given.type]}")
    evaluate = number.evaluate

    def match(scope: Scope) -> str:
        place = evaluate(scope)
        return scope.matches[place] if 0 <= place < len(scope.matches) else ""

    return _Typed(str, match)


def _choice(node: Choice) -> _Typed:
    given, yes, no = _compile(node.condition), _compile(node.yes), _compile(node.no)
    condition = _converted(given, bool)
    if condition is None:
        raise _bad(node.position, f"condition must be type bool, not {_PRINTED[given.type]}")
    # text gives way to the other side's type, otherwise the first side decides
    wanted = no.type if yes.type is str else yes.type
    first, second = _converted(yes, wanted), _converted(no, wanted)
    if first is None or second is None:
        both = f"{_PRINTED[yes.type]} and {_PRINTED[no.type]}"
        raise _bad(node.position, f"true and false expression types must match; have {both}")
    test, left, right = condition.evaluate, first.evaluate, second.evaluate

    def choose(scope: Scope) -> Any:
        chosen, one, other = test(scope), left(scope), right(scope)  # both are evaluated, and may fail
        return one if chosen else other

    return _Typed(wanted, choose)


def _operation(node: Operation) -> _Typed:
    sides = (_compile(node.left), _compile(node.right))
    if node.operator in ("&&", "||"):
        operands = []
        for side in sides:
            operand = _converted(side, bool)
            if operand is None:
                raise _bad(node.position, f"logical operators require boolean operands, not {_NAMES[side.type]}")
            operands.append(operand)
        return _applied(bool, _LOGICAL[node.operator], operands)
    has_float = float in (sides[0].type, sides[1].type)
    if node.operator in ("==", "!="):
        return _applied(bool, _COMPARED[node.operator], _operands(node, sides, sides[0].type))
    wanted: type = float if has_float else int
    operands = _operands(node, sides, wanted)
    if node.operator in _COMPARED:
        return _applied(bool, _COMPARED[node.operator], operands)
    if has_float and node.operator == "%":
        raise _bad(node.position, "modulo cannot be used with floats")
    return _applied(wanted, (_FRACTIONS if has_float else _WHOLES)[node.operator], operands)


def _operands(node: Operation, sides: tuple[_Typed, _Typed], wanted: type) -> list[_Typed]:
    found = []
    for number, side in enumerate(sides, 1):
        operand = _converted(side, wanted)
        if operand is None:
            raise _bad(node.position, f"operand {number} should be {_NAMES[wanted]}, got {_NAMES[side.type]}")
        found.append(operand)
    return found


def _applied(result: type, apply: Callable[[Any, Any], Any], operands: list[_Typed]) -> _Typed:
    left, right = operands[0].evaluate, operands[1].evaluate
    return _Typed(result, lambda scope: apply(left(scope), right(scope)))


# ---- arithmetic ----


def _wrapped(value: int) -> int:
    """The number in 64 bits."""
    return (value + _INT_END) % (2 * _INT_END) - _INT_END


def _divided(left: int, right: int) -> tuple[int, int]:
    """Quotient and rest; the quotient is rounded towards zero."""
    if right == 0:
        raise BadEvaluation("__builtin_IntMath: divide by zero")
    quotient = abs(left) // abs(right)
    if (left < 0) is not (right < 0):
        quotient = -quotient
    return quotient, left - quotient * right


def _fraction(left: float, right: float) -> float:
    if right:
        return left / right
    if left != left or not left:
        return nan
    return inf if (left > 0) is (str(right)[0] != "-") else -inf


_LOGICAL: dict[str, Callable[[Any, Any], Any]] = {"&&": lambda a, b: a and b, "||": lambda a, b: a or b}
_COMPARED: dict[str, Callable[[Any, Any], Any]] = {"==": eq, "!=": ne, "<": lt, "<=": le, ">": gt, ">=": ge}
_WHOLES: dict[str, Callable[[int, int], int]] = {
    "+": lambda a, b: _wrapped(a + b),
    "-": lambda a, b: _wrapped(a - b),
    "*": lambda a, b: _wrapped(a * b),
    "/": lambda a, b: _wrapped(_divided(a, b)[0]),
    "%": lambda a, b: _divided(a, b)[1],
}
_FRACTIONS: dict[str, Callable[[float, float], float]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": _fraction,
}
