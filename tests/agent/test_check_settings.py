"""What the configuration says of how checks are run."""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.task import Clock

from tests.agent.configuring import ConfigurationTestCase
from tests.agent.local_agent import NoNetwork
from tests.net.test_tls import CA, CLIENT, certificate_pem, key_pem
from txconsul.agent.check_settings import check_identity, check_limits, check_surroundings
from txconsul.agent.configuration import Configuration
from txconsul.agent.running_checks import Limits
from txconsul.net.tls import TLSUnusable
from txconsul.net.tls_client import ANONYMOUS


class SettingsTests(ConfigurationTestCase):
    """Limits, and as whom checks call."""

    def configured(self, hcl: str) -> Configuration:
        """A configuration of a server with a certificate."""
        directory = self.directory()
        contents = {"ca": certificate_pem(CA[0]), "cert": certificate_pem(CLIENT[0]), "key": key_pem(CLIENT[1])}
        lines = []
        for name, data in contents.items():
            path = os.path.abspath(self.write(f"{name}.pem", data.decode(), directory))
            lines.append(f'{name}_file = "{path}"')
        return self.load(hcl="\n".join((hcl, "tls { internal_rpc {", *lines, "} }")))

    def test_limits(self) -> None:
        """Scripts are off, on for files, or on; outputs have a limit."""
        self.assertEqual(check_limits(self.load()), Limits(4096, False, False))
        self.assertEqual(check_limits(self.load(hcl="enable_local_script_checks = true")), Limits(4096, False, True))
        self.assertEqual(check_limits(self.load(hcl="enable_script_checks = true")), Limits(4096, True, True))
        self.assertEqual(check_limits(self.load(hcl="check_output_max_size = 9")).output_size_max, 9)

    def test_stranger(self) -> None:
        """Checks show nothing of the agent's, unless they are told to."""
        self.assertEqual(check_identity(self.configured("")), (ANONYMOUS, ""))

    def test_agentsTLS(self) -> None:
        """With C{enable_agent_tls_for_checks}: certificate, authorities, and the server's name or the node's."""
        shown, name = check_identity(self.configured('enable_agent_tls_for_checks = true\nnode_name = "n1"'))
        self.assertEqual((len(shown.chain), len(shown.trusted), name), (1, 1, "n1"))
        named = 'enable_agent_tls_for_checks = true\nserver_name = "srv.example"'
        self.assertEqual(check_identity(self.configured(named))[1], "srv.example")
        found = check_surroundings(self.configured(named), network())
        self.assertEqual(found.tls.server_name, "srv.example")

    def test_unusable(self) -> None:
        """A file that is not there is told."""
        hcl = 'enable_agent_tls_for_checks = true\ntls { internal_rpc { ca_file = "absent" } }'
        error = self.assertRaises(TLSUnusable, check_identity, self.load(hcl=hcl))
        self.assertEqual(str(error), "ca_file absent: No such file or directory")


def network() -> Any:
    """One on which nobody answers."""
    return NoNetwork(Clock())
