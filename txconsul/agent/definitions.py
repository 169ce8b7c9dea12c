"""
Definitions between a configuration file's shape, which is checked there once for all, and records.

Configuration keys are the records' attributes, with the few other spellings below; what has no field is passed over.

Source: Consul's service and health check configuration references.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from txconsul.codec.duration import format_duration, parse_duration
from txconsul.codec.fields import Kind, Shape, fields_of
from txconsul.records.agent import CheckDefinition
from txconsul.records.base import Record
from txconsul.records.service import CheckType, Weights

__all__ = ["as_configured", "from_configuration"]

R = TypeVar("R", bound=Record)

#: Bytes kept of the output of a check in a file that says nothing else, whatever C{check_output_max_size} is.
OUTPUT_SIZE_MAX = 4096

#: Where a key is not the attribute.
_KEYS: dict[type[Record], dict[str, str]] = {
    CheckType: {"check_id": "id", "h2_ping": "h2ping", "h2_ping_use_tls": "h2ping_use_tls", "script_args": "args"},
    CheckDefinition: {"h2_ping": "h2ping", "h2_ping_use_tls": "h2ping_use_tls", "script_args": "args"},
}


def from_configuration(record: type[R], values: Mapping[str, Any]) -> R:
    """A record from the definition in a file, which was checked when the file was read."""
    keys = _KEYS.get(record, {})
    found = {}
    for field in fields_of(record):
        value = values.get(keys.get(field.attribute, field.attribute))
        if value is not None:
            found[field.attribute] = (
                parse_duration(value) if field.duration_input and isinstance(value, str) else _in(field.shape, value)
            )
    if issubclass(record, CheckType):
        found.setdefault("output_max_size", OUTPUT_SIZE_MAX)
        found.setdefault("h2_ping_use_tls", bool(found.get("h2_ping")))
    if record is Weights:  # of an object with one of them the other is 1, unlike in the API
        found = {"passing": 1, "warning": 1, **found}
    return record(**found)


def _in(shape: Shape, value: Any) -> Any:
    if shape.kind is Kind.RECORD:
        return from_configuration(shape.of, value)
    if shape.kind is Kind.LIST:
        return tuple([_in(shape.of, one) for one in value])
    if shape.kind is Kind.MAP:
        return {name: _in(shape.of, one) for name, one in value.items()}
    return value


def as_configured(record: Record) -> dict[str, Any]:
    """The definition as a file would have it, without what is empty."""
    keys = _KEYS.get(type(record), {})
    found = {}
    for field in fields_of(type(record)):
        value = getattr(record, field.attribute)
        if value != field.default or type(record) is Weights:
            shown = format_duration(value) if field.duration_input else _out(value)
            found[keys.get(field.attribute, field.attribute)] = shown
    return found


def _out(value: Any) -> Any:
    if isinstance(value, Record):
        return as_configured(value)
    if isinstance(value, tuple):
        return [_out(one) for one in value]
    if isinstance(value, Mapping):
        return {name: _out(one) for name, one in value.items()}
    return value
