"""
What a filter may ask of a record: its fields by name, and the operators that each understands.

Read from the records' declarations, so that a field which is declared can be asked for, except for indexes, for what
has no fixed shape, and for those in L{HIDDEN}.

Source: Consul's page on filtering, which lists operators by kind of value and the fields of each endpoint.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

from txconsul.codec.fields import Field, Kind, Shape, fields_of
from txconsul.codec.goquote import quote
from txconsul.language.bexpr_grammar import Operator
from txconsul.records.agent import AgentService
from txconsul.records.base import Record
from txconsul.records.catalog import Node, ServiceNode
from txconsul.records.health import HealthCheck
from txconsul.records.service import ConnectProxyConfig, EnvoyExtension, NodeService, ServiceConnect, Upstream

__all__ = ["HIDDEN", "NotOfKind", "Selectable", "selectable_fields"]

#: Fields that no filter sees, by the record that has them, or whose kind it is: what is internal, or not yet settled.
HIDDEN: Mapping[type[Record], frozenset[str]] = {
    Node: frozenset({"locality"}),
    ServiceNode: frozenset({"service_locality"}),
    AgentService: frozenset({"content_hash", "datacenter", "locality"}),
    NodeService: frozenset({"locality", "locally_registered_as_sidecar"}),
    ServiceConnect: frozenset({"sidecar_service", "peer_meta"}),
    HealthCheck: frozenset({"definition"}),
    ConnectProxyConfig: frozenset({"config", "mutual_tls_mode"}),
    Upstream: frozenset({"config", "ingress_hosts", "centrally_configured"}),
    EnvoyExtension: frozenset({"arguments"}),
}
_INDEXES = frozenset({"create_index", "modify_index"})

_EQUALITY = frozenset({Operator.EQUAL, Operator.NOT_EQUAL})
_MEMBERSHIP = frozenset({Operator.IN, Operator.NOT_IN})
_PATTERN = frozenset({Operator.MATCHES, Operator.NOT_MATCHES})
_EMPTINESS = frozenset({Operator.IS_EMPTY, Operator.IS_NOT_EMPTY})

_INT = re.compile(r"[+-]?(?:0[xX](?:_?[0-9a-fA-F])+|0[bB](?:_?[01])+|0[oO]?(?:_?[0-7])+|0|[1-9](?:_?[0-9])*)")
_FLOAT = re.compile(r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|inf|infinity|nan)", re.IGNORECASE)
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
#: Digits of the longest number that is converted: 64 binary ones, and some of nothing.
_DIGITS_MAX = 100


class NotOfKind(ValueError):
    """A text that stands for no value of the kind that a field has."""


class Selectable(NamedTuple):
    """
    A field, or what it holds.

    @ivar operators: those it understands.
    @ivar value: from a text in the expression to what the field is compared with; it raises L{NotOfKind}.
    @ivar within: what can be selected in it, by name.
    @ivar every: for a map: what every key of it leads to.
    @ivar attribute: where it is found in its record.
    @ivar shape: how it is declared.
    """

    operators: frozenset[Operator]
    value: Callable[[str], Any]
    within: Mapping[str, Selectable]
    every: Selectable | None
    attribute: str
    shape: Shape


@cache
def selectable_fields(record: type[Record]) -> Mapping[str, Selectable]:
    """What can be selected in a record, by the names that JSON shows."""
    hidden = _INDEXES.union(*[HIDDEN.get(one, ()) for one in record.__mro__])
    found = {}
    for field in fields_of(record):
        if field.attribute not in hidden and field.shape.kind is not Kind.ANY:
            found[field.wire] = _of_field(field)
    return found


def _of_field(field: Field) -> Selectable:
    shape = field.shape
    if shape.kind is Kind.BYTES and field.text:
        shape = Shape(Kind.SCALAR, bytes, shape.optional)
    return _of_shape(shape, field.attribute, field.unsigned)


def _of_shape(shape: Shape, attribute: str = "", unsigned: bool = False) -> Selectable:
    nothing = frozenset[Operator]()
    if shape.kind is Kind.SCALAR:
        textual = shape.of in (str, bytes)
        operators = _EQUALITY | _MEMBERSHIP | _PATTERN if textual else _EQUALITY
        return Selectable(operators, _coercion(shape.of, unsigned), {}, None, attribute, shape)
    if shape.kind is Kind.RECORD:
        return Selectable(nothing, str, selectable_fields(shape.of), None, attribute, shape)
    if shape.kind is Kind.LIST:
        item = shape.of
        if item.kind is Kind.SCALAR:
            return Selectable(_EMPTINESS | _MEMBERSHIP, _coercion(item.of, False), {}, None, attribute, shape)
        within = {} if item.kind is Kind.ANY else _of_shape(item).within
        return Selectable(_EMPTINESS, str, within, None, attribute, shape)
    if shape.kind is Kind.MAP:
        every = None if shape.of.kind is Kind.ANY else _of_shape(shape.of)
        return Selectable(_EMPTINESS | _MEMBERSHIP, str, {}, every, attribute, shape)
    if shape.kind is Kind.BYTES:  # a list of small numbers, to Go
        return Selectable(_EMPTINESS | _MEMBERSHIP, _byte, {}, None, attribute, shape)
    return Selectable(nothing, str, {}, None, attribute, shape)


# ---- values, as Go's strconv reads them ----


def _coercion(kind: type, unsigned: bool) -> Callable[[str], Any]:
    if kind is bool:
        return _bool
    if kind is int:
        return _uint if unsigned else _int
    if kind is float:
        return _float
    return str if kind is str else lambda text: text.encode("utf-8", "surrogateescape")


def _bool(text: str) -> bool:
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise NotOfKind(f"strconv.ParseBool: parsing {quote(text)}: invalid syntax")


def _int(text: str) -> int:
    return _whole("ParseInt", text, text, -(2**63), 2**63 - 1)


def _uint(text: str) -> int:
    return _whole("ParseUint", text, "?" if text[:1] in ("+", "-") else text, 0, 2**64 - 1)


def _byte(text: str) -> int:
    return _whole("ParseUint", text, "?" if text[:1] in ("+", "-") else text, 0, 255)


def _whole(function: str, text: str, digits: str, least: int, most: int) -> int:
    """A number in Go's notation: base by prefix, underscores between digits."""
    if not _INT.fullmatch(digits):
        raise NotOfKind(f"strconv.{function}: parsing {quote(text)}: invalid syntax")
    plain = digits.replace("_", "")
    octal = re.match(r"([+-]?)0([0-7]+)$", plain)
    if octal:
        plain = f"{octal[1]}0o{octal[2]}"
    found = most + 1 if len(plain) > _DIGITS_MAX else int(plain, 0)
    if not least <= found <= most:
        raise NotOfKind(f"strconv.{function}: parsing {quote(text)}: value out of range")
    return found


def _float(text: str) -> float:
    if not _FLOAT.fullmatch(text):
        raise NotOfKind(f"strconv.ParseFloat: parsing {quote(text)}: invalid syntax")
    found = float(text)
    if found in (float("inf"), float("-inf")) and "n" not in text.lower():
        raise NotOfKind(f"strconv.ParseFloat: parsing {quote(text)}: value out of range")
    return found
