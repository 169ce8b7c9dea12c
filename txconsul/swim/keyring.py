"""
The keys of an encrypted pool: one that encrypts, and all that may have encrypted what comes in.

AES-GCM with a nonce of 12 bytes and a tag of 16. Source: the wire documents, GOSSIP section 2.2; NIST SP 800-38D.
"""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from txconsul.errors import InvalidRequest, PeerMisbehaved

__all__ = ["NONCE_BYTES", "OVERHEAD_BYTES", "BadKey", "Keyring", "NotDecrypted"]

#: What AES takes: 128, 192 or 256 bits.
KEY_BYTES = (16, 24, 32)
#: A ring has two keys while they are changed, and one else. Whatever comes in may be tried with all of them.
KEYS_MAX = 64
NONCE_BYTES = 12
_TAG_BYTES = 16
#: What encryption adds to a message: version, nonce, tag.
OVERHEAD_BYTES = 1 + NONCE_BYTES + _TAG_BYTES
#: The version written: plaintext as it is. Version 0, of memberlist's first protocol, pads it to whole blocks.
_VERSION = 1
_PADDED_VERSION = 0
_BLOCK_BYTES = 16


class BadKey(InvalidRequest):
    """A key has another size than AES takes, or may not be removed or used."""


class NotDecrypted(PeerMisbehaved):
    """No key of the ring opens the message: it was made with another one, or changed on its way."""


class Keyring:
    """
    Keys in the order in which they are tried, the primary one first.

    @ivar keys: the keys' bytes. Not empty.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        """
        @param keys: the first one is the primary key. Doubles are dropped.
        @raise BadKey: there is none, or one has a size other than 16, 24 or 32 bytes.
        """
        if not keys:
            raise BadKey("a keyring must hold at least one key")
        self._ciphers: dict[bytes, AESGCM] = {}
        for key in keys:
            self.install(key)

    @property
    def keys(self) -> list[bytes]:
        """The keys, the primary one first."""
        return list(self._ciphers)

    @property
    def primary(self) -> bytes:
        """The key that encrypts."""
        return next(iter(self._ciphers))

    def install(self, key: bytes) -> None:
        """Add a key, last in order. One that is there already stays. @raise BadKey: its size, or too many."""
        if len(key) not in KEY_BYTES:
            raise BadKey("key size must be 16, 24 or 32 bytes")
        if key not in self._ciphers and len(self._ciphers) >= KEYS_MAX:
            raise BadKey(f"a keyring holds at most {KEYS_MAX} keys")
        self._ciphers.setdefault(key, AESGCM(key))

    def use(self, key: bytes) -> None:
        """Make an installed key the primary one. @raise BadKey: it is not installed."""
        if key not in self._ciphers:
            raise BadKey("requested key is not in the keyring")
        self._ciphers = {key: self._ciphers.pop(key), **self._ciphers}

    def remove(self, key: bytes) -> None:
        """Forget a key; one that is not there is no error. @raise BadKey: it is the primary one."""
        if key == self.primary:
            raise BadKey("removing the primary key is not allowed")
        self._ciphers.pop(key, None)

    def seal(self, plain: bytes, associated: bytes, nonce: bytes) -> bytes:
        """
        Encrypt with the primary key.

        @param associated: what is authenticated beside it, not sent.
        @param nonce: 12 bytes that were never used before with this key: from the system's randomness.
        """
        return bytes([_VERSION]) + nonce + self._ciphers[self.primary].encrypt(nonce, plain, associated)

    def open(self, sealed: bytes, associated: bytes) -> bytes:
        """
        Decrypt with whichever key fits.

        @raise NotDecrypted: none does, or this is no encrypted message at all.
        """
        if len(sealed) < OVERHEAD_BYTES:
            raise NotDecrypted(f"payload of {len(sealed)} bytes is too small to be encrypted")
        version = sealed[0]
        if version > _VERSION:
            raise NotDecrypted(f"unsupported encryption version {version}")
        nonce, rest = sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
        for cipher in self._ciphers.values():
            try:
                plain = cipher.decrypt(nonce, rest, associated)
            except InvalidTag:
                continue
            return _unpadded(plain) if version == _PADDED_VERSION else plain
        raise NotDecrypted("no installed keys could decrypt the message")


def _unpadded(plain: bytes) -> bytes:
    """
    Without the padding of PKCS#7 (RFC 5652, 6.3).

    @raise NotDecrypted: it is not padded so.
    """
    padding = plain[-1] if plain else 0
    if not 1 <= padding <= _BLOCK_BYTES or len(plain) % _BLOCK_BYTES or plain[-padding:] != bytes([padding]) * padding:
        raise NotDecrypted("the message is not padded to whole blocks")
    return plain[:-padding]
