"""C{txconsul kv export}."""

from __future__ import annotations

import json
from base64 import b64encode

from txconsul.cli import kv_store
from txconsul.cli.api import ApiError
from txconsul.cli.call import Call, Failed, command
from txconsul.cli.kv_store import Entry
from txconsul.cli.settings import HTTP_FLAGS

__all__ = ["FLAGS", "HELP", "run"]

HELP = """
Usage: txconsul kv export [options] [KEY_OR_PREFIX]

  Writes all keys that begin with a prefix as JSON, with values in base64, for
  txconsul kv import here or elsewhere. Without a prefix, all keys.

      $ txconsul kv export shop/ > shop.json
"""

FLAGS = HTTP_FLAGS

#: Go's encoding/json escapes these, lest a browser takes them for HTML or a line's end.
_ESCAPED = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})


@command(FLAGS)
def run(call: Call) -> None:
    """Write a part of the store as JSON."""
    if len(call.rest) > 1:
        raise Failed(f"Too many arguments (expected 1, got {len(call.rest)})")
    prefix = kv_store.trimmed(call.rest[0] if call.rest else "")
    client = call.client()
    try:
        entries = kv_store.listing(client, prefix, bool(call.flags["stale"]))
    except ApiError as error:
        raise Failed(f"Error querying Consul agent: {error}") from None
    text = json.dumps([_exported(entry) for entry in entries], indent="\t", ensure_ascii=False)
    call.say(text.translate(_ESCAPED))


def _exported(entry: Entry) -> dict[str, str | int]:
    shown: dict[str, str | int] = {
        "key": entry.key,
        "flags": entry.flags,
        "value": b64encode(entry.value).decode("ascii"),
    }
    if entry.namespace:
        shown["namespace"] = entry.namespace
    if entry.partition:
        shown["partition"] = entry.partition
    return shown
