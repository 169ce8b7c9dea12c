"""What Consul makes of registrations that clients seldom write."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.http.test_api import Asking

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=4,
)


class RegistrationTests(SynchronousTestCase):
    """What is taken of a registration."""

    def setUp(self) -> None:
        self.asking = Asking()

    def register(self, query: str = "", **given: Any) -> Any:
        """The answer to a registration of a node with what is given."""
        body = {"Node": "n", "Address": "10.0.0.1", **given}
        return self.asking.ask("PUT", "/v1/catalog/register" + query, json.dumps(body).encode())

    def definition(self, **given: Any) -> Any:
        """The definition of a check that was made with this one."""
        answer = self.register(Check={"CheckID": "c", "Definition": given})
        self.assertEqual(answer.status, 200, answer.body)
        (check,) = json.loads(self.asking.ask("GET", "/v1/health/node/n").body)
        return check["Definition"]

    def test_definition(self) -> None:
        """Of a check's definition what is not known is passed over, and so are durations that are none."""
        self.assertEqual(
            self.definition(HTTP="http://a", Colour="red", IntervalDuration="11s", Interval="10s", TTL=1.5),
            {"HTTP": "http://a", "Interval": "10s", "TTL": 1},
        )
        self.assertEqual(self.definition(TCP="a:1", Interval=True, Timeout=[1], TTL=None), {"TCP": "a:1"})

    def test_refused(self) -> None:
        """What Consul does not know elsewhere, and what is no definition, is refused."""
        bad: dict[str, Any] = {
            'json: unknown field "Colour"': {"CheckID": "c", "Colour": "red"},
            "time: invalid duration": {"CheckID": "c", "Definition": {"Interval": "often"}},
            "json: cannot unmarshal array": {"CheckID": "c", "Definition": []},
        }
        for text, check in bad.items():
            for parts in ({"Check": check}, {"Checks": [check]}):
                answer = self.register(**parts)
                self.assertEqual(answer.status, 400)
                self.assertIn(text.encode(), answer.body)

    def test_namespace(self) -> None:
        """Who names a namespace is told that there are none."""
        answer = self.register(Service={"Service": "web", "Namespace": "team"})
        self.assertEqual(
            answer.body,
            b'Request decode failed: json: unknown field "Namespace" - Namespaces are a Consul Enterprise feature',
        )

    def test_datacenter(self) -> None:
        """The datacenter is said in the body; the parameter that says it elsewhere means nothing here."""
        self.assertEqual(self.register("?dc=nowhere").status, 200)
        self.assertEqual(self.register(Datacenter="nowhere").status, 500)
        answer = self.asking.ask("PUT", "/v1/catalog/deregister?dc=nowhere", b'{"Node": "n"}')
        self.assertEqual(answer.status, 200)
        self.assertEqual(json.loads(self.asking.ask("GET", "/v1/catalog/nodes").body), [])

    def test_peer(self) -> None:
        """Only instances are asked for by the peer that they come from."""
        self.register(Service={"Service": "web"}, Check={"CheckID": "c", "ServiceID": "web"})
        for path in ("catalog/service/web", "catalog/connect/web", "health/service/web"):
            self.assertEqual(json.loads(self.asking.ask("GET", f"/v1/{path}?peer=p").body), [])
        for path in (
            "catalog/nodes",
            "catalog/services",
            "catalog/node/n",
            "catalog/node-services/n",
            "health/node/n",
            "health/checks/web",
            "health/state/any",
        ):
            answers = [self.asking.ask("GET", f"/v1/{path}{query}").body for query in ("", "?peer=p")]
            self.assertEqual(*answers)
            self.assertIn(b'"', answers[0])

    def test_passing(self) -> None:
        """Only the health of instances is asked for with a word about how well they must be."""
        for path in ("catalog/service/web", "catalog/connect/web", "health/checks/web"):
            self.assertEqual(self.asking.ask("GET", f"/v1/{path}?passing=perhaps").status, 200)
        for kind in ("service", "connect", "ingress"):
            answer = self.asking.ask("GET", f"/v1/health/{kind}/web?passing=perhaps")
            self.assertEqual((answer.status, answer.body), (400, b"Invalid value for ?passing"))

    def test_samenessGroups(self) -> None:
        """The groups of the Enterprise edition are refused where they would mean something."""
        for kind in ("service", "connect", "ingress"):
            for name in ("sg", "sameness-group"):
                answer = self.asking.ask("GET", f"/v1/health/{kind}/web?{name}=g")
                self.assertEqual((answer.status, answer.body), (500, b"sameness groups are not supported in consul CE"))
            answer = self.asking.ask("GET", f"/v1/health/{kind}/web?sg=g&peer=p")
            expected = b"peer-name and sameness-group are mutually exclusive"
            self.assertEqual((answer.status, answer.body), (400, expected))
        for path in ("health/service/web?sg=", "catalog/service/web?sg=g", "health/checks/web?sg=g"):
            self.assertEqual(self.asking.ask("GET", f"/v1/{path}").status, 200)

    @given(ANYTHING)
    def test_anything(self, value: Any) -> None:
        """Whatever stands for a check, or for a part of its definition, is taken or refused."""
        for check in (value, {"CheckID": "c", "Definition": value}, {"CheckID": "c", "Definition": {"TTL": value}}):
            self.assertIn(self.register(Check=check).status, (200, 400, 500))
