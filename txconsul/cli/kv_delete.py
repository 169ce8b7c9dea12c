"""C{txconsul kv delete}."""

from __future__ import annotations

from txconsul.cli import kv_store
from txconsul.cli.api import ApiError
from txconsul.cli.call import Call, Failed, command
from txconsul.cli.settings import HTTP_FLAGS
from txconsul.language.goflags import BOOL, UINT, Flag

__all__ = ["FLAGS", "HELP", "run"]

HELP = """
Usage: txconsul kv delete [options] KEY_OR_PREFIX

  Deletes a key. It is no error if there is none.

      $ txconsul kv delete shop/limits/cart

  Deletes all keys that begin with a prefix; "shop" would also take "shopping",
  so mind the slash:

      $ txconsul kv delete -recurse shop/
"""

FLAGS = (
    Flag("cas", BOOL, "Delete only if the key's ModifyIndex is that of -modify-index."),
    Flag("modify-index", UINT, "The ModifyIndex that -cas looks for."),
    Flag("recurse", BOOL, "Delete all keys that begin with the argument."),
    *HTTP_FLAGS,
)


@command(FLAGS)
def run(call: Call) -> None:
    """Delete one key or many."""
    if len(call.rest) > 1:
        raise Failed(f"Too many arguments (expected 1, got {len(call.rest)})")
    key = kv_store.trimmed(call.rest[0] if call.rest else "")
    cas, index, recurse = call.flags["cas"], call.flags["modify-index"], call.flags["recurse"]
    if not key and not recurse:
        raise Failed("Error! Missing KEY argument")
    if cas and not index:
        raise Failed("Cannot delete a key that does not exist. Provide a -modify-index greater than than 0.")
    if index and not cas:
        raise Failed("Cannot specify -modify-index without -cas!")
    if recurse and cas:
        raise Failed("Cannot specify both -cas and -recurse!")
    client = call.client()
    if recurse:
        params, trouble, done = {"recurse": ""}, "Error! Did not delete prefix", "Success! Deleted keys with prefix"
    elif cas:
        params, trouble, done = {"cas": str(index)}, "Error! Did not delete key", "Success! Deleted key"
    else:
        params, trouble, done = {}, "Error deleting key", "Success! Deleted key"
    try:
        held = kv_store.delete(client, key, params)
    except ApiError as error:
        raise Failed(f"{trouble} {key}: {error}") from None
    if cas and not held:
        raise Failed(f"Error! Did not delete key {key}: CAS failed")
    call.say(f"{done}: {key}")
