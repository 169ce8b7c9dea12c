"""
Requests of the catalog's API, counted as Consul's agents count them.

All but the errors follow from what is measured anyway.

Source: Consul's "Agent telemetry reference", C{client.api.*} and C{client.rpc.error.*}.
"""

from __future__ import annotations

from txconsul.metrics.instruments import Counter, Sample
from txconsul.metrics.metrics import Metrics

__all__ = ["COUNTED", "count_requests"]

#: Rows of the table, their method, and the last part of the metrics' names.
COUNTED = {
    b"/v1/catalog/connect/": ("GET", "catalog_connect_service_nodes"),
    b"/v1/catalog/datacenters": ("GET", "catalog_datacenters"),
    b"/v1/catalog/deregister": ("PUT", "catalog_deregister"),
    b"/v1/catalog/gateway-services/": ("GET", "catalog_gateway_services"),
    b"/v1/catalog/node-services/": ("GET", "catalog_node_service_list"),
    b"/v1/catalog/node/": ("GET", "catalog_node_services"),
    b"/v1/catalog/nodes": ("GET", "catalog_nodes"),
    b"/v1/catalog/register": ("PUT", "catalog_register"),
    b"/v1/catalog/service/": ("GET", "catalog_service_nodes"),
    b"/v1/catalog/services": ("GET", "catalog_services"),
}


def count_requests(metrics: Metrics, node: str, name: str, timer: Sample) -> Counter:
    """
    Count the requests that C{timer} measures.

    @return: what is to be told of each that failed.
    """
    errors = metrics.counter(f"client.rpc.error.{name}", node=node)

    def asked() -> int:
        return timer.total + timer.count

    metrics.counted(f"client.api.{name}", asked, node=node)
    metrics.counted(f"client.api.success.{name}", lambda: asked() - errors.total - errors.count, node=node)
    return errors
