"""Parameters of watches."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txconsul.watches.plan import BadWatch, HTTPHandler, parse


class PlanTests(SynchronousTestCase):
    """L{parse}."""

    def test_questions(self) -> None:
        """Each type asks its own question."""
        for values, path, params in (
            ({"type": "key", "key": "/a/b"}, "/v1/kv/a/b", {}),
            ({"type": "keyprefix", "prefix": "a/", "stale": True}, "/v1/kv/a/", {"stale": "", "recurse": ""}),
            ({"type": "services", "filter": "x"}, "/v1/catalog/services", {"filter": "x"}),
            ({"type": "nodes", "stale": False}, "/v1/catalog/nodes", {}),
            (
                {"type": "service", "service": "web", "tag": ["a", "b"], "passingonly": True},
                "/v1/health/service/web",
                {"tag": ("a", "b"), "passing": "1"},
            ),
            ({"type": "service", "service": "web", "tag": "a"}, "/v1/health/service/web", {"tag": ("a",)}),
            ({"type": "checks"}, "/v1/health/state/any", {}),
            ({"type": "checks", "state": "critical"}, "/v1/health/state/critical", {}),
            ({"type": "checks", "service": "web"}, "/v1/health/checks/web", {}),
            ({"type": "event", "name": "deploy"}, "/v1/event/list", {"name": "deploy"}),
            ({"type": "connect_roots"}, "/v1/agent/connect/ca/roots", {}),
            ({"type": "connect_leaf", "service": "web"}, "/v1/agent/connect/ca/leaf/web", {}),
            ({"type": "agent_service", "service_id": "w1"}, "/v1/agent/service/w1", {}),
        ):
            plan = parse(values)
            self.assertEqual((plan.path, plan.params), (path, params))

    def test_whoAndWhere(self) -> None:
        """Datacenter and token belong to every type."""
        plan = parse({"type": "nodes", "datacenter": "dc2", "token": "t"})
        self.assertEqual((plan.datacenter, plan.token), ("dc2", "t"))

    def test_mistakes(self) -> None:
        """What is wrong is named."""
        cases: list[tuple[dict[str, Any], str]] = [
            ({}, "Watch type must be specified"),
            ({"type": "x"}, "Unsupported watch type: x"),
            ({"type": 7}, "Expecting type to be a string"),
            ({"type": "key"}, "Must specify a single key to watch"),
            ({"type": "keyprefix"}, "Must specify a single prefix to watch"),
            ({"type": "service"}, "Must specify a single service to watch"),
            ({"type": "checks", "service": "a", "state": "any"}, "Cannot specify service and state"),
            ({"type": "checks", "state": "ill"}, "Unsupported state: ill"),
            ({"type": "nodes", "stale": "yes"}, "Expecting stale to be a boolean"),
            ({"type": "service", "service": "a", "tag": 1}, "Expecting tag to be a string or []string"),
            ({"type": "service", "service": "a", "tag": ["b", 1]}, "Index 1 of tag expected to be string"),
            ({"type": "nodes", "zone": "a", "colour": "red"}, "Invalid parameters: [colour zone]"),
            ({"type": "nodes", "handler_type": "http"}, "Handler type 'http' requires 'http_handler_config' to be set"),
        ]
        for values, text in cases:
            self.assertEqual(str(self.assertRaises(BadWatch, parse, values)), text)

    @given(
        st.dictionaries(
            st.sampled_from(["type", "key", "tag", "stale", "service", "handler_type", "http_handler_config", "x"]),
            st.recursive(
                st.none()
                | st.booleans()
                | st.integers()
                | st.sampled_from(["key", "service", "http", "path", "5s", ""]),
                lambda inner: (
                    st.lists(inner, max_size=2)
                    | st.dictionaries(st.sampled_from(["path", "header", "timeout", "method"]), inner, max_size=3)
                ),
                max_leaves=6,
            ),
        )
    )
    def test_anything(self, values: dict[str, Any]) -> None:
        """Any parameters make a plan or a L{BadWatch}, never more."""
        try:
            parse(values)
        except BadWatch as error:
            self.assertTrue(str(error))


class HTTPHandlerTests(SynchronousTestCase):
    """C{http_handler_config}."""

    def handler(self, config: Any) -> HTTPHandler:
        """The handler of a watch with this configuration."""
        found = parse({"type": "nodes", "handler_type": "http", "http_handler_config": config}).http
        assert found is not None
        return found

    def test_defaults(self) -> None:
        """POST, ten seconds, and a good certificate."""
        self.assertEqual(self.handler({"path": "http://a/"}), HTTPHandler("http://a/", "POST", (), 10.0, True))

    def test_everything(self) -> None:
        """All that can be said, also as HCL's lists of one block."""
        header = {"x-foo": ["bar", "baz"]}
        config = {"path": "https://a/", "method": "PUT", "timeout": "1500ms", "tls_skip_verify": True}
        expected = HTTPHandler("https://a/", "PUT", (("x-foo", ("bar", "baz")),), 1.5, False)
        self.assertEqual(self.handler({**config, "header": header}), expected)
        self.assertEqual(self.handler([{**config, "header": [header]}]), expected)

    def test_mistakes(self) -> None:
        """What is wrong is named, behind where it is."""
        for config, text in (
            ({}, "Requires 'path' to be set"),
            ("x", "expected a map"),
            ({"path": "a", "header": ["x"]}, "'header' expected a map"),
            ({"path": "a", "header": {"x": 1}}, "Expecting x to be a string or []string"),
            ({"path": "a", "timeout": "long"}, 'Failed to parse timeout: time: invalid duration "long"'),
        ):
            error = self.assertRaises(BadWatch, self.handler, config)
            self.assertEqual(str(error), f"Failed to parse 'http_handler_config': {text}")
