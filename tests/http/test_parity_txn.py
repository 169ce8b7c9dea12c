"""What Consul answers to transactions that clients seldom write."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.http.test_api import Asking


class OperationTests(SynchronousTestCase):
    """What is taken of an operation."""

    def setUp(self) -> None:
        """A node for services and checks."""
        self.asking = Asking()
        self.results({"Node": {"Verb": "set", "Node": {"Node": "n", "Address": "10.0.0.1"}}})

    def txn(self, *operations: Any) -> Any:
        """The answer to a transaction."""
        return self.asking.ask("PUT", "/v1/txn", json.dumps(operations).encode())

    def results(self, *operations: Any) -> Any:
        """What a transaction that succeeds says."""
        answer = self.txn(*operations)
        self.assertEqual(answer.status, 200, answer.body)
        return json.loads(answer.body)["Results"]

    def test_sessions(self) -> None:
        """Sessions are no part of what clients may write, although the log knows them."""
        answer = self.txn({"Session": {"Verb": "delete"}})
        self.assertEqual((answer.status, answer.body), (400, b'Failed to parse body: json: unknown field "Session"'))

    def test_unknownFields(self) -> None:
        """A name that an operation does not have is refused, at any depth but in a check's definition."""
        for operation in (
            {"KV": {"Verb": "get", "Key": "a", "ModifyIndex": 1}},
            {"Node": {"Verb": "get", "Node": {"Node": "n", "Port": 1}}},
            {"Service": {"Verb": "get", "Node": "n", "Service": {"ID": "s", "Name": "s"}}},
            {"Service": {"Verb": "get", "Service": {"Weights": {"Critical": 1}}}},
            {"Check": {"Verb": "get", "Check": {"Node": "n", "CheckID": "c", "Interval": "10s"}}},
        ):
            answer = self.txn(operation)
            self.assertEqual(answer.status, 400, operation)
            self.assertIn(b"json: unknown field", answer.body)
        check = {"Node": "n", "CheckID": "c", "Status": "passing", "Definition": {"Colour": "red"}}
        self.results({"Check": {"Verb": "set", "Check": check}})

    def test_node(self) -> None:
        """A node's locality is taken and lost; its datacenter is the agent's where it names none."""
        node = {"Node": "m", "Address": "10.0.0.2", "Locality": {"Region": "r"}}
        (found,) = self.results({"Node": {"Verb": "set", "Node": node}})
        self.assertEqual(found["Node"].get("Locality"), None)
        self.assertEqual(found["Node"]["Datacenter"], "dc1")

    def test_service(self) -> None:
        """Of a service, what the catalog alone may say is taken and lost, and so is most of a proxy's configuration."""
        service = {
            "ID": "p",
            "Service": "p",
            "Kind": "connect-proxy",
            "Port": 1,
            "SocketPath": "/s",
            "ContentHash": "h",
            "Datacenter": "dc9",
            "Namespace": "x",
            "Connect": {"Native": True},
            "Locality": {"Region": "r"},
            "Weights": {"Passing": 3},
            "Proxy": {
                "DestinationServiceName": "web",
                "Mode": "transparent",
                "Config": {"a": 1},
                "Upstreams": [{"DestinationName": "db", "LocalBindPort": 1}],
                "MeshGateway": {"Mode": "local"},
                "TransparentProxy": {"OutboundListenerPort": 7},
            },
        }
        (found,) = self.results({"Service": {"Verb": "set", "Node": "n", "Service": service}})
        stored = found["Service"]
        self.assertEqual(stored["Connect"], {})
        self.assertEqual(stored["Weights"], {"Passing": 3, "Warning": 0})
        self.assertEqual(
            stored["Proxy"],
            {
                "DestinationServiceName": "web",
                "Mode": "",
                "MeshGateway": {"Mode": "local"},
                "TransparentProxy": {"OutboundListenerPort": 7},
                "Expose": {},
            },
        )
        self.assertFalse({"SocketPath", "Locality"} & set(stored))

    def test_weights(self) -> None:
        """Weights that no instance may have count as one each."""
        for weights in ({}, {"Warning": 2}, {"Passing": -1}, {"Passing": 70000}):
            service = {"ID": "w", "Service": "w", "Weights": weights}
            (found,) = self.results({"Service": {"Verb": "set", "Node": "n", "Service": service}})
            self.assertEqual(found["Service"]["Weights"], {"Passing": 1, "Warning": 1}, weights)

    def definition(self, **given: Any) -> Any:
        """The definition of a check that was made with this one."""
        check = {"Node": "n", "CheckID": "c", "Status": "passing", "Definition": given}
        (found,) = self.results({"Check": {"Verb": "set", "Check": check}})
        return found["Check"]["Definition"]

    def test_definition(self) -> None:
        """A check's definition keeps what transactions know of it, and durations by either name."""
        self.assertEqual(
            self.definition(HTTP="http://a", UDP="b:1", H2PING="c:1", SessionName="s", Interval="10s"),
            {"HTTP": "http://a", "Interval": "10s"},
        )
        self.assertEqual(
            self.definition(IntervalDuration="3s", Interval="10s", Timeout=2_000_000_000),
            {"Interval": "3s", "Timeout": "2s"},
        )
        self.assertEqual(self.definition(IntervalDuration=True, Interval="10s", TimeoutDuration=[]), {})

    def test_badDefinitions(self) -> None:
        """What is no definition is refused."""
        bad: tuple[Any, ...] = (
            [],
            5,
            {"Interval": "10"},
            {"Timeout": True},
            {"TimeoutDuration": "1s", "Timeout": []},
            {"Timeout": 1e300},
            {"HTTP": 1},
        )
        for definition in bad:
            check = {"Node": "n", "CheckID": "c", "Definition": definition}
            self.assertEqual(self.txn({"Check": {"Verb": "set", "Check": check}}).status, 400, definition)

    @given(
        st.sampled_from(["KV", "Node", "Service", "Check"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
            lambda inner: (
                st.lists(inner)
                | st.dictionaries(
                    st.sampled_from(["Verb", "Node", "Service", "Check", "Definition", "Interval", "Proxy", "Key"]),
                    inner,
                )
            ),
            max_leaves=8,
        ),
    )
    def test_anything(self, kind: str, value: Any) -> None:
        """Any JSON is answered: with a refusal of the body, of the operation, or a result."""
        self.assertIn(self.txn({kind: value}).status, (200, 400, 409))
