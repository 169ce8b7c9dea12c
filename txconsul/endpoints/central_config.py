"""
Proxies and gateways as they run: their registration, filled in from what is configured for all.

There are no configuration entries yet; what remains is that a proxy's own settings hold for its upstreams, and that
extensions of Envoy come from configuration entries alone.

Source: Consul's documentation of C{?merge-central-config} and of mesh gateway modes.
"""

from __future__ import annotations

from msgspec.structs import replace

from txconsul.endpoints.service_rules import GATEWAYS
from txconsul.records.catalog import CheckServiceNode, ServiceNode
from txconsul.records.service import ConnectProxyConfig, NodeService, Upstream

__all__ = ["merged_instance", "merged_node", "merged_service"]

#: The upstream that stands for all those which a proxy finds out for itself.
_ANY_UPSTREAM = "*"


def _is_merged(kind: str, proxy: ConnectProxyConfig) -> bool:
    if kind == "connect-proxy":
        return bool(proxy.destination_service_id or proxy.destination_service_name)
    return kind in GATEWAYS


def _merged(proxy: ConnectProxyConfig) -> ConnectProxyConfig:
    upstreams, mode = proxy.upstreams, proxy.mesh_gateway.mode
    if mode:
        upstreams = tuple([_through(one, proxy) for one in upstreams or ()])
        listed = any(one.destination_name == _ANY_UPSTREAM and not one.destination_peer for one in upstreams)
        if proxy.mode == "transparent" and not listed:
            wild = Upstream(
                destination_namespace="default",
                destination_partition="default",
                destination_name=_ANY_UPSTREAM,
                config={"mesh_gateway": {"Mode": mode}},
                centrally_configured=True,
                mesh_gateway=proxy.mesh_gateway,
            )
            upstreams = (*upstreams, wild)
    return replace(proxy, upstreams=upstreams or None, envoy_extensions=None)


def _through(upstream: Upstream, proxy: ConnectProxyConfig) -> Upstream:
    """An upstream that goes through the gateways which its proxy uses, unless it says otherwise."""
    if upstream.destination_type not in ("", "service") or upstream.mesh_gateway.mode:
        return upstream
    return replace(upstream, mesh_gateway=proxy.mesh_gateway)


def merged_service(service: NodeService) -> NodeService:
    """A service of a node, as it runs."""
    if not _is_merged(service.kind, service.proxy):
        return service
    return replace(service, proxy=_merged(service.proxy))


def merged_instance(instance: CheckServiceNode) -> CheckServiceNode:
    """An instance with its node and checks, as it runs."""
    service = instance.service
    return instance if service is None else replace(instance, service=merged_service(service))


def merged_node(instance: ServiceNode) -> ServiceNode:
    """An instance with its node, as it runs. What Consul merges so loses all of its node but the name."""
    if not _is_merged(instance.service_kind, instance.service_proxy):
        return instance
    return replace(
        instance,
        id="",
        address="",
        datacenter="",
        tagged_addresses=None,
        node_meta=None,
        service_proxy=_merged(instance.service_proxy),
    )
