"""Files of keys."""

from __future__ import annotations

import contextlib
import json
from base64 import b64encode

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txconsul.serf.keyring_file import KEYRING_BYTES_MAX, read_keyring, write_keyring
from txconsul.swim.keyring import BadKey, Keyring

KEYS = [bytes(range(16)), bytes(range(32)), bytes(24)]
SECRET = b64encode(KEYS[1]).decode()


class KeyringFileTests(SynchronousTestCase):
    """What is in them."""

    def test_laidOut(self) -> None:
        """A list of base64, indented by two, the primary key first."""
        ring = Keyring(KEYS[:2])
        ring.use(KEYS[1])
        self.assertEqual(write_keyring(ring).decode(), f'[\n  "{SECRET}",\n  "AAECAwQFBgcICQoLDA0ODw=="\n]')

    @given(st.lists(st.one_of([st.binary(min_size=size, max_size=size) for size in (16, 24, 32)]), min_size=1))
    def test_roundTrip(self, keys: list[bytes]) -> None:
        """What is written is read."""
        ring = Keyring(keys)
        self.assertEqual(read_keyring(write_keyring(ring)).keys, ring.keys)

    def test_refused(self) -> None:
        """What holds no keys is refused, and says why without showing any."""
        for text, why in (
            ("", "JSON list"),
            ("[", "JSON list"),
            ("null", "JSON list"),
            (f'{{"key": "{SECRET}"}}', "JSON list"),
            (f'["{SECRET}", 1]', "JSON list"),
            (SECRET, "JSON list"),
            ("[]", "no keys"),
            (json.dumps([SECRET, SECRET + "!"]), "key 2 of 2: it is not base64"),
            (json.dumps([SECRET + "é"]), "key 1 of 1: it is not base64"),
            (json.dumps([SECRET[:-1]]), "key 1 of 1: it is not base64"),
            (json.dumps(["AAAA"]), "key 1 of 1: key size must be 16, 24 or 32 bytes"),
            (json.dumps([SECRET] * KEYRING_BYTES_MAX), "at most"),
        ):
            error = self.assertRaises(BadKey, read_keyring, text.encode())
            self.assertIn(why, str(error))
            self.assertNotIn(SECRET[:8], str(error))

    @given(st.binary(max_size=100))
    def test_rubbish(self, data: bytes) -> None:
        """Any bytes are a keyring, or are refused."""
        for one in (data, b'["' + data + b'"]'):
            with contextlib.suppress(BadKey):
                self.assertTrue(read_keyring(one).keys)
