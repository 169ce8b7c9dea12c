"""
By which proxy an HTTP check goes, as the environment says: C{HTTP_PROXY}, C{HTTPS_PROXY} and C{NO_PROXY}.

Nothing on this host is reached by a proxy, whatever the environment says: most checks are of services beside the agent.

Source: the documentation of Go's C{net/http.ProxyFromEnvironment}; RFC 9110, section 9.3.6 (CONNECT).
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory

from txconsul.agent.checks.dialing import CannotDial, Target, split_address
from txconsul.agent.checks.http_client import HTTPClient
from txconsul.interfaces import INetwork

__all__ = ["PORTS", "authorization", "proxy_for", "tunnel"]

PORTS = {"http": 80, "https": 443}
#: Said with NO_PROXY for every host.
EVERY = "*"
#: Kept of what a proxy says that refuses.
REFUSAL_BYTES_MAX = 1024


def proxy_for(url: SplitResult, environment: Mapping[str, str]) -> SplitResult | None:
    """
    The proxy for a URL; None for none.

    @raise ValueError: the environment names one that cannot be used.

    >>> proxy_for(urlsplit("http://web.example/"), {"HTTP_PROXY": "proxy:3128"}).netloc
    'proxy:3128'
    """
    name = "HTTPS_PROXY" if url.scheme == "https" else "HTTP_PROXY"
    given = _either(environment, name)
    if not given or not url.hostname:
        return None
    port = str(url.port or PORTS[url.scheme])
    if _is_here(url.hostname) or _is_excepted(url.hostname.rstrip("."), port, _either(environment, "NO_PROXY")):
        return None
    if name == "HTTP_PROXY" and environment.get("REQUEST_METHOD"):
        raise ValueError("refusing to use HTTP_PROXY value in CGI environment; see golang.org/s/cgihttpproxy")
    found = urlsplit(given if "://" in given else f"http://{given}")
    if found.scheme != "http" or not found.hostname:
        raise ValueError(f"invalid proxy address {given!r}: only http proxies are used for checks")
    return found


def _either(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name) or environment.get(name.lower()) or ""


def _address(text: str) -> Any:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _is_here(host: str) -> bool:
    address = _address(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def _is_excepted(host: str, port: str, exceptions: str) -> bool:
    address = _address(host)
    for text in (one.strip().lower() for one in exceptions.split(",")):
        if text == EVERY:
            return True
        if "/" in text:
            try:
                if address is not None and address in ip_network(text, strict=False):
                    return True
            except ValueError:
                pass
            continue
        try:
            name, wanted = split_address(text, 0)
        except ValueError:
            continue
        if not name or (wanted and str(wanted) != port):
            continue
        excepted = _address(name)
        if excepted is not None:
            if excepted == address:
                return True
            continue
        name = name.removeprefix("*")
        if host.endswith(name if name.startswith(".") else f".{name}") or host == name:
            return True
    return False


def authorization(url: SplitResult) -> str:
    """What the user and password in a URL become in a header (RFC 7617); empty without them."""
    if url.username is None:
        return ""
    pair = f"{unquote(url.username)}:{unquote(url.password or '')}".encode()
    return f"Basic {b64encode(pair).decode()}"


def tunnel(network: INetwork, proxy: SplitResult) -> Callable[[Target, Any], Deferred[Any]]:
    """What connects by a proxy; see L{txconsul.agent.checks.dialing.dial}."""

    async def connect(target: Target, factory: Any) -> Any:
        host, port = split_address(proxy.netloc.rpartition("@")[2], PORTS["http"])
        clients: Any = Factory.forProtocol(HTTPClient)
        clients.noisy = False
        client = await network.connect(Target(host, port).description(), clients)
        where = f"[{target.host}]:{target.port}" if ":" in target.host else f"{target.host}:{target.port}"
        lines = [f"CONNECT {where} HTTP/1.1", f"Host: {where}"]
        if proxy.username is not None:
            lines.append(f"Proxy-Authorization: {authorization(proxy)}")
        request = "\r\n".join((*lines, "", "")).encode()
        reply = await client.ask(request, REFUSAL_BYTES_MAX, tunnel=True)
        if not 200 <= reply.status < 300:
            client.close()
            raise CannotDial(reply.reason or str(reply.status))
        protocol = factory.buildProtocol(client.transport.getPeer())
        protocol.makeConnection(client.transport)
        client.dataReceived, client.connectionLost = protocol.dataReceived, protocol.connectionLost
        return protocol

    return lambda target, factory: Deferred.fromCoroutine(connect(target, factory))
