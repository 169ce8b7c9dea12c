"""
Go's regular expressions, read into a tree.

The syntax is RE2's: no back references and no look-around, so that a text can be matched in time proportional to its
length. L{txconsul.language.goregexp} says whether there is a match, L{txconsul.language.goregexp_groups} what its
groups hold.

Departures: of Unicode's classes only general categories (C{\\p{L}}, C{\\pN}, C{\\p{Any}}) are known, not scripts.
Patterns may nest C{DEPTH_MAX} groups instead of a thousand.

Source: RE2's syntax page and the documentation of Go's regexp/syntax.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import NamedTuple
from unicodedata import category

from txconsul.errors import TxconsulError

__all__ = [
    "DEPTH_MAX",
    "REPEAT_MAX",
    "Alternate",
    "Anchor",
    "BadRegexp",
    "Chars",
    "Concat",
    "Group",
    "Node",
    "Repeat",
    "parse",
]

#: Groups within groups: each costs Python several frames.
DEPTH_MAX = 60
#: How often something may be repeated by number, nested repetitions multiplied: RE2's limit.
REPEAT_MAX = 1000


class BadRegexp(TxconsulError):
    """The pattern is none of Go's. The text is Go's, and names the part that is wrong."""

    def __init__(self, what: str, part: str) -> None:
        super().__init__(f"error parsing regexp: {what}: `{part}`")


class Members(NamedTuple):
    """
    A part of a set: characters of some ranges (first and last, inclusive) or of a general category, or all others.

    @ivar category: the beginning of its name; empty for none.
    """

    ranges: tuple[tuple[str, str], ...] = ()
    category: str = ""
    negated: bool = False

    def has(self, letter: str) -> bool:
        """Is the character one of these, before negation?"""
        if self.category and category(letter).startswith(self.category):
            return True
        return any(low <= letter <= high for low, high in self.ranges)


class Chars(NamedTuple):
    """
    One character of a set.

    @ivar fold: upper and lower case are the same. As in Go, what is negated is so after that.
    """

    members: tuple[Members, ...]
    negated: bool = False
    fold: bool = False

    def has(self, letter: str) -> bool:
        """Is the character one of the set?"""
        letters = _cases(letter) if self.fold else (letter,)
        within = any(any(map(one.has, letters)) is not one.negated for one in self.members)
        return within is not self.negated


class Anchor(NamedTuple):
    """A place: C{^} and C{$} (text), C{<} and C{>} (line), C{b} and C{B} (word)."""

    kind: str


class Concat(NamedTuple):
    """One after the other; of nothing, the empty text."""

    parts: tuple[Node, ...]


class Alternate(NamedTuple):
    """One or another."""

    parts: tuple[Node, ...]


class Repeat(NamedTuple):
    """
    C{most} is -1 where there is no bound; C{counted} says whether it was written as numbers.

    @ivar lazy: rather fewer times than more.
    """

    part: Node
    least: int
    most: int
    counted: bool
    lazy: bool = False


class Group(NamedTuple):
    """What its part matches is kept under a number, from 1 on."""

    part: Node
    number: int


Node = Chars | Anchor | Concat | Alternate | Repeat | Group

#: Letters that are another's upper or lower case though neither C{str.upper} nor C{str.lower} of it says so.
_MORE_CASES = {"k": "\u212a", "s": "\u017f", "\u00e5": "\u212b", "\u03c9": "\u2126", "\u03bc": "\u00b5"}
_DIGIT = (("0", "9"),)
_UPPER, _LOWER = (("A", "Z"),), (("a", "z"),)
_WORD = (*_DIGIT, *_UPPER, ("_", "_"), *_LOWER)
#: C{\d}, C{\s} and C{\w}.
_PERL = {"d": _DIGIT, "s": (("\t", "\n"), ("\f", "\r"), (" ", " ")), "w": _WORD}
_POSIX = {
    "alnum": (*_DIGIT, *_UPPER, *_LOWER),
    "alpha": (*_UPPER, *_LOWER),
    "ascii": (("\0", "\x7f"),),
    "blank": (("\t", "\t"), (" ", " ")),
    "cntrl": (("\0", "\x1f"), ("\x7f", "\x7f")),
    "digit": _DIGIT,
    "graph": (("!", "~"),),
    "lower": _LOWER,
    "print": ((" ", "~"),),
    "punct": (("!", "/"), (":", "@"), ("[", "`"), ("{", "~")),
    "space": (("\t", "\r"), (" ", " ")),
    "upper": _UPPER,
    "word": _WORD,
    "xdigit": (*_DIGIT, ("A", "F"), ("a", "f")),
}
_ESCAPES = {"a": "\a", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
#: The general categories of Unicode, and the letters that begin their names.
_CATEGORIES = frozenset(category(chr(code)) for code in range(0x3000)) | {*"CLMNPSZ", "Cs", "Co"}
_COUNT = re.compile(r"\{([0-9]+)(?:(,)([0-9]*))?\}")
_NAMED = re.compile(r"\(\?P?<([0-9A-Za-z_]+)>")
_UNICODE = re.compile(r"\\([pP])(?:\{(\^?)([^}]*)\}|([^{]))")
_POSIX_CLASS = re.compile(r"\[:(\^?)([a-z]+):\]")
_HEX = re.compile(r"\\x(?:\{([0-9A-Fa-f]+)\}|([0-9A-Fa-f]{2}))")
_OCTAL = re.compile(r"\\(?:0[0-7]{0,2}|[1-7][0-7]{1,2})")
_FLAGS = "imsU"


class _Flags(NamedTuple):
    fold: bool = False
    lines: bool = False
    dot_all: bool = False
    swap_greed: bool = False


def parse(pattern: str) -> Node:
    """
    The tree of a pattern.

    @raise BadRegexp: Go would not compile it, or it uses what is not known here.
    """
    return _Parser(pattern).parse()


def _cases(letter: str) -> Collection[str]:
    """The letter in upper, lower and title case."""
    low = letter.casefold()
    found = {letter, letter.lower(), letter.upper(), letter.title(), low, low.upper(), _MORE_CASES.get(low, letter)}
    return {one for one in found if len(one) == 1}


def _product(node: Node) -> int:
    """How often the most repeated part of a tree is, as far as numbers say."""
    if isinstance(node, Repeat):
        times = (node.least if node.most < 0 else node.most) if node.counted else 1
        return times * _product(node.part)
    if isinstance(node, Group):
        return _product(node.part)
    if isinstance(node, (Concat, Alternate)):
        return max((_product(one) for one in node.parts), default=1)
    return 1


#: A byte that is no UTF-8, as texts of ours carry it.
_NO_UTF8 = re.compile("[\udc80-\udcff]")


class _Parser:
    def __init__(self, pattern: str) -> None:
        self.text = pattern
        self.at = 0
        self.depth = 0
        self.groups = 0
        self.flags = _Flags()

    def parse(self) -> Node:
        stray = _NO_UTF8.search(self.text)
        if stray is not None:
            raise self._bad("invalid UTF-8", stray.start())
        node = self._alternatives()
        if self.at < len(self.text):
            raise self._bad("unexpected )", 0)
        return node

    def _bad(self, what: str, start: int, end: int | None = None) -> BadRegexp:
        return BadRegexp(what, self.text[start:end])

    # ---- structure ----

    def _alternatives(self) -> Node:
        parts = [self._sequence()]
        while self.text.startswith("|", self.at):
            self.at += 1
            parts.append(self._sequence())
        return Alternate(tuple(parts)) if parts[1:] else parts[0]

    def _sequence(self) -> Node:
        parts: list[Node] = []
        repeated = -1  # where the repetition began that was read last, if nothing has followed it
        while self.at < len(self.text) and self.text[self.at] not in "|)":
            at = self.at
            bounds = self._bounds()
            if bounds is None:
                repeated = -1
                self._atom(parts)
                continue
            lazy = self.flags.swap_greed
            if self.text.startswith("?", self.at):
                self.at += 1
                lazy = not lazy
            if repeated >= 0:
                raise self._bad("invalid nested repetition operator", repeated, self.at)
            if not parts:
                raise self._bad("missing argument to repetition operator", at, self.at)
            least, most, counted = bounds
            node = Repeat(parts.pop(), least, most, counted, lazy)
            if counted and max(least, most) > 1 and _product(node) > REPEAT_MAX:
                raise self._bad("invalid repeat count", at, self.at)
            parts.append(node)
            repeated = at
        return parts[0] if len(parts) == 1 else Concat(tuple(parts))

    def _bounds(self) -> tuple[int, int, bool] | None:
        """A repetition, if one is written here."""
        sign = self.text[self.at]
        if sign in "*+?":
            self.at += 1
            return {"*": (0, -1, False), "+": (1, -1, False), "?": (0, 1, False)}[sign]
        found = _COUNT.match(self.text, self.at) if sign == "{" else None
        if found is None:
            return None
        start, self.at = self.at, found.end()
        digits = found[1], found[3] or "0"
        if any(len(one) > 1 and one[0] == "0" for one in digits):
            self.at = start  # Go reads it as plain text
            return None
        if any(len(one) > 4 for one in digits):
            raise self._bad("invalid repeat count", start, self.at)
        least = int(found[1])
        most = least if found[2] is None else int(found[3]) if found[3] else -1
        if max(least, most) > REPEAT_MAX or 0 <= most < least:
            raise self._bad("invalid repeat count", start, self.at)
        return least, most, True

    def _atom(self, parts: list[Node]) -> None:
        """The next thing, added to C{parts}."""
        sign = self.text[self.at]
        if sign == "(":
            self._group(parts)
        elif sign == "[":
            parts.append(self._class())
        elif sign == "\\":
            self._escape(parts)
        else:
            self.at += 1
            parts.append(self._plain(sign))

    def _plain(self, sign: str) -> Node:
        if sign == ".":
            return Chars(() if self.flags.dot_all else (Members((("\n", "\n"),)),), negated=True)
        if sign == "^":
            return Anchor("<" if self.flags.lines else "^")
        if sign == "$":
            return Anchor(">" if self.flags.lines else "$")
        return self._letter(sign)

    def _letter(self, letter: str) -> Chars:
        return Chars((Members(((letter, letter),)),), fold=self.flags.fold)

    def _group(self, parts: list[Node]) -> None:
        start, outer, number = self.at, self.flags, 0
        if self.text.startswith("(?", start):
            named = next((sign for sign in ("(?P<", "(?<") if self.text.startswith(sign, start)), "")
            if named and len(self.text) > start + len(named):
                self._name(start)
                number = self._next_number()
            elif not self._read_flags(start):
                return  # flags for the rest of the group that we are in
        else:
            self.at += 1
            number = self._next_number()
        self.depth += 1
        if self.depth > DEPTH_MAX:
            raise self._bad("expression nests too deeply", 0)
        inner = self._alternatives()
        parts.append(Group(inner, number) if number else inner)
        self.depth -= 1
        if self.at >= len(self.text):
            raise self._bad("missing closing )", 0)
        self.at += 1
        self.flags = outer

    def _next_number(self) -> int:
        self.groups += 1
        return self.groups

    def _name(self, start: int) -> None:
        end = self.text.find(">", start) + 1
        if not end:
            raise self._bad("invalid named capture", start)
        found = _NAMED.match(self.text, start)
        if found is None:
            raise self._bad("invalid named capture", start, end)
        self.at = end

    def _read_flags(self, start: int) -> bool:
        """
        Flags, and a colon or parenthesis behind them.

        @return: whether a group follows, which they are for.
        """
        on = {"i": self.flags.fold, "m": self.flags.lines, "s": self.flags.dot_all, "U": self.flags.swap_greed}
        sign, fresh = True, False
        for at in range(start + 2, len(self.text)):
            letter = self.text[at]
            if letter in _FLAGS:
                on[letter] = sign
                fresh = True
            elif letter == "-" and sign:
                sign, fresh = False, False
            elif letter in ":)" and (sign or fresh):
                self.at = at + 1
                self.flags = _Flags(on["i"], on["m"], on["s"], on["U"])
                return letter == ":"
            else:
                raise self._bad("invalid or unsupported Perl syntax", start, at + 1)
        raise self._bad("invalid or unsupported Perl syntax", start)

    # ---- escapes ----

    def _escape(self, parts: list[Node]) -> None:
        letter = self.text[self.at + 1 : self.at + 2]
        if letter in ("A", "b", "B", "z"):
            self.at += 2
            parts.append(Anchor({"A": "^", "z": "$"}.get(letter, letter)))
        elif letter == "Q":
            end = self.text.find("\\E", self.at)
            quoted = self.text[self.at + 2 : end if end >= 0 else None]
            self.at = end + 2 if end >= 0 else len(self.text)
            parts += [self._letter(one) for one in quoted]
        else:
            named = self._named_class()
            parts.append(self._letter(self._one_letter()) if named is None else Chars((named,), fold=self.flags.fold))

    def _named_class(self) -> Members | None:
        r"""A class that an escape names: C{\d}, C{\pL}."""
        letter = self.text[self.at + 1 : self.at + 2]
        if letter and letter in "dswDSW":
            self.at += 2
            return Members(_PERL[letter.lower()], negated=letter.isupper())
        if not letter or letter not in "pP":
            return None
        start = self.at
        found = _UNICODE.match(self.text, start)
        if found is None:
            raise self._bad("invalid character class range", start)
        self.at = found.end()
        negated = (found[1] == "P") is not (found[2] == "^")
        name = found[4] or found[3]
        if name == "Any":
            return Members(negated=not negated)
        if name not in _CATEGORIES:
            raise self._bad("invalid character class range", start, self.at)
        return Members((), name, negated)

    def _one_letter(self) -> str:
        """The character that an escape stands for."""
        start = self.at
        letter = self.text[start + 1 : start + 2]
        if not letter:
            raise BadRegexp("trailing backslash at end of expression", "")
        if found := _OCTAL.match(self.text, start):
            self.at = found.end()
            return chr(int(found[0][1:], 8))
        if found := _HEX.match(self.text, start):
            self.at = found.end()
            digits = (found[1] or found[2]).lstrip("0") or "0"
            if len(digits) > 6 or int(digits, 16) > 0x10FFFF:
                raise self._bad("invalid escape sequence", start, self.at)
            return chr(int(digits, 16))
        self.at += 2
        if letter in _ESCAPES:
            return _ESCAPES[letter]
        if letter < "\x80" and not letter.isalnum():
            return letter
        raise self._bad("invalid escape sequence", start, self.at)

    # ---- classes ----

    def _class(self) -> Chars:
        start = self.at
        self.at += 1
        negated = self.text.startswith("^", self.at)
        self.at += negated
        members: list[Members] = []
        first = True
        while first or not self.text.startswith("]", self.at):
            if self.at >= len(self.text):
                raise self._bad("missing closing ]", start)
            named = self._posix() or (self._named_class() if self.text[self.at] == "\\" else None)
            members.append(Members((self._range(start),)) if named is None else named)
            first = False
        self.at += 1
        return Chars(tuple(members), negated, self.flags.fold)

    def _posix(self) -> Members | None:
        if not self.text.startswith("[:", self.at):
            return None
        end = self.text.find(":]", self.at + 2)
        if end < 0:
            return None
        found = _POSIX_CLASS.match(self.text, self.at)
        if found is None or found[2] not in _POSIX:
            raise self._bad("invalid character class range", self.at, end + 2)
        self.at = found.end()
        return Members(_POSIX[found[2]], negated=bool(found[1]))

    def _range(self, start: int) -> tuple[str, str]:
        """One character, or two with a dash between them."""
        at = self.at
        low = high = self._member(start)
        if self.text.startswith("-", self.at) and self.text[self.at + 1 : self.at + 2] not in ("", "]"):
            self.at += 1
            high = self._member(start)
            if high < low:
                raise self._bad("invalid character class range", at, self.at)
        return low, high

    def _member(self, start: int) -> str:
        if self.at >= len(self.text):
            raise self._bad("missing closing ]", start)
        letter = self.text[self.at]
        if letter == "\\":
            return self._one_letter()
        self.at += 1
        return letter
