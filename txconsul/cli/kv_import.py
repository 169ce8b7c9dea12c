"""C{txconsul kv import}."""

from __future__ import annotations

import json
import posixpath
from dataclasses import dataclass
from typing import Any

from txconsul.cli import kv_store
from txconsul.cli.api import ApiError
from txconsul.cli.call import Call, Failed, command
from txconsul.cli.settings import HTTP_FLAGS
from txconsul.cli.sources import load_source
from txconsul.codec.gobase64 import BadBase64, decode_base64
from txconsul.language.goflags import STRING, Flag

__all__ = ["FLAGS", "HELP", "run"]

HELP = """
Usage: txconsul kv import [options] DATA

  Writes the keys of a JSON text as txconsul kv export makes it, one after the
  other. The text comes from a file, from standard input, or is the argument:

      $ txconsul kv import @shop.json
      $ txconsul kv export shop/ | txconsul kv import -datacenter=dc2 -
      $ txconsul kv import '[{"key": "shop/open", "flags": 0, "value": "eWVz"}]'

  Keys under another prefix than they were exported from:

      $ txconsul kv import -prefix=copy/ @shop.json
"""

FLAGS = (Flag("prefix", STRING, "Put before every key."), *HTTP_FLAGS)


@dataclass(frozen=True)
class Imported:
    """One entry of the text, its value still in base64."""

    key: str = ""
    flags: int = 0
    value: str = ""
    namespace: str = ""


@command(FLAGS)
def run(call: Call) -> None:
    """Write the keys of a JSON text. The first one that fails ends it; those before it are written."""
    data = _data(call)
    client = call.client()
    try:
        entries = _read(data)
    except ValueError as error:
        raise Failed(f"Cannot unmarshal data: {error}") from None
    for entry in entries:
        try:
            value = decode_base64(entry.value)
        except BadBase64 as error:
            raise Failed(f"Error base 64 decoding value for key {entry.key}: {error}") from None
        key = _joined(call.flags["prefix"], entry.key)
        try:
            params = {"ns": entry.namespace} if entry.namespace else {}
            kv_store.put(client, key, value, params, entry.flags)
        except ApiError as error:
            raise Failed(f"Error! Failed writing data for key {key}: {error}") from None
        call.say(f"Imported: {key}")


def _data(call: Call) -> bytes:
    if not call.rest:
        raise Failed("Error! Missing DATA argument")
    if len(call.rest) > 1:
        raise Failed(f"Error! Too many arguments (expected 1, got {len(call.rest)})")
    if not call.rest[0]:
        raise Failed("Error! Empty DATA argument")
    try:
        return load_source(call.rest[0], call.stdin)
    except Failed as error:
        raise Failed(f"Error! {error}") from None


def _joined(prefix: str, key: str) -> str:
    """
    Prefix and key as a path without empty and dot segments, as Consul joins them. Without a prefix the key stays as it
    is, where Consul would tidy it too: an export and its import must give the same keys.

    >>> _joined("copy/", "shop//open/"), _joined("", "shop//open")
    ('copy/shop/open/', 'shop//open')
    """
    if not prefix:
        return key
    joined = posixpath.normpath(f"{prefix}/{key}" if key else prefix)
    joined = "/" + joined.lstrip("/") if joined.startswith("/") else joined
    return joined + "/" if key.endswith("/") else joined


def _read(data: bytes) -> list[Imported]:
    """
    The entries of an export.

    @raise ValueError: it is no JSON, or not of this shape.
    """
    try:
        found: Any = json.loads(data)
    except RecursionError:
        raise ValueError("json: nested too deep") from None
    if found is None:
        return []
    if not isinstance(found, list):
        raise ValueError(f"json: cannot unmarshal {_kind(found)} into a list of entries")
    return [_entry(one) for one in found]


_WANTED = {"key": str, "flags": int, "value": str, "namespace": str}


def _entry(one: Any) -> Imported:
    """Names match whatever their case, unknown ones are ignored, null is as good as absent: Go's habits."""
    if not isinstance(one, dict):
        raise ValueError(f"json: cannot unmarshal {_kind(one)} into an entry")
    fields: dict[str, Any] = {}
    for name, value in one.items():
        wanted = _WANTED.get(name.lower())
        if wanted is None or value is None:
            continue
        if type(value) is not wanted or (type(value) is int and not 0 <= value < 2**64):
            raise ValueError(f"json: cannot unmarshal {_kind(value)} into field {name.lower()}")
        fields[name.lower()] = value
    return Imported(**fields)


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return f"number {value}"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "null" if value is None else "object"
