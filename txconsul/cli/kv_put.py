"""C{txconsul kv put}."""

from __future__ import annotations

from txconsul.cli import kv_store
from txconsul.cli.api import ApiError
from txconsul.cli.call import Call, Failed, command
from txconsul.cli.settings import HTTP_FLAGS
from txconsul.cli.sources import load_source
from txconsul.codec.gobase64 import BadBase64, decode_base64
from txconsul.language.goflags import BOOL, STRING, UINT, Flag

__all__ = ["FLAGS", "HELP", "run"]

HELP = """
Usage: txconsul kv put [options] KEY [DATA]

  Writes a value, whatever its bytes are.

      $ txconsul kv put shop/limits/cart 20

  The value may be the content of a file, or what standard input gives:

      $ txconsul kv put shop/logo @logo.png
      $ date | txconsul kv put shop/opened -

  Without DATA the value is empty.

  Write only if nobody has written since a read that showed ModifyIndex 118,
  or (with index 0) only if the key does not exist yet:

      $ txconsul kv put -cas -modify-index=118 shop/limits/cart 25

  Take and give back a lock for a session:

      $ txconsul kv put -acquire -session=SESSION shop/leader node-7
      $ txconsul kv put -release -session=SESSION shop/leader
"""

FLAGS = (
    Flag("acquire", BOOL, "Take the lock on the key, which is created if need be. Needs -session."),
    Flag("base64", BOOL, "DATA is base64; write what it stands for."),
    Flag("cas", BOOL, "Check and set: write only if the key's ModifyIndex is that of -modify-index."),
    Flag("flags", UINT, "A number of your own, kept beside the value."),
    Flag("modify-index", UINT, "The ModifyIndex that -cas looks for. 0 means that the key must not exist."),
    Flag("release", BOOL, "Give back the lock on the key. Needs the -session that holds it."),
    Flag("session", STRING, "ID of the session for -acquire and -release."),
    *HTTP_FLAGS,
)


@command(FLAGS)
def run(call: Call) -> None:
    """Write one key."""
    flags = call.flags
    key, value = _data(call)
    if flags["base64"]:
        try:
            value = decode_base64(value.decode("utf-8", "surrogateescape"))
        except BadBase64 as error:
            # Consul says so and then writes what it could decode; half a value is not what anybody wants
            raise Failed(f"Error! Cannot base 64 decode data: {error}") from None
    if (flags["acquire"] or flags["release"]) and not flags["session"]:
        raise Failed("Error! Missing -session (required with -acquire and -release)")
    client = call.client()
    index = flags["modify-index"]
    params, done, refused = {}, f"Success! Data written to: {key}", ""
    trouble = "Error! Failed writing data"
    if flags["cas"]:
        params = {"cas": str(index)}
        trouble = f"Error! Did not write to {key}"
        refused = f"{trouble}: " + ("CAS failed" if index else "CAS performed with index=0 and key already exists.")
    elif flags["acquire"]:
        params = {"acquire": flags["session"]}
        done, refused = f"Success! Lock acquired on: {key}", "Error! Did not acquire lock"
    elif flags["release"]:
        params = {"release": flags["session"]}
        done, refused = f"Success! Lock released on: {key}", "Error! Did not release lock"
    try:
        held = kv_store.put(client, key, value, params, flags["flags"])
    except ApiError as error:
        raise Failed(f"{trouble}: {error}") from None
    if refused and not held:
        raise Failed(refused)
    call.say(done)


def _data(call: Call) -> tuple[str, bytes]:
    if not call.rest:
        raise Failed("Error! Missing KEY argument")
    if len(call.rest) > 2:
        raise Failed(f"Error! Too many arguments (expected 1 or 2, got {len(call.rest)})")
    if len(call.rest) == 1:
        return call.rest[0], b""
    try:
        return call.rest[0], load_source(call.rest[1], call.stdin)
    except Failed as error:
        raise Failed(f"Error! {error}") from None
