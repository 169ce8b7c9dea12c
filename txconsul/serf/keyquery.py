"""
Keys changed on a whole pool, by queries that every member carries out for itself.

Source: the wire documents, GOSSIP section 5 (internal queries).
"""

from __future__ import annotations

from base64 import b64encode

from txconsul.serf.messages import BadSerfMessage, KeyRequest, KeyResponse, read, write
from txconsul.swim.keyring import BadKey, Keyring

__all__ = ["INSTALL", "LIST", "REMOVE", "USE", "KeyResults", "carry_out", "list_keys", "request"]

INSTALL = "_serf_install-key"
USE = "_serf_use-key"
REMOVE = "_serf_remove-key"
LIST = "_serf_list-keys"

_NO_RING = "No keyring to modify (encryption not enabled)"
_EMPTY_RING = "Keyring is empty (encryption not enabled)"


def carry_out(name: str, payload: bytes, ring: Keyring | None) -> KeyResponse:
    """
    Do what a query asks. The answer says whether it was done; if it was, the ring is to be written down.

    @param name: L{INSTALL}, L{USE} or L{REMOVE}.
    """
    if ring is None:
        return KeyResponse(message=_NO_RING)
    try:
        key = read(KeyRequest, payload).key or b""
        {INSTALL: ring.install, USE: ring.use, REMOVE: ring.remove}[name](key)
    except (BadSerfMessage, BadKey) as error:
        return KeyResponse(message=str(error))
    return KeyResponse(result=True)


def request(operation: str, key: bytes) -> bytes:
    """The payload of a query for an operation. @param operation: one of the constants of this file."""
    return write(KeyRequest(key=key))


def list_keys(ring: Keyring | None) -> KeyResponse:
    """The keys of this node."""
    if ring is None:
        return KeyResponse(message=_EMPTY_RING)
    keys = tuple([b64encode(key).decode() for key in ring.keys])
    return KeyResponse(keys=keys, primary_key=b64encode(ring.primary).decode(), result=True)


def shortened(response: KeyResponse, keys: int) -> KeyResponse:
    """A list of keys that is cut so that it fits into an answer."""
    total = len(response.keys or ())
    return KeyResponse(
        keys=(response.keys or ())[:keys],
        message=f"truncated key list response, showing first {keys} of {total} keys",
        primary_key=response.primary_key,
        result=response.result,
    )


class KeyResults:
    """
    What the members of a pool said of such a query.

    @ivar members: how many were asked.
    @ivar responses: how many have answered.
    @ivar errors: how many could not do it.
    @ivar messages: what members had to say, by name.
    @ivar keys: on how many members each key is, base64.
    @ivar primary_keys: on how many members each key is the primary one.
    """

    def __init__(self, members: int) -> None:
        self.members = members
        self.responses = 0
        self.errors = 0
        self.messages: dict[str, str] = {}
        self.keys: dict[str, int] = {}
        self.primary_keys: dict[str, int] = {}

    def add(self, sender: str, payload: bytes) -> None:
        """A member has answered."""
        self.responses += 1
        try:
            response = read(KeyResponse, payload)
        except BadSerfMessage:
            self.messages[sender] = f"Invalid key query response type: {list(payload[:1])}"
            self.errors += 1
            return
        if not response.result:
            self.errors += 1
        if response.message or not response.result:
            self.messages[sender] = response.message
        for key in response.keys or ():
            self.keys[key] = self.keys.get(key, 0) + 1
        if response.primary_key:
            self.primary_keys[response.primary_key] = self.primary_keys.get(response.primary_key, 0) + 1

    @property
    def problem(self) -> str:
        """Why the pool is not in the state that was wanted; empty if it is."""
        if self.errors:
            return f"{self.errors}/{self.members} nodes reported failure"
        if self.responses < self.members:
            return f"{self.responses}/{self.members} nodes reported success"
        return ""
