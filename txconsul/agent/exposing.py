"""
Which checks go through a proxy's listener: a proxy can open a port of its own for each HTTP and gRPC check of its
service, so that the service itself need listen to nobody but the proxy.

Pure: it is told which proxies there are.

Source: Consul's documentation of C{expose.checks} in proxy registrations, and of C{expose_min_port}.
"""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

import msgspec

from txconsul.errors import InvalidRequest
from txconsul.records.service import CheckType, NodeService

__all__ = ["Exposure", "through_grpc", "through_http"]


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address and not address.startswith("[") else address


def through_http(url: str, address: str, port: int) -> str:
    """
    The same page at a listener; what is no URL stays as it is.

    >>> through_http("http://web:80/health?deep", "10.0.0.1", 21500)
    'http://10.0.0.1:21500/health?deep'
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    if parts.scheme not in ("http", "https") or not parts.netloc:
        return url
    user, at, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user}{at}{_host(address)}:{port}"))


def through_grpc(target: str, address: str, port: int) -> str:
    """
    The same service at a listener.

    >>> through_grpc("web:80/pay", "fd00::1", 21500)
    '[fd00::1]:21500/pay'
    """
    _, slash, service = target.partition("/")
    return f"{_host(address)}:{port}{slash}{service}"


class Exposure:
    """
    @param low: the first port that may be given to a check; C{high}, the first one above that may not.
    """

    def __init__(self, low: int, high: int) -> None:
        self._range = range(low, high)
        #: The proxies that expose checks, by the id of their service: their own id and address.
        self._proxies: dict[str, tuple[str, str]] = {}
        #: By the ids of a service and its check.
        self._ports: dict[tuple[str, str], int] = {}

    def put(self, proxy: NodeService) -> bool:
        """A service was registered. @return: whether it changes where another one's checks go."""
        service_id = proxy.proxy.destination_service_id
        if not service_id or not proxy.proxy.expose.checks:
            return self.drop(proxy)
        here = (proxy.id, proxy.address)
        changed = self._proxies.get(service_id) != here
        self._proxies[service_id] = here
        return changed

    def drop(self, proxy: NodeService) -> bool:
        """A service is gone. @return: as of L{put}."""
        service_id = proxy.proxy.destination_service_id
        known = self._proxies.get(service_id)
        if known is None or known[0] != proxy.id:
            return False
        del self._proxies[service_id]
        for key in [key for key in self._ports if key[0] == service_id]:
            del self._ports[key]
        return True

    def forget(self, service_id: str, check_id: str) -> None:
        """A check is gone."""
        self._ports.pop((service_id, check_id), None)

    def routed(self, service_id: str, check_id: str, definition: CheckType) -> tuple[CheckType, int]:
        """
        A definition with where the check goes, and the port; 0 for a check that goes directly.

        @raise InvalidRequest: no port is left.
        """
        http, grpc, port = "", "", 0
        proxy = self._proxies.get(service_id) if service_id else None
        if proxy is not None and (definition.http or definition.grpc) and definition.interval > 0:
            port = self._port(service_id, check_id)
            if definition.http:
                http = through_http(definition.http, proxy[1], port)
            else:
                grpc = through_grpc(definition.grpc, proxy[1], port)
        return msgspec.structs.replace(definition, proxy_http=http, proxy_grpc=grpc), port

    def _port(self, service_id: str, check_id: str) -> int:
        key = (service_id, check_id)
        if key not in self._ports:
            taken = set(self._ports.values())
            port = next((one for one in self._range if one not in taken), 0)
            if not port:
                raise InvalidRequest(f"no ports available to expose '{check_id}'")
            self._ports[key] = port
        return self._ports[key]
