"""From words to a command: help, versions, unknown names, exit statuses."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from io import BytesIO
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

import txconsul
from tests.cli.invoking import FakeAgent, invoke
from txconsul.cli import commands
from txconsul.cli.commands import COMMANDS, Command
from txconsul.cli.dispatch import dispatch

#: Where the package is, so that a new process finds it.
ROOT = Path(txconsul.__file__).parent.parent


def probe(arguments: list[str], *_: object) -> int:
    """A command for the tests: its status is the number of its arguments."""
    return len(arguments)


HELP = "Usage: txconsul probe\n"
TABLE = {
    **COMMANDS,
    ("probe",): Command(f"{__name__}:probe", "For tests"),
    ("probe", "deep"): Command(f"{__name__}:probe", "For tests, deeper"),
    ("probe", "deep", "deeper"): Command(f"{__name__}:probe", "For tests, deepest"),
}


def status_of(*words: str) -> int:
    """The exit status of words against the table with the probes."""
    return dispatch(words, {}, BytesIO(), BytesIO(), BytesIO(), FakeAgent().connect, TABLE)


class NamingTests(SynchronousTestCase):
    """Which words are the command's name, and which its arguments."""

    def test_longestNameCounts(self) -> None:
        """The longest name in the table is taken; what follows are arguments."""
        self.assertEqual(status_of("probe", "deep", "deeper"), 0)
        self.assertEqual(status_of("probe", "deep", "other", "deeper"), 2)
        self.assertEqual(status_of("probe", "other", "deep", "x"), 3)

    def test_flagsEndTheName(self) -> None:
        """A word behind a flag is no part of the name."""
        self.assertEqual(status_of("probe", "-x", "deep"), 2)

    def test_wordsWithSpacesAreArguments(self) -> None:
        """An argument that reads like a longer name is still one argument, and so is an empty one."""
        self.assertEqual(status_of("probe", "deep deeper"), 1)
        self.assertEqual(status_of("probe", "", "deep"), 2)

    def test_dashesEndTheSearch(self) -> None:
        """No command's name stands behind two dashes."""
        self.assertEqual(status_of("--", "probe"), 127)

    def test_helpBehindDashesIsAnArgument(self) -> None:
        """Behind two dashes -h is an argument like any other."""
        self.assertEqual(status_of("probe", "--", "-h"), 2)

    @settings(max_examples=200, deadline=None)
    @given(
        st.lists(st.sampled_from(["probe", "deep", "deeper", "-h", "-x", "--", "", "a b", "kv", "-v", "x"]), max_size=6)
    )
    def test_everyLineEnds(self, words: list[str]) -> None:
        """Whatever the words, there is an exit status that a process can have."""
        self.assertIn(status_of(*words), range(128))


class HelpTests(SynchronousTestCase):
    """Where help goes, and with which exit status."""

    def test_nothingAskedIsAnError(self) -> None:
        """Without words the list of commands goes to standard error, with 127."""
        outcome = invoke()
        self.assertEqual((outcome.status, outcome.out), (127, b""))
        self.assertIn("Available commands are:", outcome.err)

    def test_helpAlone(self) -> None:
        """-h, -help and --help show the list of commands on standard output."""
        for word in ("-h", "-help", "--help"):
            outcome = invoke(word)
            self.assertEqual((outcome.status, outcome.err), (0, ""))
            self.assertIn(b"    kv ", outcome.out)

    def test_unknownCommand(self) -> None:
        """An unknown command ends with 127, even when its help is asked for."""
        for words in (["frobnicate"], ["frobnicate", "-h"]):
            outcome = invoke(*words)
            self.assertEqual((outcome.status, outcome.out), (127, b""))

    def test_groupAlone(self) -> None:
        """A group without one of its subcommands shows its help as an error."""
        for words in (["kv"], ["kv", "frobnicate"], ["snapshot"]):
            outcome = invoke(*words)
            self.assertEqual((outcome.status, outcome.out), (1, b""))
            self.assertIn("Subcommands:\n    ", outcome.err)

    def test_helpAnywhere(self) -> None:
        """-h counts wherever it stands."""
        for words in (["kv", "get", "-h"], ["-h", "kv", "get"], ["kv", "get", "key", "--help"]):
            outcome = invoke(*words)
            self.assertEqual((outcome.status, outcome.err), (0, ""))
            self.assertTrue(outcome.out.startswith(b"Usage: txconsul kv get"), outcome.out)

    def test_flagsBeforeTheCommand(self) -> None:
        """A flag before the command's name is an error that shows the command's help."""
        outcome = invoke("-stale", "kv", "get", "a")
        self.assertEqual((outcome.status, outcome.out), (1, b""))
        self.assertIn("Usage: txconsul kv get", outcome.err)

    def test_everyCommandHasHelp(self) -> None:
        """Each row leads to a function beside a text that names the command, in 80 columns and without tabs."""
        for name, row in COMMANDS.items():
            module = import_module(row.target.partition(":")[0])
            self.assertTrue(callable(getattr(module, row.target.partition(":")[2])))
            outcome = invoke(*name, "-h")
            shown = outcome.out.decode()
            self.assertEqual(outcome.status, 0)
            self.assertTrue(shown.startswith("Usage: txconsul " + " ".join(name)), name)
            self.assertNotIn("\t", shown)
            self.assertLessEqual(max(map(len, shown.splitlines())), 80, name)

    def test_sections(self) -> None:
        """Flags about the agent stand before a command's own, each wrapped and sorted."""
        lines = invoke("kv", "get", "-h").out.decode().splitlines()
        flags = [line for line in lines if line.startswith("  -")]
        agent, own = lines.index("HTTP API Options"), lines.index("Command Options")
        self.assertLess(agent, own)
        self.assertLess(lines.index("  -token=<value>"), own)
        self.assertLess(own, lines.index("  -separator=<string>"))
        self.assertEqual(flags[0], "  -ca-file=<value>")

    def test_groupTableHasNoStatusOfItsOwn(self) -> None:
        """What a group returns is no exit status of a process."""
        self.assertNotIn(commands.SHOW_HELP, range(256))


class VersionTests(SynchronousTestCase):
    """txconsul version."""

    def test_everyForm(self) -> None:
        """version, -v, -version and --version say the same."""
        shown = {invoke(word).out for word in ("version", "-v", "-version", "--version")}
        self.assertEqual(len(shown), 1)
        self.assertTrue(shown.pop().startswith(b"Consul v1.21.4\n"))

    def test_json(self) -> None:
        """-format=json shows the protocols as numbers."""
        found = json.loads(invoke("version", "-format=json").out)
        self.assertEqual(found["RPC"], {"Default": 2, "Min": 2, "Max": 3})

    def test_unknownFormat(self) -> None:
        """Another format is an error."""
        outcome = invoke("version", "-format=yaml")
        self.assertEqual((outcome.status, outcome.err), (1, "Unknown format: yaml\n"))


class ProcessTests(SynchronousTestCase):
    """The program itself."""

    def test_importsAreFew(self) -> None:
        """Commands that speak HTTP import nothing of Twisted, and version no HTTP either."""
        script = (
            "import sys; sys.argv = ['txconsul', *sys.argv[1:]]\n"
            "from txconsul.cli.main import run\n"
            "status = run()\n"
            "print(sorted({name.partition('.')[0] for name in sys.modules} & {'twisted', 'ssl', 'http', 'msgspec'}))\n"
            "sys.exit(status)"
        )
        for words, status, loaded in (
            (["version"], 0, "[]"),
            (["kv", "get", "-http-addr=unix:///nonexistent/socket", "a"], 1, "['http', 'ssl']"),
        ):
            done = subprocess.run(
                [sys.executable, "-c", script, *words], capture_output=True, text=True, check=False, cwd=ROOT
            )
            self.assertEqual((done.returncode, done.stdout.splitlines()[-1]), (status, loaded), done.stderr)

    def test_closedPipeEndsQuietly(self) -> None:
        """When nobody reads the output any more, the program ends without a traceback."""
        script = "import os, sys; r, w = os.pipe(); os.close(r); os.dup2(w, 1)\n"
        script += "sys.argv = ['txconsul', 'version']\nfrom txconsul.cli.main import run\nsys.exit(run())"
        done = subprocess.run([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True, check=False, cwd=ROOT)
        self.assertEqual((done.returncode, done.stderr), (141, ""))
