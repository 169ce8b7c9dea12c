"""
Raw values of one file to typed ones, by the table of keys.

Strict where Consul is: a text is no number and C{"true"} is no truth value. Lenient where it is: keys are compared
without case, a list of one element stands for that element (so that blocks are single objects), and a null is no
value.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from txconsul.agent.configuration.errors import ConfigurationError
from txconsul.agent.configuration.kinds import Block, BlockList, BlockMap, Kind, Map, Opaque, Opaques, Scalar, Strings
from txconsul.agent.configuration.schema import CONFIGURATION

__all__ = ["Decoded", "decode", "go_value"]

_WHOLE_NUMBERS = {
    "int": (-(2**63), 2**63 - 1),
    "uint": (0, 2**64 - 1),
    "uint32": (0, 2**32 - 1),
    "uint64": (0, 2**64 - 1),
}
#: Stands for a value that was refused.
_NOTHING = object()


@dataclass
class Decoded:
    """
    @ivar values: what was set, nested as in the file; keys that were not set are not there.
    @ivar unknown: dotted keys that are in no table, in their order.
    """

    values: dict[str, Any]
    unknown: list[str] = field(default_factory=list)


def decode(raw: dict[str, Any], json: bool, block: Block = CONFIGURATION) -> Decoded:
    """
    Check and convert the values of one file.

    @param raw: as the parsers give it.
    @param json: it was JSON, where every number is a float; only the errors' texts differ.
    @raise ConfigurationError: one or more values have a wrong type.
    """
    decoder = _Decoder("float64" if json else "int")
    values = decoder.block(block, raw, "")
    if decoder.errors:
        errors = sorted(decoder.errors)
        first_key = decoder.first_key
        raise ConfigurationError(
            f"{len(errors)} error(s) decoding:\n\n" + "\n".join(f"* {e}" for e in errors), first_key
        )
    return Decoded(values, decoder.unknown)


class _Decoder:
    def __init__(self, whole_number: str) -> None:
        self._whole_number = whole_number
        self.unknown: list[str] = []
        self.errors: list[str] = []
        self.first_key = ""

    def _wrong(self, name: str, message: str) -> Any:
        self.first_key = self.first_key or name
        self.errors.append(message)
        return _NOTHING

    def block(self, block: Block, raw: Any, name: str) -> Any:
        raw = _single(raw)
        if raw is None:
            return _NOTHING
        if not isinstance(raw, dict):
            several = isinstance(raw, list) and raw and all(isinstance(one, dict) for one in raw)
            hint = f": there are {len(raw)} blocks of this name" if several else ""
            return self._wrong(name, f"'{name}' expected a map, got '{self._go_kind(raw)}'{hint}")
        folded = {key.casefold(): key for key in block.fields}
        values: dict[str, Any] = {}
        raw = self._translated(block, raw)
        for key, value in raw.items():
            dotted = f"{name}.{key}" if name else key
            known = key if key in block.fields else folded.get(key.casefold())
            if known is None or (known != key and known in raw):
                self.unknown.append(dotted)
            elif value is not None:
                decoded = self.value(block.fields[known], value, f"{name}.{known}" if name else known)
                if decoded is not _NOTHING:
                    values[known] = decoded
        return values

    def _translated(self, block: Block, raw: dict[str, Any]) -> dict[str, Any]:
        """The block with other spellings of its keys replaced; the first spelling wins over others."""
        if not block.aliases:
            return raw
        found: dict[str, Any] = {}
        for key, value in raw.items():
            known = block.aliases.get(key.lower(), key)
            if known == key or known not in raw:
                found[known] = value
        return found

    def value(self, kind: Kind, raw: Any, name: str) -> Any:
        if isinstance(kind, Scalar):
            return self._scalar(kind, _single(raw), name)
        if isinstance(kind, Block):
            return self.block(kind, raw, name)
        if isinstance(kind, (Strings, BlockList, Opaques)):
            return self._list(kind, raw, name)
        raw = _single(raw)
        if raw is None:
            return _NOTHING
        if not isinstance(raw, dict):
            return self._wrong(name, f"'{name}' expected a map, got '{self._go_kind(raw)}'")
        if isinstance(kind, Opaque):
            return {key: _opaque(value) for key, value in raw.items()}
        if not isinstance(kind, (Map, BlockMap)):
            raise TypeError(f"no decoder for {kind!r}")
        found = {}
        for key, value in raw.items():
            decoded = self.value(kind.of, value, f"{name}[{key}]") if value is not None else _NOTHING
            if decoded is not _NOTHING:
                found[key] = decoded
        return found

    def _list(self, kind: Strings | BlockList | Opaques, raw: Any, name: str) -> Any:
        if not isinstance(raw, list):
            return self._wrong(name, f"'{name}': source data must be an array or slice, got {self._go_kind(raw)}")
        found = []
        for index, element in enumerate(raw):
            inner = f"{name}[{index}]"
            if isinstance(kind, Strings):
                decoded = "" if element is None else self._scalar(Scalar("string"), _single(element), inner)
            elif isinstance(kind, BlockList):
                decoded = {} if element is None else self.block(kind.of, element, inner)
            else:
                decoded = {} if element is None else self.value(Opaque(), element, inner)
            if decoded is not _NOTHING:
                found.append(decoded)
        return found

    def _scalar(self, kind: Scalar, raw: Any, name: str) -> Any:
        if raw is None:
            return _NOTHING
        wanted = kind.name
        number = isinstance(raw, (int, float)) and not isinstance(raw, bool)
        shown = float(raw) if number and self._whole_number == "float64" and abs(raw) < 1e300 else raw
        if wanted == "bool" and isinstance(raw, bool):
            return raw
        if wanted == "string" and isinstance(raw, str):
            return raw
        if wanted == "float64" and number:
            return float(raw)
        if wanted in _WHOLE_NUMBERS and number and math.isfinite(raw):
            low, high = _WHOLE_NUMBERS[wanted]
            whole = int(raw)
            if low <= whole <= high:
                return whole
            return self._wrong(name, f"cannot parse '{name}', {go_value(shown)} overflows {wanted}")
        return self._wrong(
            name,
            f"'{name}' expected type '{wanted}', got unconvertible type '{self._go_type(raw)}',"
            f" value: '{go_value(shown)}'",
        )

    def _go_type(self, value: Any) -> str:
        if isinstance(value, dict):
            return "map[string]interface {}"
        if isinstance(value, list):
            return "[]interface {}"
        return self._go_kind(value)

    def _go_kind(self, value: Any) -> str:
        if isinstance(value, bool):
            return "bool"
        if isinstance(value, int):
            return self._whole_number
        names = {str: "string", float: "float64", list: "slice", dict: "map"}
        return next(name for type_, name in names.items() if isinstance(value, type_))


def _single(raw: Any) -> Any:
    """The element of a list that has only one."""
    return raw[0] if isinstance(raw, list) and len(raw) == 1 else raw


def _opaque(raw: Any) -> Any:
    """A value of no declared type: blocks within it, which are lists of one, become plain."""
    return _plain(raw[0]) if isinstance(raw, list) and len(raw) == 1 else raw


def _plain(raw: Any) -> Any:
    if isinstance(raw, dict):
        return {key: _plain(_single(value)) for key, value in raw.items()}
    if isinstance(raw, list):
        return [_plain(element) for element in raw]
    return raw


def go_value(value: Any) -> str:
    """
    A value as Go's C{%v} shows it.

    >>> go_value({"b": [1, True], "a": 2.5})
    'map[a:2.5 b:[1 true]]'
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "<nil>"
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{go_value(value[key])}" for key in sorted(value)) + "]"
    if isinstance(value, list):
        return "[" + " ".join(map(go_value, value)) + "]"
    return _go_float(value) if isinstance(value, float) else str(value)


def _go_float(value: float) -> str:
    """The shortest digits that mean this number, with an exponent from a million on."""
    if not math.isfinite(value):
        return {"inf": "+Inf", "-inf": "-Inf"}.get(str(value), "NaN")
    digits, exponent = f"{value:.17e}".split("e")
    power = int(exponent)
    if value and not -4 <= power < 6:
        for precision in range(17):
            short = f"{value:.{precision}e}"
            if float(short) == value:
                return short
        return f"{digits}e{exponent}"
    return str(int(value)) if value.is_integer() else repr(value)
