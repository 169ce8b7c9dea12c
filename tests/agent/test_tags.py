"""Consul's tags: what an agent says of itself, what is read of a server, and who is let in."""

from __future__ import annotations

import json
from ipaddress import ip_address
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.agent.configuring import ConfigurationTestCase
from txconsul.agent.configuration.model import Configuration
from txconsul.agent.tags import LANRules, WANRules, client_tags, server_of, server_tags
from txconsul.serf.members import Member
from txconsul.serf.messages import Status

ID = "11111111-2222-3333-4444-555555555555"
SERVER = {
    "role": "consul",
    "dc": "dc1",
    "id": ID,
    "port": "8300",
    "vsn": "2",
    "build": "1.21.4:abcdef12",
    "segment": "",
}
CLIENT = {"role": "node", "dc": "dc1", "id": ID, "build": "1.21.4:", "segment": ""}


def member(name: str = "a", status: Status = Status.ALIVE, host: str = "10.0.0.1", **tags: str | None) -> Member:
    """A server, with these tags beside; None takes one away."""
    found = {name: value for name, value in {**SERVER, **tags}.items() if value is not None}
    return Member(name, ip_address(host).packed, 8301, found, status, bytes([1, 5, 2, 2, 5, 4]))


def client(name: str = "a", **tags: str) -> Member:
    """An agent that is no server."""
    return Member(name, b"\x0a\0\0\2", 8301, {**CLIENT, **tags}, Status.ALIVE, bytes([1, 5, 2, 2, 5, 4]))


class OwnTagsTests(ConfigurationTestCase):
    """What an agent says of itself."""

    def configuration(self, **values: Any) -> Configuration:
        """A server's, unless it says otherwise."""
        return self.load(f"-config-file={self.write('a.json', json.dumps({'server': True, **values}))}")

    def test_server(self) -> None:
        """A server names its ports, its datacenter and its versions; over the WAN no port for that."""
        tags = server_tags(self.configuration(ports={"grpc": 8502}), ID)
        self.assertEqual(
            tags,
            {
                "role": "consul",
                "dc": "dc1",
                "segment": "",
                "id": ID,
                "vsn": "2",
                "vsn_min": "2",
                "vsn_max": "3",
                "build": "1.21.4:",
                "port": "8300",
                "raft_vsn": "3",
                "acls": "0",
                "ft_fs": "1",
                "ft_si": "1",
                "wan_join_port": "8302",
                "grpc_port": "8502",
                "grpc_tls_port": "8503",
            },
        )
        wide = server_tags(self.configuration(ports={"grpc": 8502}), ID, wan=True)
        del tags["wan_join_port"]
        self.assertEqual(wide, tags)

    def test_asConfigured(self) -> None:
        """What is not on is not said, and what is on is."""
        for values, said, unsaid in (
            ({"ports": {"serf_wan": -1, "grpc_tls": -1}}, {}, {"wan_join_port", "grpc_port", "grpc_tls_port"}),
            ({"bootstrap": True}, {"bootstrap": "1"}, {"expect"}),
            ({"protocol": 3}, {"vsn": "3", "vsn_min": "2", "vsn_max": "3"}, set()),
            ({"bootstrap_expect": 1}, {"bootstrap": "1"}, {"expect"}),
            ({"bootstrap_expect": 3}, {"expect": "3"}, {"bootstrap"}),
            # An authority is for checks, too: others are not told to use TLS, which is not spoken here yet.
            ({"tls": {"internal_rpc": {"ca_path": "x"}}}, {}, {"use_tls"}),
            ({"acl": {"enabled": True}}, {"acls": "1"}, {"use_tls"}),
        ):
            tags = server_tags(self.configuration(**values), ID)
            self.assertEqual({name: tags.get(name) for name in said}, said)
            self.assertFalse(set(tags) & unsaid, values)

    def test_client(self) -> None:
        """A client says less, and how long it wants to be remembered."""
        tags = client_tags(self.configuration(server=False, advertise_reconnect_timeout="10m"), ID)
        self.assertEqual(
            tags,
            {
                "role": "node",
                "dc": "dc1",
                "segment": "",
                "id": ID,
                "vsn": "2",
                "vsn_min": "2",
                "vsn_max": "3",
                "build": "1.21.4:",
                "rc_tm": "10m0s",
            },
        )
        self.assertNotIn("rc_tm", client_tags(self.configuration(server=False), ID))

    def test_ownAreRead(self) -> None:
        """What a server says of itself is read as one."""
        it = self.configuration(bootstrap_expect=3)
        found = server_of(member(**server_tags(it, ID)))
        assert found is not None
        self.assertEqual((found.expect, found.bootstrap, found.raft_version), (3, False, 3))
        self.assertEqual((found.wan_join_port, found.grpc_tls_port, found.flags), (8302, 8503, {"fs": 1, "si": 1}))


class ServerPartsTests(SynchronousTestCase):
    """A server, from its tags."""

    def test_read(self) -> None:
        """Each tag has its place."""
        found = server_of(
            member(
                "a.dc1",
                Status.FAILED,
                "fd00::1",
                bootstrap="1",
                expect="3",
                use_tls="1",
                nonvoter="1",
                raft_vsn="3",
                wan_join_port="8302",
                grpc_port="0",
                grpc_tls_port="8503",
                ft_si="1",
                sl_alpha="[::1]:8303",
            )
        )
        assert found is not None
        self.assertEqual((found.name, found.short_name, found.id, found.datacenter), ("a.dc1", "a", ID, "dc1"))
        self.assertEqual((found.host, found.port, found.address), ("fd00::1", 8300, "[fd00::1]:8300"))
        self.assertEqual((found.wan_join_port, found.lan_join_port), (8302, 8301))
        self.assertEqual((found.grpc_port, found.grpc_tls_port), (0, 8503))
        self.assertEqual((found.bootstrap, found.expect, found.use_tls, found.read_replica), (True, 3, True, True))
        self.assertEqual((found.build, found.version, found.raft_version), ((1, 21, 4), 2, 3))
        self.assertEqual((found.status, found.flags, found.segment), (Status.FAILED, {"si": 1}, ""))

    def test_notOne(self) -> None:
        """Whoever has another role, or a tag that cannot be, is no server."""
        for wrong in (
            {"role": "node"},
            {"role": None},
            {"port": None},
            {"port": "http"},
            {"port": "83 00"},
            {"port": "9" * 19},
            {"vsn": None},
            {"expect": "many"},
            {"wan_join_port": ""},
            {"raft_vsn": "three"},
            {"build": "newest"},
            {"build": None},
            {"grpc_port": "-1"},
            {"grpc_port": "x", "grpc_tls_port": "0"},
            {"sl_alpha": "somewhere"},
            {"ft_si": "yes"},
        ):
            self.assertIsNone(server_of(member(**wrong)), wrong)

    @settings(deadline=None)
    @given(st.dictionaries(st.sampled_from([*SERVER, "expect", "ft_x", "sl_x", "grpc_port", "raft_vsn"]), st.text()))
    def test_anything(self, tags: dict[str, str]) -> None:
        """Tags are others' words: whatever they say, it is a server or none."""
        found = server_of(member(**tags))
        self.assertTrue(found is None or found.port == int(SERVER["port"] if "port" not in tags else tags["port"]))
        self.assertIsInstance(LANRules("dc1", ID, "a").refuse([member(**tags)]), str)


class RulesTests(SynchronousTestCase):
    """Who is let in."""

    def test_lan(self) -> None:
        """Only a datacenter's own agents, each with its own id, and none of Enterprise's."""
        rules = LANRules("dc1", "own", "me")
        for members, wanted in (
            ([member(), client("b", id="other")], ""),
            ([member(id="own")], "Member 'a' has conflicting node ID 'own' with this agent's ID"),
            ([member("ME", id="own")], ""),
            ([member("b", Status.LEFT, id="own")], ""),
            ([member("b"), member("c")], f"Member 'c' has conflicting node ID '{ID}' with member 'b'"),
            ([member("b", Status.LEFT), member("c")], ""),
            ([member("b", build="0.8.4"), member("c")], ""),
            ([member("b", id=""), member("c", id="")], ""),
            ([member(dc="dc2")], "Member 'a' part of wrong datacenter 'dc2'"),
            ([client(dc="")], "Member 'a' part of wrong datacenter ''"),
            ([member(role="web", dc="dc2")], ""),
            ([member(ap="x")], "Member 'a' part of partition 'x'; Partitions are a Consul Enterprise feature"),
            ([client(fips="1")], "Member 'a' is FIPS Consul; FIPS Consul is only available in Consul Enterprise"),
            (
                [member(segment="x")],
                "Member 'a' part of segment 'x'; Network Segments are a Consul Enterprise feature",
            ),
        ):
            self.assertEqual(rules.refuse(members), wanted)

    def test_wan(self) -> None:
        """Only servers, of all datacenters, unless this one is to stay alone."""
        rules = WANRules("dc1")
        self.assertEqual(rules.refuse([member("a.dc1"), member("b.dc2", dc="dc2")]), "")
        self.assertEqual(rules.refuse([client("c")]), "Member 'c' is not a server")
        rules.alone = True
        self.assertEqual(
            rules.refuse([member("a.dc1"), member("b.dc2", dc="dc2")]),
            "Member 'b.dc2' part of wrong datacenter 'dc2'; WAN federation is disabled",
        )
