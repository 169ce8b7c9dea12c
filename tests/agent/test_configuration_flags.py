"""The agent's flags."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from txconsul.agent.configuration import AGENT_FLAGS, agent_flags
from txconsul.agent.configuration.decode import decode
from txconsul.language.goflags import OPTIONAL_BOOL, OPTIONAL_DURATION, OPTIONAL_INT, PAIRS, FlagError, HelpWanted

#: Consul 1.21's, by its reference of the command line.
NAMES = """
advertise advertise-wan allow-write-http-from alt-domain auto-reload-config bind bootstrap bootstrap-expect
check_output_max_size client config-dir config-file config-format data-dir datacenter default-query-time dev
disable-host-node-id disable-keyring-file dns-port domain enable-local-script-checks enable-script-checks encrypt
grpc-port grpc-tls-port hcl http-port https-port join join-wan log-file log-json log-level log-rotate-bytes
log-rotate-duration log-rotate-max-files max-query-time node node-id node-meta non-voting-server pid-file
primary-gateway protocol raft-protocol read-replica recursor rejoin retry-interval retry-interval-wan retry-join
retry-join-wan retry-max retry-max-wan segment serf-lan-allowed-cidrs serf-lan-bind serf-lan-port
serf-wan-allowed-cidrs serf-wan-bind serf-wan-port server server-port syslog ui ui-content-path ui-dir
"""


class FlagTests(SynchronousTestCase):
    """What each flag sets."""

    def test_allOfConsuls(self) -> None:
        """Each flag of Consul's agent is there, and one short word of ours that is not listed."""
        listed = {flag.name for flag in AGENT_FLAGS if not flag.hidden}
        self.assertEqual(listed, set(NAMES.split()))
        self.assertEqual({flag.name for flag in AGENT_FLAGS if flag.hidden}, {"dc"})

    def test_everyFlagSetsAKeyOfItsType(self) -> None:
        """What a flag sets is a value by the table of keys."""
        samples = ((OPTIONAL_BOOL, "true"), (OPTIONAL_INT, "3"), (OPTIONAL_DURATION, "90s"), (PAIRS, "a:b"))
        for flag in AGENT_FLAGS:
            sample = next((text for kind, text in samples if kind is flag.kind), "x")
            flags = agent_flags([f"-{flag.name}={sample}"])
            decoded = decode(flags.values, json=False)
            self.assertEqual((decoded.values, decoded.unknown), (flags.values, []), flag.name)
            self.assertEqual(
                len(flags.origins), 0 if flag.name in "config-dir config-file config-format dev hcl" else 1
            )

    def test_values(self) -> None:
        """Flags of all kinds."""
        flags = agent_flags(
            [
                *("-server", "-bootstrap-expect=1", "--data-dir", "d", "-node-meta", "a:b", "-node-meta=c:d"),
                *("-http-port", "80", "-ui", "-max-query-time=90s", "-recursor", "1.1.1.1", "--dc", "lab"),
                "-enable-script-checks=false",
            ]
        )
        self.assertEqual(
            flags.values,
            {
                "server": True,
                "bootstrap_expect": 1,
                "data_dir": "d",
                "node_meta": {"a": "b", "c": "d"},
                "ports": {"http": 80},
                "ui_config": {"enabled": True},
                "max_query_time": "1m30s",
                "recursors": ["1.1.1.1"],
                "datacenter": "lab",
                "enable_script_checks": False,
            },
        )
        self.assertEqual(flags.origins["ports.http"], "-http-port")

    def test_filesKeepTheirOrder(self) -> None:
        """Files and directories are one list."""
        flags = agent_flags(["-config-file=a", "-config-dir=b", "-config-file=c", "-hcl", "x = 1", "-dev"])
        self.assertEqual((flags.config_files, flags.hcl, flags.dev), (("a", "b", "c"), ("x = 1",), True))

    def test_oldFlags(self) -> None:
        """-join adds to -retry-join, with a warning."""
        flags = agent_flags(["-join=a", "-retry-join=b", "-join-wan=c"])
        self.assertEqual(flags.values, {"retry_join": ["b", "a"], "retry_join_wan": ["c"]})
        self.assertEqual(len(flags.warnings), 2)

    def test_refusals(self) -> None:
        """Unknown flags and wrong values are refused; what is no flag is left."""
        for arguments in (["-no-such-flag"], ["-http-port=x"], ["-server=perhaps"], ["-retry-interval=5"], ["-node"]):
            self.assertRaises(FlagError, agent_flags, arguments)
        self.assertRaises(HelpWanted, agent_flags, ["-h"])
        self.assertEqual(agent_flags(["-server", "extra"]).rest, ("extra",))
