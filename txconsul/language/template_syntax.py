"""
Templates of prepared queries, read into a tree: text with C{${...}} in it.

The language is HashiCorp's HIL: names, calls of functions, numbers, quoted text (which may hold C{${...}} again),
arithmetic, comparisons, C{&&}, C{||}, C{!} and C{a ? b : c}. C{$$} is a dollar sign, so that C{$${} begins nothing.

Departure: expressions may nest C{DEPTH_MAX} times, which in HIL has no bound.

Source: the documentation of HIL's syntax; Consul's documentation of prepared query templates.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from unicodedata import category

from txconsul.codec.goquote import quote
from txconsul.errors import InvalidRequest

__all__ = [
    "DEPTH_MAX",
    "BadTemplate",
    "Call",
    "Choice",
    "Literal",
    "Node",
    "Operation",
    "Output",
    "Position",
    "Subscript",
    "Variable",
    "parse",
]

#: Expressions within expressions: each costs Python about ten frames.
DEPTH_MAX = 40
_INT_MAX = 2**63 - 1


class BadTemplate(InvalidRequest):
    """The text is no template; the error says where it ceases to be one."""


class Position(NamedTuple):
    """Where something stands, from 1 on; columns count characters."""

    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.line}:{self.column}"


class Literal(NamedTuple):
    """A value: C{str}, C{int}, C{float} or C{bool}."""

    value: str | int | float | bool
    position: Position


class Variable(NamedTuple):
    """A name for a value."""

    name: str
    position: Position


class Subscript(NamedTuple):
    """C{name[key]}. No variable of ours has parts, so that this is always refused, but not by the syntax."""

    target: Variable
    key: Node
    position: Position


class Call(NamedTuple):
    """A function with its arguments."""

    name: str
    arguments: tuple[Node, ...]
    position: Position


class Operation(NamedTuple):
    """Two operands. C{-x} is C{0 - x}, and C{!x} is C{false == x}."""

    operator: str
    left: Node
    right: Node
    position: Position


class Choice(NamedTuple):
    """C{condition ? yes : no}."""

    condition: Node
    yes: Node
    no: Node
    position: Position


class Output(NamedTuple):
    """Parts, one after the other."""

    parts: tuple[Node, ...]
    position: Position


Node = Literal | Variable | Subscript | Call | Operation | Choice | Output


def parse(text: str) -> Node:
    """
    The tree of a template.

    @raise BadTemplate: it is none.
    """
    return _Parser(text).whole()


# ---- tokens ----


class _Token(NamedTuple):
    """
    @ivar kind: a sign of the language, or C{text}, C{string}, C{integer}, C{float}, C{bool}, C{name}, C{invalid},
        C{open quote}, C{close quote} or C{end} (of the whole).
    """

    kind: str
    content: str
    position: Position

    def __str__(self) -> str:
        if self.kind == "end":
            return "end of string"
        if self.kind == "invalid":
            return f"invalid sequence {quote(self.content)}"
        if self.kind in ("integer", "float"):
            return f"{self.kind} {self.content}"
        if self.kind in ("text", "string"):
            return f"{'literal' if self.kind == 'text' else 'string'} {quote(self.content)}"
        if self.kind in ("open quote", "close quote"):
            return "opening quote" if self.kind == "open quote" else "closing quote"
        return self.content if self.content in _PLAIN_SIGNS else quote(self.content)


#: Signs that errors show without quotes.
_PLAIN_SIGNS = frozenset({"&&", "||", "!=", ">=", "<="})
_SIGN = re.compile(r"!=|<=|>=|==|&&|\|\||[()\[\],.+\-*/%?:}!<>]")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+|\.\Z)?")
_BLANK = re.compile(r"[ \t\r\n]*")
#: Text up to what ends it; inside quotes, a backslash shields a quote or another backslash.
_TEXT = re.compile(r"(?:\$\$|\$(?!\{)|[^$])*", re.DOTALL)
_STRING = re.compile(r"""(?:\$\$|\$(?!\{)|\\["\\]|[^$"])*""", re.DOTALL)


def _is_name_letter(letter: str, first: bool) -> bool:
    kind = category(letter)[0]
    return letter == "_" or kind == "L" or (not first and (letter in "-." or kind in "NM"))


class _Scanner:
    """The tokens of a text, one by one. What is text and what is not depends on how deep in C{${...}} it stands."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1
        self._line_start = 0
        self._nesting = 0
        self._in_text = True
        self._ended = False

    def next(self) -> _Token:
        """The next token; after the last, the end again and again."""
        if self._ended or (self._at == len(self._text) and not (self._in_text and self._nesting)):
            return self._token("end", 0)
        return self._outside() if self._in_text else self._inside()

    def _token(self, kind: str, length: int) -> _Token:
        position = Position(self._line, self._at - self._line_start + 1)
        content = self._text[self._at : self._at + length]
        self._at += length
        breaks = content.count("\n")
        if breaks:
            self._line += breaks
            self._line_start = self._at - len(content) + content.rindex("\n") + 1
        if kind == "invalid":
            self._ended = True  # whatever follows would only be more of the same
        return _Token(kind, content, position)

    def _outside(self) -> _Token:
        """Text, or what ends it."""
        text, at, quoted = self._text, self._at, self._nesting > 0
        found = (_STRING if quoted else _TEXT).match(text, at)
        end = at if found is None else found.end()
        if quoted and end == len(text):
            return self._token("invalid", end - at)
        if end > at:
            return self._token("string" if quoted else "text", end - at)
        self._in_text = False
        if text[at] == '"':
            return self._token("close quote", 1)
        self._nesting += 1
        return self._token("${", 2)

    def _inside(self) -> _Token:
        """What stands in C{${...}}."""
        found = _BLANK.match(self._text, self._at)
        if found is not None:
            self._token("", found.end() - self._at)
        if self._at == len(self._text):
            return self._token("end", 0)
        letter = self._text[self._at]
        if letter == '"':
            self._in_text = True
            return self._token("open quote", 1)
        if letter == "}":
            self._in_text = True
            self._nesting = max(self._nesting - 1, 0)
            return self._token("}", 1)
        if found := _SIGN.match(self._text, self._at):
            return self._token(found[0], len(found[0]))
        if found := _NUMBER.match(self._text, self._at):
            return self._token("float" if "." in found[0] else "integer", len(found[0]))
        if _is_name_letter(letter, True):
            return self._name()
        return self._token("invalid", 1)

    def _name(self) -> _Token:
        text, end = self._text, self._at
        while end < len(text):
            # a star may stand for a part of a name: C{a.*.b}
            star = text[end] == "*" and text[end - 1] == "." and text[end + 1 : end + 2] in (".", "")
            if not star and not _is_name_letter(text[end], False):
                break
            end += 1
        return self._token("bool" if text[self._at : end] in ("true", "false") else "name", end - self._at)


# ---- structure ----

#: Binary operators, by rising precedence.
_LEVELS = (
    frozenset({"||"}),
    frozenset({"&&"}),
    frozenset({"==", "!="}),
    frozenset({">", ">=", "<", "<="}),
    frozenset({"+", "-"}),
    frozenset({"*", "/", "%"}),
)
_ESCAPES = {"\\": "\\", "n": "\n", '"': '"'}
_DOLLARS_OR_BACKSLASH = re.compile(r"\$\$|\\(.?)", re.DOTALL)


class _Parser:
    def __init__(self, text: str) -> None:
        self._scanner = _Scanner(text)
        self._ahead = self._scanner.next()
        self._depth = 0

    def whole(self) -> Node:
        return self._sequence("text", "end", self._ahead.position)

    def _take(self) -> _Token:
        taken, self._ahead = self._ahead, self._scanner.next()
        return taken

    def _bad(self, position: Position, what: str) -> BadTemplate:
        return BadTemplate(f"parse error at {position}: {what}")

    def _expected(self, what: str, found: _Token) -> BadTemplate:
        return self._bad(found.position, f"expected {what} but found {found}")

    def _require(self, kind: str) -> None:
        token = self._take()
        if token.kind != kind:
            raise self._expected(quote(kind), token)

    def _sequence(self, literal: str, end: str, position: Position) -> Node:
        """Text with expressions in it."""
        parts: list[Node] = []
        while True:
            token = self._take()
            if token.kind == end:
                break
            if token.kind == literal:
                parts.append(Literal(self._unescaped(token), token.position))
            elif token.kind == "${":
                parts.append(self._expression())
                self._require("}")
            else:
                raise self._expected('"${"', token)
        if not parts:
            return Literal("", position)
        first = parts[0]
        if len(parts) == 1 and isinstance(first, Literal) and isinstance(first.value, str):
            return first
        return Output(tuple(parts), position)

    def _unescaped(self, token: _Token) -> str:
        """What text stands for."""
        if token.kind == "text":
            return token.content.replace("$$", "$")

        def shown(found: re.Match[str]) -> str:
            if found[0] == "$$":
                return "$"
            letter = _ESCAPES.get(found[1])
            if letter is None:
                what = "invalid" if found[1] else "unfinished"
                line, column = token.position
                raise self._bad(Position(line, column + found.start()), f"{what} backslash escape sequence")
            return letter

        return _DOLLARS_OR_BACKSLASH.sub(shown, token.content)

    def _expression(self) -> Node:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise self._bad(self._ahead.position, "expression nests too deeply")
        position = self._ahead.position
        node = self._binary(0)
        if self._ahead.kind == "?":
            self._take()
            yes = self._expression()
            colon = self._take()
            if colon.kind != ":":
                raise self._expected(":", colon)
            node = Choice(node, yes, self._expression(), position)
        self._depth -= 1
        return node

    def _binary(self, level: int) -> Node:
        if level == len(_LEVELS):
            return self._term()
        position = self._ahead.position
        node = self._binary(level + 1)
        count = self._depth
        while self._ahead.kind in _LEVELS[level]:
            self._depth += 1  # a chain nests to the left
            if self._depth > DEPTH_MAX:
                raise self._bad(self._ahead.position, "expression nests too deeply")
            operator = self._take().kind
            node = Operation(operator, node, self._binary(level + 1), position)
        self._depth = count
        return node

    def _term(self) -> Node:
        token = self._ahead
        if token.kind == "(":
            self._take()
            node = self._expression()
            self._require(")")
            return node
        if token.kind == "open quote":
            self._take()
            return self._sequence("string", "close quote", token.position)
        if token.kind in ("integer", "float", "bool"):
            return Literal(self._value(self._take()), token.position)
        if token.kind in ("-", "!"):
            self._take()
            self._depth += 1
            if self._depth > DEPTH_MAX:
                raise self._bad(token.position, "expression nests too deeply")
            operand = self._term()
            self._depth -= 1
            start = Literal(0, token.position) if token.kind == "-" else Literal(False, token.position)
            return Operation("-" if token.kind == "-" else "==", start, operand, token.position)
        if token.kind == "name":
            return self._named()
        raise self._expected("expression", token)

    def _value(self, token: _Token) -> int | float | bool:
        if token.kind == "bool":
            return token.content == "true"
        if token.kind == "float":
            return float(token.content)
        digits = token.content.lstrip("0") or "0"
        if len(digits) > 19 or int(digits) > _INT_MAX:
            why = f"strconv.Atoi: parsing {quote(token.content)}: value out of range"
            raise self._bad(token.position, f"invalid integer: {why}")
        return int(digits)

    def _named(self) -> Node:
        """A variable, a part of one, or a call."""
        token = self._take()
        if self._ahead.kind == "(":
            self._take()
            arguments: list[Node] = []
            while self._ahead.kind != ")":
                arguments.append(self._expression())
                if self._ahead.kind != ",":
                    break
                self._take()
            self._require(")")
            return Call(token.content, tuple(arguments), token.position)
        variable = Variable(token.content, token.position)
        if self._ahead.kind != "[":
            return variable
        position = self._take().position
        key = self._expression()
        self._require("]")
        return Subscript(variable, key, position)
