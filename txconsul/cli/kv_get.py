"""C{txconsul kv get}."""

from __future__ import annotations

from base64 import b64encode

from txconsul.cli import kv_store
from txconsul.cli.api import ApiError
from txconsul.cli.call import Call, Failed, command
from txconsul.cli.gotext import to_bytes
from txconsul.cli.kv_store import Entry
from txconsul.cli.settings import HTTP_FLAGS
from txconsul.cli.tabwriter import align
from txconsul.language.goflags import BOOL, STRING, Flag

__all__ = ["FLAGS", "HELP", "run"]

HELP = """
Usage: txconsul kv get [options] [KEY_OR_PREFIX]

  Shows the value of a key as it is stored. A key that does not exist is an
  error; one with an empty value shows an empty line.

      $ txconsul kv get shop/limits/cart

  Everything that is known of it, such as its flags and its ModifyIndex:

      $ txconsul kv get -detailed shop/limits/cart

  All keys that begin with a prefix, as KEY:VALUE; and only their names, down
  to the next slash:

      $ txconsul kv get -recurse shop/
      $ txconsul kv get -keys shop/

  Without a prefix these two begin at the root.
"""

FLAGS = (
    Flag("base64", BOOL, "Show values in base64."),
    Flag("detailed", BOOL, "Show flags, indexes and session beside the value."),
    Flag("keys", BOOL, "List the names of the keys that begin with the prefix, without their values."),
    Flag("recurse", BOOL, "Show all keys that begin with the prefix."),
    Flag("separator", STRING, "With -keys: stop names behind this text, where it follows the prefix.", default="/"),
    *HTTP_FLAGS,
)


@command(FLAGS)
def run(call: Call) -> None:
    """Read one key or list several."""
    if len(call.rest) > 1:
        raise Failed(f"Too many arguments (expected 1, got {len(call.rest)})")
    key = kv_store.trimmed(call.rest[0] if call.rest else "")
    recurse, names = call.flags["recurse"], call.flags["keys"]
    if not key and not (recurse or names):
        raise Failed("Error! Missing KEY argument")
    client, stale = call.client(), bool(call.flags["stale"])
    try:
        if names and not recurse:
            for name in kv_store.keys(client, key, call.flags["separator"], stale):
                call.say(name)
            return
        found = kv_store.listing(client, key, stale) if recurse else _one(kv_store.fetch(client, key, stale), key)
    except ApiError as error:
        raise Failed(f"Error querying Consul agent: {error}") from None
    for place, entry in enumerate(found):
        if call.flags["detailed"] and place:
            call.say("")
        call.say(_shown(entry, call))


def _one(entry: Entry | None, key: str) -> list[Entry]:
    if entry is None:
        raise Failed(f"Error! No key exists at: {key}")
    return [entry]


def _shown(entry: Entry, call: Call) -> bytes:
    value = b64encode(entry.value) if call.flags["base64"] else entry.value
    only_name = call.flags["keys"]
    if call.flags["detailed"]:
        return _details(entry, None if only_name else value)
    if only_name:
        return to_bytes(entry.key)
    return to_bytes(entry.key) + b":" + value if call.flags["recurse"] else value


def _details(entry: Entry, value: bytes | None) -> bytes:
    rows: list[tuple[str, int | str]] = [
        ("CreateIndex", entry.create_index),
        ("Flags", entry.flags),
        ("Key", entry.key),
        ("LockIndex", entry.lock_index),
        ("ModifyIndex", entry.modify_index),
        ("Session", entry.session or "-"),
    ]
    if entry.partition:
        rows.append(("Partition", entry.partition))
    if entry.namespace:
        rows.append(("Namespace", entry.namespace))
    text = b"".join(to_bytes(f"{name}\t{shown}\n") for name, shown in rows)
    return align(text + (b"" if value is None else b"Value\t" + value))
