"""
A keyring as it stands in a file: a JSON list of keys in base64, the primary one first.

Source: Serf's documentation of its keyring file.
"""

from __future__ import annotations

from base64 import b64decode, b64encode

import msgspec

from txconsul.swim.keyring import BadKey, Keyring

__all__ = ["KEYRING_BYTES_MAX", "read_keyring", "write_keyring"]

#: Every message that no key opens is tried with each: nobody has this many.
KEYRING_BYTES_MAX = 64 * 1024


def read_keyring(data: bytes) -> Keyring:
    """
    The keyring that a file holds.

    @raise BadKey: there is none in it, or a key cannot be one. The text does not show it.
    """
    if len(data) > KEYRING_BYTES_MAX:
        raise BadKey(f"a keyring has at most {KEYRING_BYTES_MAX} bytes")
    try:
        texts = msgspec.json.decode(data, type=list[str])
    except (msgspec.MsgspecError, ValueError):
        raise BadKey("it is not a JSON list of keys in base64") from None
    if not texts:
        raise BadKey("it holds no keys")
    keys = []
    for number, text in enumerate(texts, 1):
        try:
            key = b64decode(text, validate=True)
            Keyring([key])
        except (BadKey, ValueError) as error:
            why = error if isinstance(error, BadKey) else "it is not base64"
            raise BadKey(f"key {number} of {len(texts)}: {why}") from None
        keys.append(key)
    return Keyring(keys)


def write_keyring(ring: Keyring) -> bytes:
    """The bytes of a file, as Serf lays them out."""
    return msgspec.json.format(msgspec.json.encode([b64encode(key).decode() for key in ring.keys]), indent=2)
