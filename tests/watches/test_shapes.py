"""The form in which watches tell what an agent answers."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from txconsul.watches import shapes


class ShapeTests(SynchronousTestCase):
    """Against recorded output of C{consul watch}."""

    def test_check(self) -> None:
        """A check has its whole definition, also where the agent shows none."""
        found = shapes.CHECKS([{"Node": "s1", "CheckID": "c", "ServiceTags": [], "PeerName": "", "Definition": {}}])[0]
        expected = {
            "Interval": "0s",
            "Timeout": "0s",
            "DeregisterCriticalServiceAfter": "0s",
            "HTTP": "",
            "Header": None,
            "Method": "",
            "Body": "",
            "TLSServerName": "",
            "TLSSkipVerify": False,
            "TCP": "",
            "TCPUseTLS": False,
            "UDP": "",
            "GRPC": "",
            "OSService": "",
            "GRPCUseTLS": False,
        }
        self.assertEqual(found["Definition"], expected)
        self.assertEqual(list(found["Definition"]), list(expected))
        self.assertNotIn("PeerName", found)
        self.assertEqual(shapes.CHECKS([{}])[0]["Definition"], expected)

    def test_durations(self) -> None:
        """Durations are texts, whichever of its two names the agent gives them."""
        definition = {
            "Interval": "90s",
            "TimeoutDuration": 1_500_000_000,
            "DeregisterCriticalServiceAfterDuration": "1h",
        }
        found = shapes.CHECKS([{"Definition": definition}])[0]["Definition"]
        durations = [found[name] for name in ("Interval", "Timeout", "DeregisterCriticalServiceAfter")]
        self.assertEqual(durations, ["1m30s", "1.5s", "1h0m0s"])

    def test_service(self) -> None:
        """An instance as the library knows it: empty objects stay, empty texts mostly not."""
        service = {
            "ID": "web",
            "Service": "web",
            "Tags": ["v1"],
            "Meta": None,
            "Port": 80,
            "Address": "",
            "SocketPath": "",
            "Weights": {"Passing": 1, "Warning": 1},
            "EnableTagOverride": False,
            "Proxy": {"Mode": "", "MeshGateway": {}, "Expose": {}},
            "Connect": {},
            "PeerName": "",
            "CreateIndex": 15,
            "ModifyIndex": 15,
        }
        found = shapes.SERVICE([{"Node": {"Node": "s1", "PeerName": ""}, "Service": service, "Checks": []}])[0]
        expected: dict[str, Any] = {**service, "Proxy": {"MeshGateway": {}, "Expose": {}}}
        for name in ("SocketPath", "PeerName"):
            del expected[name]
        self.assertEqual(found["Service"], expected)
        self.assertEqual(found["Checks"], [])
        self.assertEqual(
            list(found["Node"]),
            ["ID", "Node", "Address", "Datacenter", "TaggedAddresses", "Meta", "CreateIndex", "ModifyIndex"],
        )

    def test_upstreams(self) -> None:
        """A proxy's upstreams, each with the mode of its gateway."""
        proxy = {"DestinationServiceName": "web", "Upstreams": [{"DestinationName": "db", "LocalBindPort": 9}]}
        found = shapes.AGENT_SERVICE({"ID": "p", "Proxy": proxy})["Proxy"]
        self.assertEqual(found["Upstreams"], [{"DestinationName": "db", "LocalBindPort": 9, "MeshGateway": {}}])

    def test_null(self) -> None:
        """Null stays null, and what is no object is as it is."""
        self.assertIsNone(shapes.KEYS(None))
        self.assertEqual(shapes.NODES([7]), [7])
