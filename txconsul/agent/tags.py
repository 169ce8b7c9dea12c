"""
What Consul's agents say of themselves in Serf's tags, what that says of a server, and who is let into a pool.

Source: the wire documents, GOSSIP section 7. The texts by which others are refused are Consul's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from ipaddress import ip_address

import msgspec

from txconsul import CONSUL_VERSION
from txconsul.agent.configuration.model import Configuration
from txconsul.codec.duration import format_duration, parse_duration
from txconsul.serf.members import Member
from txconsul.serf.messages import Status

__all__ = ["LANRules", "ServerParts", "WANRules", "client_tags", "server_of", "server_tags", "wide_name"]

#: The oldest and newest of what is spoken between Consul's agents (C{protocol}).
PROTOCOL_MIN, PROTOCOL_MAX = 2, 3
#: Version of the program, colon, commit; nobody notes the last one.
BUILD = f"{CONSUL_VERSION}:"
#: From this version on, two members with one id are a mistake.
_UNIQUE_IDS_SINCE = (0, 8, 5)

_NUMBER = re.compile(r"[+-]?[0-9]+")
_VERSION = re.compile(r"([0-9]+)\.([0-9]+)\.([0-9]+)")
#: Texts longer than this are no numbers of 64 bits.
_DIGITS_MAX = 20
_WORD = 1 << 63


def _common_tags(configuration: Configuration, node_id: str, role: str) -> dict[str, str]:
    return {
        "role": role,
        "dc": configuration.datacenter,
        "segment": "",
        "id": node_id,
        "vsn": str(configuration.protocol),
        "vsn_min": str(PROTOCOL_MIN),
        "vsn_max": str(PROTOCOL_MAX),
        "build": BUILD,
    }


def client_tags(configuration: Configuration, node_id: str) -> dict[str, str]:
    """The tags of an agent that is no server. @param node_id: the node's UUID."""
    tags = _common_tags(configuration, node_id, "node")
    timeout = parse_duration(configuration.raw.get("advertise_reconnect_timeout") or "0s")
    if timeout:
        tags["rc_tm"] = format_duration(timeout)
    return tags


def server_tags(configuration: Configuration, node_id: str, *, wan: bool = False) -> dict[str, str]:
    """
    The tags of a server.

    @param node_id: the node's UUID.
    @param wan: those in the pool of all datacenters.
    """
    it = configuration
    tags = _common_tags(it, node_id, "consul")
    tags |= {"port": str(it.ports.server), "raft_vsn": str(it.raft.protocol), "acls": str(int(it.acl.enabled))}
    # Federation states and intentions as configuration entries: all of ours keep them.
    tags |= {"ft_fs": "1", "ft_si": "1"}
    if not wan and it.ports.serf_wan > 0:
        tags["wan_join_port"] = str(it.ports.serf_wan)
    for name, port in (("grpc_port", it.ports.grpc), ("grpc_tls_port", it.ports.grpc_tls)):
        if port > 0:
            tags[name] = str(port)
    if it.bootstrap:
        tags["bootstrap"] = "1"
    if it.bootstrap_expect:
        tags["expect"] = str(it.bootstrap_expect)
    return tags


def wide_name(node: str, datacenter: str) -> str:
    """A server's name in the pool of all datacenters."""
    return f"{node}.{datacenter}"


# ---- a server, from its tags ----


class ServerParts(msgspec.Struct, frozen=True, kw_only=True):
    """
    A server, as its tags describe it.

    @ivar name: as the pool has it; C{short_name} without the datacenter that the pool of all of them appends.
    @ivar host: its address as text; its RPC is at C{port}.
    @ivar wan_join_port: its port in the pool of all datacenters; 0 if it is in none.
    @ivar lan_join_port: its port in the pool that this was heard in.
    @ivar grpc_port: 0 where there is none; likewise C{grpc_tls_port}.
    @ivar expect: how many servers it waits for before a group is begun; 0 if for none.
    @ivar build: the first version number in its build, three numbers.
    @ivar flags: features that it announces (C{ft_fs} is C{fs}), by name.
    """

    name: str
    short_name: str
    id: str
    datacenter: str
    segment: str
    host: str
    port: int
    wan_join_port: int
    lan_join_port: int
    grpc_port: int
    grpc_tls_port: int
    bootstrap: bool
    expect: int
    build: tuple[int, int, int]
    version: int
    raft_version: int
    status: Status
    read_replica: bool
    use_tls: bool
    flags: Mapping[str, int]

    @property
    def address(self) -> str:
        """Where its RPC and its Raft are reached, C{host:port}."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def server_of(member: Member) -> ServerParts | None:
    """What a member's tags say of a server; None if it is none, or says something that cannot be."""
    tags = member.tags
    if tags.get("role") != "consul":
        return None
    try:
        grpc_ports = [_lenient(tags.get(name)) for name in ("grpc_port", "grpc_tls_port")]
        if ("grpc_port" in tags or "grpc_tls_port" in tags) and max(grpc_ports) < 1:
            return None
        for name, value in tags.items():
            if name.startswith("sl_"):
                _number(value.rpartition(":")[2])
        datacenter = tags.get("dc", "")
        return ServerParts(
            name=member.name,
            short_name=member.name.removesuffix(f".{datacenter}"),
            id=tags.get("id", ""),
            datacenter=datacenter,
            segment=tags.get("segment", ""),
            host=str(ip_address(member.addr)),
            port=_number(tags.get("port", "")),
            wan_join_port=_number(tags.get("wan_join_port", "0")),
            lan_join_port=member.port,
            grpc_port=grpc_ports[0],
            grpc_tls_port=grpc_ports[1],
            bootstrap="bootstrap" in tags,
            expect=_number(tags.get("expect", "0")),
            build=build_of(tags.get("build", "")),
            version=_number(tags.get("vsn", "")),
            raft_version=_number(tags.get("raft_vsn", "0")),
            status=member.status,
            read_replica="nonvoter" in tags or "read_replica" in tags,
            use_tls="use_tls" in tags,
            flags={name[3:]: _number(value) for name, value in tags.items() if name.startswith("ft_")},
        )
    except ValueError:
        return None


def _number(text: str) -> int:
    """A number as Go reads one. @raise ValueError: it is none, or has more than 64 bits."""
    if _NUMBER.fullmatch(text) is None or len(text) > _DIGITS_MAX:
        raise ValueError("not a number")
    number = int(text)
    if not -_WORD <= number < _WORD:
        raise ValueError("more than 64 bits")
    return number


def _lenient(text: str | None) -> int:
    try:
        return _number(text or "")
    except ValueError:
        return 0


@lru_cache(maxsize=256)
def build_of(text: str) -> tuple[int, int, int]:
    """
    The version that a build names.

    >>> build_of("1.21.4+ent:abcdef12")
    (1, 21, 4)

    @raise ValueError: it names none.
    """
    found = _VERSION.search(text)
    if found is None:
        raise ValueError("no version")
    major, minor, patch = (_number(one) for one in found.groups())
    return major, minor, patch


# ---- who is let in ----


class LANRules:
    """Who is let into the pool of a datacenter: its own agents, each with an id of its own."""

    def __init__(self, datacenter: str, node_id: str, node_name: str) -> None:
        self._datacenter = datacenter
        self._node_id = node_id
        self._node_name = node_name

    def refuse(self, members: Iterable[Member]) -> str:
        """Why some members are not let in; empty if they are."""
        names: dict[str, str] = {}
        for member in members:
            problem = self._shared_id(member, names) or self._foreign(member) or _enterprise(member)
            if problem:
                return problem
        return ""

    def _shared_id(self, member: Member, names: dict[str, str]) -> str:
        node_id = member.tags.get("id", "")
        if not node_id or member.status is Status.LEFT:
            return ""
        clash = f"Member '{member.name}' has conflicting node ID '{node_id}' with "
        if node_id == self._node_id and member.name.casefold() != self._node_name.casefold():
            return f"{clash}this agent's ID"
        if node_id in names:
            return f"{clash}member '{names[node_id]}'"
        try:
            if build_of(member.tags.get("build", "")) >= _UNIQUE_IDS_SINCE:
                names[node_id] = member.name
        except ValueError:
            pass
        return ""

    def _foreign(self, member: Member) -> str:
        """Only an agent of Consul's has a datacenter."""
        is_agent = member.tags.get("role") == "node" or server_of(member) is not None
        datacenter = member.tags.get("dc", "")
        if is_agent and datacenter != self._datacenter:
            return f"Member '{member.name}' part of wrong datacenter '{datacenter}'"
        return ""


def _enterprise(member: Member) -> str:
    """What only Consul Enterprise's members say."""
    tags = member.tags
    if tags.get("fips"):
        return f"Member '{member.name}' is FIPS Consul; FIPS Consul is only available in Consul Enterprise"
    if tags.get("ap"):
        return f"Member '{member.name}' part of partition '{tags['ap']}'; Partitions are a Consul Enterprise feature"
    if tags.get("segment"):
        return (
            f"Member '{member.name}' part of segment '{tags['segment']}'; "
            "Network Segments are a Consul Enterprise feature"
        )
    return ""


class WANRules:
    """
    Who is let into the pool of all datacenters: servers.

    @ivar alone: only this datacenter's own (federation by WAN gossip is switched off).
    """

    def __init__(self, datacenter: str) -> None:
        self._datacenter = datacenter
        self.alone = False

    def refuse(self, members: Iterable[Member]) -> str:
        """Why some members are not let in; empty if they are."""
        for member in members:
            server = server_of(member)
            if server is None:
                return f"Member '{member.name}' is not a server"
            if self.alone and server.datacenter != self._datacenter:
                return (
                    f"Member '{member.name}' part of wrong datacenter '{server.datacenter}'; WAN federation is disabled"
                )
        return ""
