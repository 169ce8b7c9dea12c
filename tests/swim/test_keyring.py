"""The keys of an encrypted pool."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests import vectors
from txconsul.swim.keyring import BadKey, Keyring, NotDecrypted

OLD, NEW, NONCE = bytes(range(16)), bytes(range(32)), bytes(12)


class KeyringTests(SynchronousTestCase):
    """Source: the wire documents, GOSSIP section 2.2."""

    def test_recorded(self) -> None:
        """Both versions are opened; the newer one is sealed to the same bytes."""
        seen = set()
        for vector in vectors.load("memberlist"):
            if not vector["name"].startswith("encrypted-"):
                continue
            said = {key: bytes.fromhex(value["hex"]) for key, value in vector["decoded"].items() if "hex" in str(value)}
            sealed = vectors.data(vector)
            ring = Keyring([OLD, said["key"]])
            self.assertEqual(ring.open(sealed, said["aad"]), said["plain"], vector["name"])
            self.assertRaises(NotDecrypted, ring.open, sealed, said["aad"] + b"x")
            self.assertRaises(NotDecrypted, Keyring([OLD]).open, sealed, said["aad"])
            if sealed[0] == 1:
                self.assertEqual(Keyring([said["key"]]).seal(said["plain"], said["aad"], said["nonce"]), sealed)
            seen.add(sealed[0])
        self.assertEqual(seen, {0, 1})

    def test_rotation(self) -> None:
        """A key is installed, then used, then the old one removed; what either sealed is opened meanwhile."""
        ring = Keyring([OLD])
        before = ring.seal(b"hello", b"", NONCE)
        ring.install(NEW)
        self.assertEqual((ring.primary, ring.keys), (OLD, [OLD, NEW]))
        self.assertRaises(BadKey, ring.remove, OLD)
        ring.use(NEW)
        self.assertEqual(ring.keys, [NEW, OLD])
        after = ring.seal(b"hello", b"", NONCE)
        self.assertEqual([ring.open(one, b"") for one in (before, after)], [b"hello"] * 2)
        ring.remove(OLD)
        self.assertRaises(NotDecrypted, ring.open, before, b"")
        self.assertEqual(ring.open(after, b""), b"hello")

    def test_refused(self) -> None:
        """No key at all, one of another size, one that is not there to be used."""
        self.assertRaises(BadKey, Keyring, [])
        for size in (0, 15, 17, 33):
            self.assertRaises(BadKey, Keyring, [bytes(size)])
            self.assertRaises(BadKey, Keyring([OLD]).install, bytes(size))
        self.assertRaises(BadKey, Keyring([OLD]).use, NEW)

    def test_notThere(self) -> None:
        """Installing a key twice and removing one that is not there change nothing."""
        ring = Keyring([OLD, NEW])
        ring.install(OLD)
        ring.remove(bytes(24))
        self.assertEqual(ring.keys, [OLD, NEW])

    def test_tooShort(self) -> None:
        """What cannot be an encrypted message is refused whatever its length."""
        for size in range(29):
            self.assertRaises(NotDecrypted, Keyring([OLD]).open, b"\x01" * size, b"")
        self.assertRaises(NotDecrypted, Keyring([OLD]).open, b"\x02" * 60, b"")
