"""
What an agent is, in the words of C{/v1/agent/self}: its configuration's outline, its gossip member, its gRPC ports.

Source: Consul's documentation of the agent HTTP API; the wire documents' tags of Consul's members.
"""

from __future__ import annotations

from typing import Any

from txconsul import CONSUL_VERSION
from txconsul.agent.configuration.model import Configuration

__all__ = ["member", "node_meta", "outline", "xds"]

#: When this program was built: nobody notes that.
BUILD_DATE = "0001-01-01T00:00:00Z"


def outline(configuration: Configuration, node_id: str) -> dict[str, Any]:
    """The part of the configuration that clients rely on."""
    it = configuration
    return {
        "Datacenter": it.datacenter,
        "PrimaryDatacenter": it.primary_datacenter,
        "NodeName": it.node_name,
        "NodeID": node_id,
        "Revision": "",
        "Server": it.server,
        "Version": CONSUL_VERSION,
        "BuildDate": BUILD_DATE,
    }


def member(configuration: Configuration, node_id: str) -> dict[str, Any]:
    """What this agent is to its pool, in Serf's and Consul's words."""
    it = configuration
    tags = {
        "acls": "0",
        "bootstrap": "1",
        "build": f"{CONSUL_VERSION}:",
        "dc": it.datacenter,
        "id": node_id,
        "port": str(it.ports.server),
        "raft_vsn": "3",
        "role": "consul",
        "segment": "",
        "vsn": "2",
        "vsn_max": "3",
        "vsn_min": "2",
        "wan_join_port": str(it.ports.serf_wan),
    }
    for name, port in (("grpc_port", it.ports.grpc), ("grpc_tls_port", it.ports.grpc_tls)):
        if port > 0:
            tags[name] = str(port)
    return {
        "Name": it.node_name,
        "Addr": it.advertise_address,
        "Port": it.ports.serf_lan,
        "Tags": tags,
        "Status": 1,
        "ProtocolMin": 1,
        "ProtocolMax": 5,
        "ProtocolCur": 2,
        "DelegateMin": 2,
        "DelegateMax": 5,
        "DelegateCur": 4,
    }


def node_meta(configuration: Configuration) -> dict[str, str]:
    """The node's metadata, with what every node of Consul's has."""
    return {"consul-network-segment": "", "consul-version": CONSUL_VERSION, **configuration.node_meta}


def xds(configuration: Configuration) -> dict[str, Any] | None:
    """Where proxies would be told their configuration; None where no port is set aside for it. None is known yet."""
    plain, secure = configuration.ports.grpc, configuration.ports.grpc_tls
    if plain <= 0 and secure <= 0:
        return None
    return {
        "SupportedProxies": {"envoy": []},
        "Port": secure if secure > 0 else plain,
        "Ports": {"Plaintext": plain, "TLS": secure},
    }
