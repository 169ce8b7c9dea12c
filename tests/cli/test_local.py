"""Commands that ask no agent, and info."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.cli.invoking import FakeAgent, answer, invoke


class ValidateTests(SynchronousTestCase):
    """txconsul validate."""

    def file(self, text: str, name: str = "a.json") -> str:
        """The name of a new file in a new folder."""
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / name).write_text(text)
        return str(folder / name)

    def test_valid(self) -> None:
        """A good file is said to be good, or nothing is said; warnings go to standard error."""
        name = self.file('{"data_dir": "/data", "server": true, "bootstrap_expect": 1}')
        outcome = invoke("validate", name)
        self.assertEqual((outcome.status, outcome.out), (0, b"Configuration is valid!\n"))
        self.assertIn("BootstrapExpect is set to 1; this is the same as Bootstrap mode.\n", outcome.err)
        outcome = invoke("validate", "-quiet", name)
        self.assertEqual((outcome.status, outcome.out, outcome.err), (0, b"", ""))

    def test_invalid(self) -> None:
        """A mistake is told with the file and the key."""
        name = self.file('{"data_dir": "/data", "colour": "red"}')
        outcome = invoke("validate", name)
        self.assertEqual((outcome.status, outcome.out), (1, b""))
        self.assertEqual(
            outcome.err,
            f"Config validation failed: failed to parse {name}: 1 error occurred:\n\t* invalid config key colour\n\n\n",
        )

    def test_format(self) -> None:
        """-config-format counts whatever the extension, and is one of two."""
        name = self.file('data_dir = "/data"', "a.conf")
        self.assertIn("has unknown extension", invoke("validate", name).err)
        self.assertEqual(invoke("validate", "-config-format=hcl", name).status, 0)
        outcome = invoke("validate", "-config-format=toml", name)
        self.assertEqual((outcome.status, outcome.err), (1, "-config-format must be either 'hcl' or 'json\n"))

    def test_nothing(self) -> None:
        """Without a file there is nothing to validate."""
        outcome = invoke("validate")
        self.assertEqual((outcome.status, outcome.err), (1, "Must specify at least one config file or directory\n"))


class InfoTests(SynchronousTestCase):
    """txconsul info."""

    def test_sorted(self) -> None:
        """The agent's counters are shown sorted, in groups."""
        body = '{"Stats": {"raft": {"term": "2", "state": "Leader"}, "agent": {"checks": "0"}}, "Config": {}}'
        outcome = invoke("info", agent=FakeAgent({"GET /v1/agent/self": answer(body)}))
        self.assertEqual((outcome.status, outcome.err), (0, ""))
        self.assertEqual(outcome.out, b"agent:\n\tchecks = 0\nraft:\n\tstate = Leader\n\tterm = 2\n")

    def test_errors(self) -> None:
        """An agent that refuses, or answers something else, ends the command."""
        for body, status, text in (
            ("Permission denied", 403, "Error querying agent: Unexpected response code: 403 (Permission denied)\n"),
            ("{}", 200, "Agent response did not contain 'Stats' key\n"),
            ("[]", 200, "Agent response did not contain 'Stats' key\n"),
            ('{"Stats": {"raft": 7}}', 200, "Got invalid subkey in stats: 7\n"),
        ):
            outcome = invoke("info", agent=FakeAgent({"GET /v1/agent/self": answer(body, status)}))
            self.assertEqual((outcome.status, outcome.err), (1, text))


class ReloadTests(SynchronousTestCase):
    """txconsul reload."""

    def test_asked(self) -> None:
        """The agent is asked, and what it refuses is shown."""
        outcome = invoke("reload", agent=FakeAgent({"PUT /v1/agent/reload": answer("")}))
        self.assertEqual((outcome.status, outcome.out), (0, b"Configuration reload triggered\n"))
        outcome = invoke("reload", agent=FakeAgent({"PUT /v1/agent/reload": answer("no such file", 500)}))
        expected = "Error reloading: Unexpected response code: 500 (no such file)\n"
        self.assertEqual((outcome.status, outcome.err), (1, expected))
