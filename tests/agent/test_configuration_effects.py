"""What the documentation says of each key."""

from __future__ import annotations

import re
from pathlib import Path

from tests.agent.configuring import ConfigurationTestCase
from txconsul.agent.configuration.effects import (
    AGREED,
    EFFECTIVE,
    MOVED,
    NOT_FOR_USERS,
    lists,
    set_without_effect,
    without_effect,
)
from txconsul.agent.configuration.schema import keys

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"


class EffectTests(ConfigurationTestCase):
    """Keys with and without an effect."""

    def test_everyEntryIsAKey(self) -> None:
        """The tables name keys that there are, each in one table."""
        known = set(keys())
        for table in (EFFECTIVE, MOVED, NOT_FOR_USERS):
            for entry in table:
                self.assertTrue(entry in known or any(key.startswith(entry) for key in known), entry)
        self.assertEqual(EFFECTIVE & MOVED, frozenset())
        self.assertEqual(EFFECTIVE & NOT_FOR_USERS, frozenset())

    def test_documented(self) -> None:
        """The document ends with the lists as they are now."""
        if not DOCUMENT.is_file():
            self.skipTest("the documents are not here")
        self.assertTrue(DOCUMENT.read_text(encoding="utf-8").endswith(lists()), "print them anew: see the document")

    def test_examplesAreTaken(self) -> None:
        """The document's configurations are ones."""
        if not DOCUMENT.is_file():
            self.skipTest("the documents are not here")
        examples = re.findall(r"^```hcl\n(.*?)^```", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
        loaded = [self.load(hcl=example) for example in examples]
        self.assertEqual([one.bind_address for one in loaded], ["0.0.0.0", "10.1.2.3"])
        self.assertEqual(
            loaded[0].node_meta["note"],
            "Behind <<-, the indentation of the last line\nis taken from every line.\n",
        )

    def test_setWithoutEffect(self) -> None:
        """Of the keys that were set, those without an effect are told."""
        idle = next(iter(without_effect()))
        values = {"data_dir": "x", idle: "x", "ca_file": "x"}
        self.assertEqual(
            set_without_effect({"data_dir": "-data-dir", idle: "a.hcl", "ca_file": "a.hcl"}, values), [idle]
        )

    def test_agreed(self) -> None:
        """Who asks for what is so anyway, or for nothing, needs no word; who asks for the contrary does."""
        known = set(keys())
        for key, value in AGREED.items():
            self.assertIn(key, known)
            self.assertEqual(set_without_effect({key: "a.hcl"}, {key: value}), [])
        for key, value in {"ports.grpc": 8502, "disable_update_check": False, "experiments": ["a"]}.items():
            self.assertEqual(set_without_effect({key: "a.hcl"}, {key: value}), [key])
        nothing = {"experiments": [], "license_path": ""}
        self.assertEqual(set_without_effect(dict.fromkeys(nothing, "a.hcl"), nothing), [])

    def test_loaded(self) -> None:
        """The values are those that were merged."""
        it = self.load(hcl="disable_update_check = true experiments = [] ports { grpc = -1 } limits { rpc_rate = -1 }")
        self.assertEqual(set_without_effect(it.origins, it.raw), [])
