"""What the documentation says of each key."""

from __future__ import annotations

import re
from pathlib import Path

from tests.agent.configuring import ConfigurationTestCase
from txconsul.agent.configuration.effects import (
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
        self.assertEqual(set_without_effect({"data_dir": "-data-dir", idle: "a.hcl", "ca_file": "a.hcl"}), [idle])
