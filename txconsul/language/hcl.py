"""
HCL 1, the language of Consul's configuration files and ACL rules.

A text is read into plain values: dict, list, str, int, float and bool. Every object is a list of dicts, because a
block may be repeated: C{check { ttl = "1m" }} is C{{"check": [{"ttl": "1m"}]}}, and a second C{check} block adds a
second dict. A label is a dict around the body, so C{key "a" { policy = "read" }} is
C{{"key": [{"a": [{"policy": "read"}]}]}}; L{labelled} walks those. Only the elements of a list are bare dicts.
A text whose first character is an opening brace is JSON, read to the same shape.

Source: the HCL 1 syntax specification (github.com/hashicorp/hcl).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from txconsul.language.goflags import go_int, quoted
from txconsul.language.hclscanner import HCLError, ScanError, Scanner, Token

__all__ = ["DEPTH_MAX", "TEXT_CHARACTERS_MAX", "HCLError", "labelled", "parse"]

#: Objects and lists in each other: deeper than any configuration, shallow enough for the call stack.
DEPTH_MAX = 64
#: Ten thousand services are about 1 MiB; more would keep the agent busy for long, and is hardly meant.
TEXT_CHARACTERS_MAX = 4 * 1024 * 1024


@dataclass(frozen=True)
class _Item:
    """One C{key label = value}; the value is an L{_Body}, a list or a token."""

    keys: tuple[str, ...]
    value: Any
    line: int
    column: int


@dataclass(frozen=True)
class _Body:
    """What stands between braces."""

    items: list[_Item]
    line: int
    column: int


@dataclass(frozen=True)
class _List:
    elements: list[Any]
    line: int
    column: int


def parse(text: str, characters_max: int = TEXT_CHARACTERS_MAX) -> dict[str, Any]:
    """
    Read a text. Takes about 4 us a word.

    @return: the values by key; see the module for their shape.
    @raise HCLError: the message begins with C{At LINE:COLUMN:} where the place is known.
    """
    if len(text) > characters_max:
        raise HCLError(f"the text has more than {characters_max} characters")
    if text.lstrip()[:1] == "{":
        return _from_json(text)
    reader = _Reader(Scanner(text.replace("\r\n", "\n")))
    return _as_dict({}, reader.items(inside=False), "root")


def labelled(value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """
    The labels and bodies of blocks such as C{key "a" { ... }}, in their order.

    @param value: what L{parse} gave for the key.
    @raise HCLError: a block has no label, or no body.
    """
    blocks = value if isinstance(value, list) else [value]
    for block in blocks:
        if not isinstance(block, dict):
            raise HCLError("expected a block with a label")
        for label, bodies in block.items():
            if not isinstance(bodies, list):
                raise HCLError(f"expected a block with a label, found {label!r}")
            for body in bodies:
                if not isinstance(body, dict):
                    raise HCLError(f"the block {label!r} has no body")
                yield label, body


class _Blocks(list[Any]):
    """A list that came of blocks: it takes further blocks, but no other values."""


class _Ended(Exception):
    """The text ended where an item, or its value, should be."""


class _Reader:
    """Tokens to items."""

    def __init__(self, scanner: Scanner) -> None:
        self._scanner = scanner
        self._depth = 0

    def items(self, inside: bool) -> list[_Item]:
        """Up to the end, or up to the closing brace, which is left there."""
        found: list[_Item] = []
        while True:
            if inside:
                kind = self._scanner.scan().kind
                self._scanner.unscan()
                if kind == "RBRACE":
                    return found
            try:
                found.append(self._item())
            except _Ended:
                return found
            if self._scanner.scan().kind != "COMMA":
                self._scanner.unscan()

    def _item(self) -> _Item:
        keys, first = self._keys()
        token = self._scanner.token
        if token.kind == "ASSIGN":
            value = self._value(self._scanner.scan())
        elif token.kind == "LBRACE":
            value = self._body(token)
        else:
            names = " ".join(key.text for key in keys)
            raise _error(token, f"key '{names}' expected start of object ('{{') or assignment ('=')")
        return _Item(tuple(_key_text(key) for key in keys), value, first.line, first.column)

    def _keys(self) -> tuple[list[Token], Token]:
        keys: list[Token] = []
        while True:
            token = self._scanner.scan()
            if token.kind in ("IDENT", "STRING"):
                keys.append(token)
            elif token.kind == "ASSIGN":
                if len(keys) > 1:
                    raise _error(token, "nested object expected: LBRACE got: ASSIGN")
                if not keys:
                    raise _error(token, "no object keys found!")
                return keys, keys[0]
            elif token.kind == "LBRACE":
                if not keys:
                    raise _error(token, "expected: IDENT | STRING got: LBRACE")
                return keys, keys[0]
            elif token.kind == "EOF" and not keys:
                raise _Ended
            elif keys and token.kind in ("EOF", "RBRACE"):
                return keys, keys[0]
            else:
                raise _error(token, f"expected: IDENT | STRING | ASSIGN | LBRACE got: {token.kind}")

    def _value(self, token: Token) -> Any:
        if token.kind in ("NUMBER", "FLOAT", "BOOL", "STRING", "HEREDOC"):
            return token
        if token.kind == "LBRACE":
            return self._body(token)
        if token.kind == "LBRACK":
            return self._list(token)
        if token.kind == "EOF":
            raise _Ended
        raise _error(token, f"Unknown token: {token.line}:{token.column} {token.kind} {token.text}")

    def _body(self, opening: Token) -> _Body:
        self._enter(opening)
        items = self.items(inside=True)
        token = self._scanner.scan()
        if token.kind != "RBRACE":
            raise _error(token, f"object expected closing RBRACE got: {token.kind}")
        self._depth -= 1
        return _Body(items, opening.line, opening.column)

    def _list(self, opening: Token) -> _List:
        self._enter(opening)
        elements: list[Any] = []
        comma_needed = False
        while True:
            token = self._scanner.scan()
            if comma_needed and token.kind not in ("COMMA", "RBRACK"):
                raise _error(token, f"error parsing list, expected comma or list end, got: {token.kind}")
            if token.kind == "RBRACK":
                self._depth -= 1
                return _List(elements, opening.line, opening.column)
            if token.kind == "COMMA":
                comma_needed = False
                continue
            if token.kind == "LBRACE":
                elements.append(self._inner(token, self._body, "object within list"))
            elif token.kind == "LBRACK":
                elements.append(self._inner(token, self._list, "list within list"))
            elif token.kind in ("NUMBER", "FLOAT", "BOOL", "STRING", "HEREDOC"):
                elements.append(token)
            else:
                raise _error(token, f"unexpected token while parsing list: {token.kind}")
            # Two lists in a list may follow each other without a comma.
            comma_needed = token.kind != "LBRACK"

    def _inner(self, token: Token, read: Any, what: str) -> Any:
        try:
            return read(token)
        except ScanError:
            raise
        except HCLError as error:
            raise _error(token, f"error while trying to parse {what}: {error}") from None

    def _enter(self, opening: Token) -> None:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise _error(opening, f"more than {DEPTH_MAX} objects and lists in each other")


def _error(place: Any, message: str) -> HCLError:
    return HCLError(message, place.line, place.column)


# ---- items to values ----


def _as_dict(into: dict[str, Any], items: list[_Item], where: str) -> dict[str, Any]:
    """Add items to a dict, repeated keys to the values that are there."""
    done = set()
    blocks_of: dict[str, list[_Item]] = {}
    for item in items:
        if not item.keys:
            raise _error(item, f"{where}: map must have string keys")
        key = item.keys[0]
        if key in done:
            continue
        name = f"{where}.{key}"
        if len(item.keys) == 1:
            into[key] = _merged(into.get(key), item.value, name)
            continue
        # All blocks of this key are taken together, however their first word is capitalized.
        done.add(key)
        blocks = into.get(key, [])
        if not isinstance(blocks, list):
            raise _error(item, f"{name}: unknown type *ast.ObjectList")
        blocks = _Blocks(blocks)
        if not blocks_of:
            for other in items:
                if other.keys:
                    blocks_of.setdefault(other.keys[0].casefold(), []).append(other)
        for other in blocks_of[key.casefold()]:
            inner = _Item(other.keys[1:], other.value, other.line, other.column)
            blocks.append(_as_dict({}, [inner], f"{name}[{len(blocks)}]"))
        into[key] = blocks
    return into


def _merged(old: Any, node: Any, name: str) -> Any:
    """The value of a key that had C{old} (None: nothing) before."""
    if isinstance(node, Token):
        value = _literal(node, name)
        if old is None or type(old) is type(value):
            return value
        return _in_place_of(old, node, value, name)
    if isinstance(node, _Body):
        added: list[Any] = _Blocks([_as_dict({}, node.items, f"{name}[0]")])
    else:
        added = _elements(node, name)
    if old is None:
        return added
    if not isinstance(old, list):
        raise _error(node, f"{name}: unknown type {'*ast.ObjectType' if isinstance(node, _Body) else '*ast.ListType'}")
    if isinstance(old, _Blocks):
        for index, element in enumerate(node.elements if isinstance(node, _List) else []):
            if not isinstance(element, _Body):
                kind = "ListType" if isinstance(element, _List) else "LiteralType"
                raise _error(element, f"{name}[{index}]: not an object type for map (*ast.{kind})")
    # The list was made here and nobody else has it.
    old.extend(added)
    return old


def _in_place_of(old: Any, node: Token, value: Any, name: str) -> Any:
    """A repeated key whose later value is of another type: it is read as the type of the first one."""
    if isinstance(old, str) and node.kind == "NUMBER":
        return node.text
    if isinstance(old, float) and node.kind == "NUMBER":
        return float(value)
    if isinstance(old, int) and not isinstance(old, bool) and node.kind == "STRING":
        try:
            return go_int(value)
        except (ValueError, OverflowError):
            raise HCLError(f"strconv.ParseInt: parsing {quoted(value)}: invalid syntax") from None
    kind = " for string" if isinstance(old, str) else ""
    what = "unknown slice type: " if isinstance(old, list) else f"{name}: unknown type{kind} "
    raise _error(node, f"{what}*ast.LiteralType")


def _elements(node: _List, name: str) -> list[Any]:
    found: list[Any] = []
    for index, element in enumerate(node.elements):
        inner = f"{name}[{index}]"
        if isinstance(element, _Body):
            found.append(_as_dict({}, element.items, inner))
        elif isinstance(element, _List):
            found.append(_elements(element, inner))
        else:
            found.append(_literal(element, inner))
    return found


def _literal(token: Token, name: str) -> Any:
    if token.kind == "STRING":
        return _unquoted(token)
    if token.kind == "HEREDOC":
        return _heredoc(token.text)
    if token.kind == "BOOL":
        return token.text == "true"
    if token.kind == "NUMBER":
        try:
            return go_int(token.text)
        except (ValueError, OverflowError) as error:
            why = "value out of range" if isinstance(error, OverflowError) else "invalid syntax"
            raise _error(token, f"strconv.ParseInt: parsing {quoted(token.text)}: {why}") from None
    try:
        value = float(token.text)
    except ValueError:
        raise _error(token, f"strconv.ParseFloat: parsing {quoted(token.text)}: invalid syntax") from None
    if value in (float("inf"), float("-inf")):
        raise _error(token, f"strconv.ParseFloat: parsing {quoted(token.text)}: value out of range")
    return value


def _key_text(token: Token) -> str:
    return _unquoted(token) if token.kind == "STRING" else token.text


_ESCAPED = re.compile(r'\\([abfnrtv\\"]|[0-7]{3}|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})')
_SIMPLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", '"': '"'}


def _unquoted(token: Token) -> str:
    """A string's content. What stands in C{${...}} is left as it is written."""
    body = token.text[1:-1]
    if "\\" not in body:
        return body
    parts, at = [], 0
    while at < len(body):
        opening = body.find("${", at)
        plain = body[at:] if opening < 0 else body[at:opening]
        parts.append(_ESCAPED.sub(lambda found: _unescaped(found[1], token), plain))
        if opening < 0:
            break
        at, braces = opening + 2, 1
        while at < len(body) and braces:
            braces += {"{": 1, "}": -1}.get(body[at], 0)
            at += 1
        parts.append(body[opening:at])
    return "".join(parts)


def _unescaped(escape: str, token: Token) -> str:
    if escape in _SIMPLE:
        return _SIMPLE[escape]
    code = int(escape[1:], 16) if escape[0] in "xuU" else int(escape, 8)
    if code > 0x10FFFF or 0xD800 <= code < 0xE000 or (escape[0] in "01234567" and code > 0xFF):
        raise _error(token, f"unquote {token.text} err: invalid syntax")
    return chr(code)


def _heredoc(text: str) -> str:
    """The lines between the anchors. C{<<-} takes the closing anchor's indentation from every line that has it."""
    head, _, rest = text.partition("\n")
    lines = rest.rstrip("\r\n").split("\n")
    anchor = head[2:].lstrip("-")
    indent = lines[-1][: lines[-1].rindex(anchor)]
    lines[-1] = indent
    if head[2] != "-":
        return "\n".join(lines)
    if all(line.startswith(indent) for line in lines):
        return "\n".join([*(line[len(indent) :] for line in lines[:-1]), ""])
    return "\n".join(lines).rstrip(" \t")


# ---- JSON ----


def _from_json(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise HCLError(error.msg, error.lineno, error.colno) from None
    except (RecursionError, ValueError) as error:
        raise HCLError(f"invalid JSON: {error}") from None
    return _json_dict(value, 1)


def _json_dict(value: dict[str, Any], depth: int) -> dict[str, Any]:
    if depth > DEPTH_MAX:
        raise HCLError(f"more than {DEPTH_MAX} objects and lists in each other")
    found: dict[str, Any] = {}
    for key, inner in value.items():
        if inner is None:
            found[key] = ""
        elif isinstance(inner, dict):
            found[key] = [_json_dict(inner, depth + 1)]
        elif isinstance(inner, list):
            found[key] = [_json_element(element, depth + 1) for element in inner]
        else:
            found[key] = inner
    return found


def _json_element(value: Any, depth: int) -> Any:
    if isinstance(value, dict):
        return _json_dict(value, depth + 1)
    if isinstance(value, list):
        if depth > DEPTH_MAX:
            raise HCLError(f"more than {DEPTH_MAX} objects and lists in each other")
        return [_json_element(element, depth + 1) for element in value]
    return "" if value is None else value
