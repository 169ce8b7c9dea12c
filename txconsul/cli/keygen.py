"""C{txconsul keygen}. It asks no agent."""

from __future__ import annotations

import secrets
from base64 import b64encode

from txconsul.cli.call import Call, command

__all__ = ["FLAGS", "HELP", "run"]

HELP = """
Usage: txconsul keygen

  Makes a key for the encryption of gossip, as the configuration's "encrypt"
  and the flag -encrypt of an agent take it.
"""

FLAGS = ()

#: AES-256.
_KEY_BYTES = 32


@command(FLAGS)
def run(call: Call) -> None:
    """Show a new key."""
    call.say(b64encode(secrets.token_bytes(_KEY_BYTES)))
