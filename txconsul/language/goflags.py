"""
Command line flags as Go programs read them.

C{-name value}, C{-name=value} and the same with two dashes; a boolean takes its value only behind C{=}. Reading
stops at the first argument that is no flag, and behind C{--}. The words of the errors and of the list of flags are
those that users of Consul's command line know.

Flags are declared in a table, and one call reads the arguments::

    FLAGS = (Flag("stale", BOOL, "Allow any server to answer."), Flag("wait", DURATION, "How long to wait."))
    parsed = parse(FLAGS, ["-stale", "-wait=5s", "key"])
    parsed["stale"], parsed["wait"], parsed.rest     # True, 5000000000, ["key"]

Source: the documentation of Go's package flag.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from txconsul.codec.duration import BadDuration, format_duration, parse_duration
from txconsul.errors import TxconsulError

__all__ = [
    "BOOL",
    "DURATION",
    "FLOAT",
    "INT",
    "KEY_VALUES",
    "LIST",
    "OPTIONAL_BOOL",
    "OPTIONAL_DURATION",
    "OPTIONAL_INT",
    "OPTIONAL_STRING",
    "OPTIONAL_UINT",
    "PAIRS",
    "STRING",
    "UINT",
    "Flag",
    "FlagError",
    "HelpWanted",
    "Kind",
    "Parsed",
    "defaults_text",
    "go_bool",
    "go_float",
    "go_int",
    "parse",
    "quoted",
]


class FlagError(TxconsulError):
    """The arguments cannot be understood; C{str(error)} is what Go says."""


class HelpWanted(TxconsulError):
    """The arguments ask for the list of flags, and no flag of the table is called so."""

    text = "flag: help requested"


class BadValue(ValueError):
    """A flag's text is no value of its kind; the message ends the error that the user sees."""


#: What Go's strconv.ParseBool takes.
_TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_FALSE = frozenset(("0", "f", "F", "FALSE", "false", "False"))
#: An integer in Go's base 0: a prefix chooses the base, single underscores may part the digits.
_INTEGER = re.compile(r"[-+]?(0[xX](_?[0-9a-fA-F])+|0[bB](_?[01])+|0[oO]?(_?[0-7])+|[1-9](_?[0-9])*|0)")
_DECIMAL = re.compile(r"[-+]?[0-9]+")
#: More digits than any 64-bit number has in any base; Python's own conversion of long texts is quadratic.
_DIGITS_MAX = 200
_DIGITS = r"[0-9](?:_?[0-9])*"
_FLOAT = re.compile(
    rf"[-+]?(?:(?:{_DIGITS}\.?(?:{_DIGITS})?|\.{_DIGITS})(?:[eE][-+]?[0-9]+)?|inf|infinity|nan)", re.IGNORECASE
)
_HEXADECIMAL_FLOAT = re.compile(r"[-+]?0[xX][0-9a-fA-F]*\.?[0-9a-fA-F]*[pP][-+]?[0-9]+")


def go_bool(text: str) -> bool:
    """
    A truth value as Go's strconv.ParseBool reads it.

    @raise ValueError: it is none.
    """
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError(text)


def go_int(text: str) -> int:
    """
    An integer as Go's strconv.ParseInt reads it with base 0.

    @raise ValueError: it is none.
    @raise OverflowError: it needs more than 64 bits.
    """
    value = _base_zero(text)
    if not -(2**63) <= value < 2**63:
        raise OverflowError(text)
    return value


def _base_zero(text: str) -> int:
    if not _INTEGER.fullmatch(text) or len(text) > _DIGITS_MAX:
        raise ValueError(text)
    sign, body = (text[0], text[1:]) if text[0] in "+-" else ("", text)
    body = body.replace("_", "")
    if len(body) > 1 and body[0] == "0" and body[1].isdigit():
        body = "0o" + body[1:]
    return int(sign + body, 0)


def _standard(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """A reader with the texts of Go's own flag types, which do not say what was wrong."""

    def value(text: str) -> Any:
        try:
            return read(text)
        except OverflowError:
            raise BadValue("value out of range") from None
        except ValueError:
            raise BadValue("parse error") from None

    return value


def _strconv(function: str, read: Callable[[str], Any]) -> Callable[[str], Any]:
    """A reader with the texts of Go's strconv, which Consul's own flag types pass on."""

    def value(text: str) -> Any:
        try:
            return read(text)
        except BadDuration as error:
            raise BadValue(str(error)) from None
        except (ValueError, OverflowError) as error:
            why = "value out of range" if isinstance(error, OverflowError) else "invalid syntax"
            raise BadValue(f"strconv.{function}: parsing {quoted(text)}: {why}") from None

    return value


def _decimal(text: str) -> int:
    if not _DECIMAL.fullmatch(text) or len(text) > _DIGITS_MAX:
        raise ValueError(text)
    value = int(text)
    if not -(2**63) <= value < 2**63:
        raise OverflowError(text)
    return value


def _unsigned(text: str) -> int:
    if text[:1] in ("-", "+"):
        raise ValueError(text)
    value = _base_zero(text)
    if value >= 2**64:
        raise OverflowError(text)
    return value


def go_float(text: str) -> float:
    """
    A fraction as Go's strconv.ParseFloat reads it.

    @raise ValueError: it is none.
    @raise OverflowError: it is too large.
    """
    if len(text) > _DIGITS_MAX:
        raise ValueError(text)
    if _HEXADECIMAL_FLOAT.fullmatch(text):
        return float.fromhex(text)
    if not _FLOAT.fullmatch(text):
        raise ValueError(text)
    value = float(text)
    if math.isinf(value) and "n" not in text.lower():
        raise OverflowError(text)
    return value


def quoted(text: str) -> str:
    """
    A text as Go's C{%q} writes it.

    >>> quoted('a"b')
    '"a\\\\"b"'
    """
    shown = []
    for char in text:
        if char in '"\\':
            shown.append("\\" + char)
        elif char in _ESCAPES:
            shown.append(_ESCAPES[char])
        elif char.isprintable():
            shown.append(char)
        else:
            code = ord(char)
            if code < 0x20 or code == 0x7F:
                shown.append(f"\\x{code:02x}")
            else:
                shown.append(f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
    return '"' + "".join(shown) + '"'


_ESCAPES = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}


@dataclass(frozen=True)
class Kind:
    """
    What a flag's value is.

    @ivar read: text to value; it raises L{ValueError} with the words that end the error.
    @ivar word: what stands for the value in the list of flags.
    @ivar zero: the default where the flag declares none. It is not shown.
    @ivar boolean: the flag needs no value.
    @ivar gather: None where the last value counts, or a function of the value so far and the new one. The value
        so far must not be changed: a default may be shared.
    """

    read: Callable[[str], Any]
    word: str
    zero: Any = None
    boolean: bool = False
    gather: Callable[[Any, Any], Any] | None = None

    def show(self, value: Any) -> str:
        """A default as the list of flags writes it."""
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, str):
            return quoted(value) if self.word == "string" else value
        if self.word == "duration":
            return format_duration(value)
        if isinstance(value, list):
            return ",".join(map(str, value))
        return str(value)


def _key_value(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise BadValue(f'Missing "=" value in argument: {text}')
    return key, value


def _pair(text: str) -> tuple[str, str]:
    key, _, value = text.partition(":")
    return key, value


BOOL = Kind(_standard(go_bool), "", zero=False, boolean=True)
STRING = Kind(str, "string", zero="")
INT = Kind(_standard(go_int), "int", zero=0)
UINT = Kind(_standard(_unsigned), "uint", zero=0)
FLOAT = Kind(_standard(go_float), "float", zero=0.0)
#: Nanoseconds.
DURATION = Kind(_standard(parse_duration), "duration", zero=0)
#: May be given several times: a list.
LIST = Kind(str, "value", zero=[], gather=lambda old, new: [*old, new])
#: C{key:value}, may be given several times: a dict.
PAIRS = Kind(_pair, "value", zero={}, gather=lambda old, new: {**old, new[0]: new[1]})
#: C{key=value}, likewise.
KEY_VALUES = Kind(_key_value, "value", zero={}, gather=lambda old, new: {**old, new[0]: new[1]})
#: Consul's flags that know whether they were given: None when not.
OPTIONAL_BOOL = Kind(_strconv("ParseBool", go_bool), "", boolean=True)
OPTIONAL_STRING = Kind(str, "value")
OPTIONAL_INT = Kind(_strconv("Atoi", _decimal), "value")
OPTIONAL_UINT = Kind(_strconv("ParseUint", _unsigned), "value")
OPTIONAL_DURATION = Kind(_strconv("ParseDuration", parse_duration), "value")


@dataclass(frozen=True)
class Flag:
    """
    One flag.

    @ivar name: without dashes.
    @ivar usage: what the list of flags says. A word in back quotes stands for the value there.
    @ivar default: its value when it is not given; None means the kind's own.
    @ivar into: the key of the value in L{Parsed}, where it is not the flag's name. Several flags may share one.
    @ivar hidden: not in the list of flags.
    """

    name: str
    kind: Kind
    usage: str
    default: Any = None
    into: str = ""
    hidden: bool = False

    @property
    def key(self) -> str:
        return self.into or self.name

    @property
    def initial(self) -> Any:
        return self.kind.zero if self.default is None else self.default


@dataclass
class Parsed:
    """
    What the arguments said.

    @ivar values: by key, defaults included.
    @ivar given: the keys of flags that were there.
    @ivar rest: the arguments behind the flags.
    """

    values: dict[str, Any]
    given: set[str] = field(default_factory=set)
    rest: list[str] = field(default_factory=list)

    def __getitem__(self, key: str) -> Any:
        return self.values[key]


def parse(flags: Iterable[Flag], arguments: Sequence[str]) -> Parsed:
    """
    Read the flags at the head of C{arguments}.

    @raise FlagError: an unknown flag, a missing value, or a value of the wrong kind.
    @raise HelpWanted: C{-h} or C{-help}, where no flag is called so.
    """
    known: dict[str, Flag] = {}
    values: dict[str, Any] = {}
    for flag in flags:
        if flag.name in known:
            raise ValueError(f"flag redefined: {flag.name}")
        known[flag.name] = flag
        values.setdefault(flag.key, flag.initial)
    parsed = Parsed(values)
    at = 0
    while at < len(arguments):
        word = arguments[at]
        if len(word) < 2 or word[0] != "-":
            break
        at += 1
        if word == "--":
            break
        name, equals, text = word[2 if word[1] == "-" else 1 :].partition("=")
        if not name or name[0] == "-":
            raise FlagError(f"bad flag syntax: {word}")
        found = known.get(name)
        if found is None:
            if name in ("h", "help"):
                raise HelpWanted
            raise FlagError(f"flag provided but not defined: -{name}")
        if not equals:
            if found.kind.boolean:
                text = "true"
            elif at < len(arguments):
                text = arguments[at]
                at += 1
            else:
                raise FlagError(f"flag needs an argument: -{name}")
        _set(parsed, found, text)
    parsed.rest = list(arguments[at:])
    return parsed


def _set(parsed: Parsed, flag: Flag, text: str) -> None:
    try:
        value = flag.kind.read(text)
    except ValueError as error:
        noun = "invalid boolean value" if flag.kind.boolean else "invalid value"
        link = "for" if flag.kind.boolean else "for flag"
        raise FlagError(f"{noun} {quoted(text)} {link} -{flag.name}: {error}") from None
    if flag.kind.gather is not None:
        value = flag.kind.gather(parsed.values[flag.key], value)
    parsed.values[flag.key] = value
    parsed.given.add(flag.key)


def unquoted(flag: Flag) -> tuple[str, str]:
    """
    The word for a flag's value and its usage without the back quotes around that word.

    >>> unquoted(Flag("node", STRING, "The `name` of a node."))
    ('name', 'The name of a node.')
    """
    before, quote, behind = flag.usage.partition("`")
    word, closing, after = behind.partition("`")
    if quote and closing:
        return word, before + word + after
    return flag.kind.word, flag.usage


def defaults_text(flags: Iterable[Flag], title: str = "Usage:") -> str:
    """The list of flags as Go's PrintDefaults writes it, behind C{title}; every line ends with a newline."""
    lines = [title + "\n"] if title else []
    for flag in sorted(flags, key=lambda one: one.name):
        if flag.hidden:
            continue
        word, usage = unquoted(flag)
        head = f"  -{flag.name}" + (f" {word}" if word else "")
        # Go sets a short head and its usage on one line, with a tab between them.
        line = head + ("\t" if len(head) <= 4 else "\n    \t") + usage.replace("\n", "\n    \t")
        if flag.default is not None and flag.default != flag.kind.zero:
            line += f" (default {flag.kind.show(flag.default)})"
        lines.append(line + "\n")
    return "".join(lines)
