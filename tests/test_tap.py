"""C{twist txconsul}: its options, and the service that they make."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.application.service import IServiceMaker
from twisted.plugin import getPlugins
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

from txconsul.tap import Options


class PluginTests(SynchronousTestCase):
    """How twist finds us."""

    def test_found(self) -> None:
        """There is one plugin of this name, and it makes its options."""
        (plugin,) = [one for one in getPlugins(IServiceMaker) if one.tapname == "txconsul"]
        self.assertIsInstance(plugin.options(), Options)


class OptionsTests(SynchronousTestCase):
    """What flags ask for."""

    def options(self, *arguments: str) -> Options:
        """The options of a command line."""
        options = Options()
        options.parseOptions(["--bind", "127.0.0.1", *arguments])
        return options

    def test_oneServer(self) -> None:
        """A server that nobody else is spoken of to elects itself and keeps its data beside it."""
        configuration = self.options("--server", "--dc", "dc7").configuration
        self.assertEqual((configuration.datacenter, configuration.bootstrap), ("dc7", True))
        self.assertEqual(os.path.normpath(configuration.data_dir), "txconsul-data")
        self.assertEqual(configuration.warnings, ())

    def test_dataDir(self) -> None:
        """A data directory that is named is taken; in development there is none."""
        path = self.mktemp()
        self.assertEqual(self.options("-server", f"-data-dir={path}").configuration.data_dir, path)
        self.assertEqual(self.options("-dev").configuration.data_dir, "")

    def test_file(self) -> None:
        """Where a file is given, nothing is chosen for it."""
        path = Path(self.mktemp()).with_suffix(".hcl")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('server = true\nbootstrap_expect = 1\ndata_dir = "elsewhere"\n')
        configuration = self.options("--config-file", str(path)).configuration
        self.assertEqual(configuration.data_dir, "elsewhere")

    def test_refused(self) -> None:
        """What cannot be used ends twist with its usage error, which names flag or key."""
        for arguments, word in (
            (["--sever"], "-sever"),
            (["--server", "-hcl", "colour = 1"], "colour"),
            (["--server", "-hcl", "acl { enabled = true }"], "acl.enabled"),
            (["--server", "-hcl", "tls { internal_rpc { verify_outgoing = true } }"], "tls.internal_rpc"),
            (["--server", "-node-id", "x"], "NodeID"),
        ):
            self.assertIn(word, str(self.assertRaises(UsageError, self.options, *arguments)))

    def test_usage(self) -> None:
        """The usage lists the agent's flags."""
        self.assertIn("-data-dir", Options().getUsage())
        self.assertIn("-data-dir", str(Options()))
