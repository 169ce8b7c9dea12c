"""Rules for the registration of proxies, gateways and services of the mesh."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from txconsul.endpoints.service_rules import GATEWAYS, check_service, check_service_name, check_tagged_addresses
from txconsul.errors import InvalidRequest
from txconsul.records.service import (
    ConnectProxyConfig,
    ExposeConfig,
    ExposePath,
    Locality,
    NodeService,
    ServiceAddress,
    ServiceConnect,
    ServiceDefinition,
    Upstream,
)

PROXY = NodeService(
    id="p", service="p", kind="connect-proxy", port=1, proxy=ConnectProxyConfig(destination_service_name="web")
)
UPSTREAM = Upstream(destination_name="db", local_bind_port=9000)


def problems(service: NodeService) -> list[str]:
    """The rules that a service breaks."""
    try:
        check_service(service)
    except InvalidRequest as error:
        head, *found = str(error).removesuffix("\n\n").split("\n\t* ")
        assert head == (f"{len(found)} errors occurred:" if len(found) > 1 else "1 error occurred:"), head
        return found
    return []


def with_upstreams(*upstreams: Upstream) -> list[str]:
    """What is wrong with a proxy that has these upstreams."""
    return problems(replace(PROXY, proxy=replace(PROXY.proxy, upstreams=upstreams)))


class ServiceRulesTests(SynchronousTestCase):
    """Every broken rule is named, all of them at once."""

    def test_ordinary(self) -> None:
        """Services outside the mesh, and unknown kinds, may be anything."""
        self.assertEqual(problems(NodeService(id="web", service="web")), [])
        self.assertEqual(problems(NodeService(service="t", kind="teapot")), [])
        self.assertEqual(problems(PROXY), [])

    def test_proxy(self) -> None:
        """A proxy listens somewhere, stands before a named service, and is none itself."""
        self.assertEqual(
            problems(NodeService(kind="connect-proxy", connect=ServiceConnect(native=True))),
            [
                "Port or SocketPath must be set for a connect-proxy",
                "Proxy.DestinationServiceName must be non-empty for Connect proxy services",
                "A Proxy cannot also be Connect Native, only typical services",
                "Port or SocketPath must be set for a Connect native service.",
            ],
        )
        self.assertEqual(problems(replace(PROXY, port=0, socket_path="/run/p.sock")), [])
        wild = replace(PROXY, proxy=ConnectProxyConfig(destination_service_name="*"))
        self.assertEqual(
            problems(wild), ["Proxy.DestinationServiceName must not be a wildcard for Connect proxy services"]
        )
        deep = replace(PROXY.proxy, config={"envoy_hcp_metrics_bind_socket_dir": "/" * 71})
        self.assertEqual(
            problems(replace(PROXY, proxy=deep)),
            ["Proxy.Config: envoy_hcp_metrics_bind_socket_dir length 71 exceeds max 70"],
        )

    def test_upstream(self) -> None:
        """An upstream has a name, a known type and one place where it listens."""
        cases: list[tuple[dict[str, Any], str]] = [
            ({}, ""),
            ({"destination_type": "prepared_query"}, ""),
            ({"destination_type": "x"}, 'unknown upstream destination type: "x"'),
            ({"destination_name": ""}, "upstream destination name cannot be empty"),
            ({"destination_name": "*"}, "upstream destination name cannot be a wildcard"),
            ({"destination_name": "*", "centrally_configured": True}, ""),
            (
                {"destination_peer": "east", "datacenter": "dc2"},
                "upstream cannot specify both destination peer and datacenter",
            ),
            ({"local_bind_port": 0}, "upstream local bind port or local socket path must be defined and nonzero"),
            ({"local_bind_port": 0, "local_bind_socket_path": "/s"}, ""),
            (
                {"local_bind_socket_path": "/s"},
                "only one of upstream local bind port or local socket path can be defined and nonzero",
            ),
            (
                {"destination_partition": "p", "datacenter": "dc2"},
                "upstreams cannot target another datacenter in non default partition",
            ),
            (
                {"destination_partition": "p", "destination_peer": "east"},
                "upstreams must target peers in the same partition as the service",
            ),
            ({"destination_partition": "default", "datacenter": "dc2"}, ""),
        ]
        for changes, problem in cases:
            self.assertEqual(with_upstreams(replace(UPSTREAM, **changes)), [problem] if problem else [], changes)

    def test_upstreamsTwice(self) -> None:
        """Upstreams differ in what they reach and in where they listen."""
        key = '[type="", name="db", partition="", namespace="", peer="", datacenter=""]'
        self.assertEqual(
            with_upstreams(UPSTREAM, replace(UPSTREAM, local_bind_port=9001)),
            [f"upstreams cannot contain duplicates of {key}"],
        )
        twice = "upstreams cannot contain duplicates by local bind address and port or unix path; "
        for place, shown in (
            ({}, "127.0.0.1:9000"),
            ({"local_bind_address": "::1"}, "[::1]:9000"),
            ({"local_bind_port": 0, "local_bind_socket_path": "/s"}, "/s"),
        ):
            one = replace(UPSTREAM, **place)
            self.assertEqual(
                with_upstreams(one, replace(one, destination_name="cache")), [f'{twice}"{shown}" is specified twice']
            )

    def test_exposedPaths(self) -> None:
        """Exposed paths have ports of their own and a protocol that proxies speak."""
        paths = (
            ExposePath(path="/a", listener_port=1, protocol="HTTP2"),
            ExposePath(path="", listener_port=1, protocol="http"),
            ExposePath(path="/c", listener_port=70000, protocol="tcp"),
        )
        self.assertEqual(
            problems(replace(PROXY, proxy=replace(PROXY.proxy, expose=ExposeConfig(paths=paths)))),
            [
                "expose.paths: empty path exposed",
                "expose.paths: duplicate listener ports exposed",
                "expose.paths: invalid listener port: 70000",
                "protocol 'tcp' not supported for path: /c, must be in: [http http2]",
            ],
        )

    def test_gateway(self) -> None:
        """A gateway stands before no service; only two kinds know their ports from elsewhere."""
        for kind in GATEWAYS:
            portless = [] if kind in ("ingress-gateway", "api-gateway") else [f"Port must be non-zero for a {kind}"]
            self.assertEqual(problems(NodeService(kind=kind)), portless)
        proxy = ConnectProxyConfig(
            destination_service_name="web",
            destination_service_id="w",
            local_service_address="127.0.0.1",
            local_service_port=1,
            local_service_socket_path="/s",
            upstreams=(UPSTREAM,),
        )
        connect = ServiceConnect(sidecar_service=ServiceDefinition())
        found = problems(NodeService(kind="mesh-gateway", port=1, proxy=proxy, connect=connect))
        self.assertEqual(found[0], "A mesh-gateway cannot have a sidecar service defined")
        self.assertEqual(
            [one.split()[1] for one in found[1:]],
            [
                "Proxy.DestinationServiceName",
                "Proxy.DestinationServiceID",
                "Proxy.LocalServiceAddress",
                "Proxy.LocalServicePort",
                "Proxy.LocalServiceSocketPath",
                "Proxy.Upstreams",
            ],
        )

    def test_sidecar(self) -> None:
        """A nested sidecar has no id, and none nested in itself."""
        nested = ServiceDefinition(id="s", connect=ServiceConnect(sidecar_service=ServiceDefinition()))
        self.assertEqual(
            problems(NodeService(port=1, connect=ServiceConnect(sidecar_service=nested))),
            [
                "A SidecarService cannot specify an ID as this is managed by the agent",
                "A SidecarService cannot have a nested SidecarService",
            ],
        )

    def test_locality(self) -> None:
        """A zone is in a region."""
        self.assertEqual(problems(NodeService(locality=Locality(zone="a"))), ["zone cannot be set without region"])
        self.assertEqual(problems(NodeService(locality=Locality(region="eu", zone="a"))), [])


class NameTests(SynchronousTestCase):
    """What DNS needs of a service."""

    def test_names(self) -> None:
        """A name is letters, digits and dashes; how long it is, and a backslash, is not minded."""
        for name in ("web", "Web-2", "-", "x" * 70, "a\\b"):
            check_service_name(name)
        for name in ("a_b", "a.b", "a b", "caf\xe9", "a/b", "a\n"):
            error = self.assertRaises(InvalidRequest, check_service_name, name)
            self.assertEqual(
                str(error),
                f"Service name {name} contains invalid characters. Valid characters include all alpha-numerics and"
                " dashes.",
            )

    def test_taggedAddresses(self) -> None:
        """A tag that names a version of IP needs an address of that version; other tags take any text."""

        def tagged(tag: str, address: str) -> NodeService:
            return NodeService(service="a", tagged_addresses={tag: ServiceAddress(address=address)})

        check_tagged_addresses(NodeService(service="a"))
        for tag, good, bad in (
            ("lan_ipv4", "10.0.0.1", "::1"),
            ("wan_ipv4", "::ffff:10.0.0.1", "host"),
            ("lan_ipv6", "::1", "::ffff:10.0.0.1"),
        ):
            check_tagged_addresses(tagged(tag, good))
            error = self.assertRaises(InvalidRequest, check_tagged_addresses, tagged(tag, bad))
            self.assertEqual(str(error), f'Service tagged address "{tag}" must be a valid ip{tag[-2:]} address')
        for tag in ("lan", "wan", "wan_ipv6", "own"):
            check_tagged_addresses(tagged(tag, "anything"))
