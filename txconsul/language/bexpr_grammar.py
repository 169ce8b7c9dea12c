"""
The grammar of C{?filter=} expressions: text to tree.

A parsing expression grammar, read with one method a rule. What a client sees of a mistake (the furthest place that
was reached and everything that could have stood there) depends on which alternatives are tried, so each rule tries
those of go-bexpr, in its order. Two things differ in how, not in what: chains of C{and}, C{or} and C{not} are loops,
and the rule that can be tried twice at one place is kept, since go-bexpr takes time that doubles with each parenthesis.

Source: the grammar of hashicorp/go-bexpr 0.1.2, which Consul 1.21 uses, and Consul's page on filtering.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple, TypeVar

from txconsul.codec.goquote import quote, unquote
from txconsul.errors import InvalidRequest

__all__ = [
    "DEPTH_MAX",
    "And",
    "BadExpression",
    "Expression",
    "Match",
    "Not",
    "Operator",
    "Or",
    "parse",
]

#: How deep parentheses may nest: each costs Python several frames. go-bexpr has no such limit, but takes minutes long
#: before this.
DEPTH_MAX = 50

T = TypeVar("T")


class BadExpression(InvalidRequest):
    """The expression cannot be used: its text is none, or it does not suit what it filters."""


class Operator(Enum):
    """What a match asks of a field; the value is the name that errors tell."""

    EQUAL = "Equal"
    NOT_EQUAL = "Not Equal"
    IN = "In"
    NOT_IN = "Not In"
    IS_EMPTY = "Is Empty"
    IS_NOT_EMPTY = "Is Not Empty"
    MATCHES = "Matches"
    NOT_MATCHES = "Not Matches"


class Match(NamedTuple):
    """One question; C{value} is the text that it was written as, None where the operator takes none."""

    selector: tuple[str, ...]
    operator: Operator
    value: str | None


class And(NamedTuple):
    """All of several."""

    parts: tuple[Expression, ...]


class Or(NamedTuple):
    """One of several."""

    parts: tuple[Expression, ...]


class Not(NamedTuple):
    """The contrary."""

    part: Expression


Expression = Match | And | Or | Not


def parse(text: str) -> Expression:
    """
    The tree of an expression.

    @raise BadExpression: the text is none; the error tells line, column and (in brackets) bytes before the place.
    """
    return _Parser(text).parse()


class _Class(NamedTuple):
    """A class of characters, as errors show it."""

    shown: str
    has: Callable[[str], bool]


def _among(characters: str) -> Callable[[str], bool]:
    return frozenset(characters).__contains__


_DIGITS = "0123456789"
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_SPACE = _Class(r"[ \t\r\n]", _among(" \t\r\n"))
_LETTER = _Class("[a-zA-Z]", _among(_LETTERS))
_WORD = _Class("[a-zA-Z0-9_]", _among(_LETTERS + _DIGITS + "_"))
_DIGIT = _Class("[0-9]", _among(_DIGITS))
_FIRST_DIGIT = _Class("[1-9]", _among("123456789"))
_ANY = _Class(".", lambda _: True)

#: The operators between a selector and a value, the words of each, in the order in which they are tried.
_WORDED = (
    (Operator.IN, ("contains",)),
    (Operator.NOT_IN, ("not", "contains")),
    (Operator.MATCHES, ("matches",)),
    (Operator.NOT_MATCHES, ("not", "matches")),
)
_EMPTINESS = ((Operator.IS_EMPTY, ("is", "empty")), (Operator.IS_NOT_EMPTY, ("is", "not", "empty")))
_MEMBERSHIP = ((Operator.IN, ("in",)), (Operator.NOT_IN, ("not", "in")))


class _Parser:
    """
    Rules return what they found, or None with C{at} back where they began.

    @ivar inverted: within an odd number of look-aheads that want a failure: what succeeds is then what was not
        expected.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.depth = 0
        self.inverted = False
        self.furthest = 0
        self.expected: set[str] = set()
        self.errors: dict[str, None] = {}
        self.kept: dict[int, tuple[Expression | None, int]] = {}

    def parse(self) -> Expression:
        """The whole text."""
        try:
            self.text.encode()
        except UnicodeEncodeError as error:
            raise BadExpression(f"{self._place(error.start)}: invalid encoding") from None
        found = self._input()
        if self.errors:
            raise BadExpression("\n".join(self.errors))
        if found is None:
            raise BadExpression(f"{self._place(self.furthest)}: no match found, expected: {self._wanted()}")
        return found

    # ---- what went wrong ----

    def _place(self, at: int) -> str:
        """Line, column and bytes; a line's end counts as column 0 of the next line."""
        line = self.text.count("\n", 0, at + 1) + 1
        column = at - self.text.rfind("\n", 0, at + 1)
        offset = len(self.text[:at].encode("utf-8", "surrogateescape"))
        return f"{line}:{column} ({offset})"

    def _wanted(self) -> str:
        words = sorted(self.expected - {"!."})
        if "!." in self.expected:
            words.append("EOF")
        return " or ".join([*([", ".join(words[:-1])] if words[1:] else []), *words[-1:]])

    def _note(self, matched: bool, at: int, wanted: str) -> None:
        if matched is not self.inverted or at < self.furthest:
            return
        if at > self.furthest:
            self.furthest = at
            self.expected.clear()
        self.expected.add("!" + wanted if self.inverted else wanted)

    def _complain(self, rule: str, text: str, at: int) -> None:
        """An error that the grammar itself names. The rest is read all the same; it may add others."""
        self.errors[f'{self._place(at)}: rule "{rule}": {text}'] = None

    # ---- single characters and words ----

    def _literal(self, word: str) -> bool:
        at = self.at
        matched = self.text.startswith(word, at)
        if matched:
            self.at = at + len(word)
        self._note(matched, at, quote(word))
        return matched

    def _one(self, kind: _Class) -> bool:
        at = self.at
        matched = at < len(self.text) and kind.has(self.text[at])
        if matched:
            self.at = at + 1
        self._note(matched, at, kind.shown)
        return matched

    def _many(self, kind: _Class) -> bool:
        """One or more; the one that is no more was wanted, too."""
        if not self._one(kind):
            return False
        while self._one(kind):
            pass
        return True

    def _space(self) -> bool:
        return self._many(_SPACE)

    def _end(self) -> bool:
        return self._without(lambda: self._one(_ANY))

    def _without(self, rule: Callable[[], object]) -> bool:
        """Look ahead: true where C{rule} finds nothing."""
        at = self.at
        self.inverted = not self.inverted
        found = rule()
        self.inverted = not self.inverted
        self.at = at
        return not found

    def _words(self, words: tuple[str, ...]) -> bool:
        """Words with space before each."""
        at = self.at
        for word in words:
            if not (self._space() and self._literal(word)):
                self.at = at
                return False
        return True

    def _spaced(self, words: tuple[str, ...]) -> bool:
        """Words with space before each and behind the last."""
        at = self.at
        if self._words(words) and self._space():
            return True
        self.at = at
        return False

    # ---- expressions ----

    def _input(self) -> Expression | None:
        self._space()
        if self._literal("("):
            self._space()
            found = self._or()
            if found is not None and self._closed() and self._finished():
                return found
        self.at = 0
        self._space()
        found = self._or()
        return found if found is not None and self._finished() else None

    def _closed(self) -> bool:
        self._space()
        return self._literal(")")

    def _finished(self) -> bool:
        self._space()
        return self._end()

    def _or(self) -> Expression | None:
        at = self.at
        if at not in self.kept:
            self.depth += 1
            if self.depth > DEPTH_MAX:
                raise BadExpression(f"{self._place(at)}: expression nests deeper than {DEPTH_MAX} parentheses")
            parts = self._chain(lambda: self._chain(self._not, "and", And), "or", Or)
            self.depth -= 1
            self.kept[at] = parts, self.at
        found, self.at = self.kept[at]
        return found

    def _chain(
        self, rule: Callable[[], Expression | None], word: str, kind: Callable[[tuple[Expression, ...]], Expression]
    ) -> Expression | None:
        """One or several with a word between them. What follows a word and is none is left, and so is the word."""
        found = rule()
        if found is None:
            return None
        parts = [found]
        while True:
            at = self.at
            following = rule() if self._spaced((word,)) else None
            if following is None:
                self.at = at
                return kind(tuple(parts)) if parts[1:] else found
            parts.append(following)

    def _not(self) -> Expression | None:
        """Where nothing follows a C{not}, it may be the name of a field."""
        places = [self.at]
        while True:
            if not (self._literal("not") and self._space()):
                break
            places.append(self.at)
        while places:
            self.at = places.pop()
            found = self._group()
            if found is not None:
                return Not(found) if len(places) % 2 else found
        return None

    def _group(self) -> Expression | None:
        at = self.at
        if self._literal("("):
            self._space()
            found = self._or()
            if found is not None and self._closed():
                return found
        self.at = at
        match = self._match()
        if match is not None:
            return match
        if self._literal("("):
            self._space()
            if self._or() is not None:
                self._space()
                if self._without(lambda: self._literal(")")):
                    self._complain("grouping", "Unmatched parentheses", self.at)
        self.at = at
        return None

    # ---- matches ----

    def _match(self) -> Match | None:
        at = self.at
        for rule in (self._selector_value, self._selector_alone, self._value_selector):
            found = rule()
            if found is not None:
                return found
            self.at = at
        return None

    def _selector_value(self) -> Match | None:
        selector = self._selector()
        operator = None if selector is None else self._comparison() or self._operator(_WORDED, self._spaced)
        value = None if operator is None else self._value()
        return None if selector is None or operator is None or value is None else Match(selector, operator, value)

    def _selector_alone(self) -> Match | None:
        selector = self._selector()
        operator = None if selector is None else self._operator(_EMPTINESS, self._words)
        return None if selector is None or operator is None else Match(selector, operator, None)

    def _value_selector(self) -> Match | None:
        at = self.at
        value = self._value()
        operator = None if value is None else self._operator(_MEMBERSHIP, self._spaced)
        selector = None if operator is None else self._selector()
        if operator is not None and selector is not None:
            return Match(selector, operator, value)
        self.at = at
        if self._value() is not None and self._operator(_MEMBERSHIP, self._spaced) and self._without(self._selector):
            self._complain("match", "Invalid selector", self.at)
        return None

    def _comparison(self) -> Operator | None:
        at = self.at
        for operator, sign in ((Operator.EQUAL, "=="), (Operator.NOT_EQUAL, "!=")):
            self._space()
            if self._literal(sign):
                self._space()
                return operator
            self.at = at
        return None

    def _operator(
        self, among: tuple[tuple[Operator, tuple[str, ...]], ...], written: Callable[[tuple[str, ...]], bool]
    ) -> Operator | None:
        return next((operator for operator, words in among if written(words)), None)

    # ---- selectors and values ----

    def _selector(self) -> tuple[str, ...] | None:
        name = self._identifier()
        if name is None:
            return None
        path = [name]
        while (part := self._dotted() or self._index()) is not None:
            path.append(part)
        return tuple(path)

    def _identifier(self) -> str | None:
        at = self.at
        if not self._one(_LETTER):
            return None
        self._many(_WORD)
        return self.text[at : self.at]

    def _dotted(self) -> str | None:
        at = self.at
        if self._literal("."):
            name = self._identifier()
            if name is not None:
                return name
        self.at = at
        return None

    def _index(self) -> str | None:
        at = self.at
        if self._literal("["):
            self._space()
            text = self._string()
            if text is not None:
                self._space()
                if self._literal("]"):
                    return text
        self.at = at
        if self._literal("["):
            self._space()
            if self._without(self._quoted):
                self._complain("index", "Invalid index", self.at)
            elif self._quoted():
                self._space()
                if self._without(lambda: self._literal("]")):
                    self._complain("index", "Unclosed index expression", self.at)
        self.at = at
        return None

    def _value(self) -> str | None:
        selector = self._selector()
        if selector is not None:
            return ".".join(selector)
        number = self._number()
        return self._string() if number is None else number

    def _number(self) -> str | None:
        at = self.at
        if self._digits():
            found = self.text[at : self.at]
            if self._after_number():
                return found
        self.at = at
        if self._digits() and self._without(self._after_number):
            self._complain("number", "Invalid number literal", self.at)
        self.at = at
        return None

    def _digits(self) -> bool:
        self._literal("-")
        if not self._literal("0"):
            if not self._one(_FIRST_DIGIT):
                return False
            self._many(_DIGIT)
        at = self.at
        if not (self._literal(".") and self._many(_DIGIT)):
            self.at = at
        return True

    def _after_number(self) -> bool:
        """Look ahead: space, the end or a parenthesis."""
        at = self.at
        found = self._space() or self._end() or self._literal(")")
        self.at = at
        return found

    def _string(self) -> str | None:
        at = self.at
        if not self._quoted():
            return None
        found = unquote(self.text[at : self.at])
        if found is None:
            self._complain("string", "invalid syntax", at)
            return ""
        return found

    def _quoted(self) -> bool:
        """A text in quotes, back quotes or double ones."""
        at = self.at
        for closing in "`", '"':
            if self._open(closing) and self._literal(closing):
                return True
            self.at = at
        if (self._open("`") or self._open('"')) and self._end():
            self._complain("string", "Unterminated string literal", self.at)
        self.at = at
        return False

    def _open(self, sign: str) -> bool:
        """A quote, and all up to the next one or the end."""
        if not self._literal(sign):
            return False
        while self._without(lambda: self._literal(sign)) and self._one(_ANY):
            pass
        return True
