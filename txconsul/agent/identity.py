"""
What an agent is, in the words of C{/v1/agent/self}: its configuration's outline, its gRPC ports.

Source: Consul's documentation of the agent HTTP API.
"""

from __future__ import annotations

from typing import Any

from txconsul import CONSUL_VERSION
from txconsul.agent.configuration.model import Configuration

__all__ = ["node_meta", "outline", "xds"]

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
