"""What a configuration says of watches."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from txconsul.agent.watching.configured import ConfiguredWatch, configured_watches
from txconsul.watches.plan import BadWatch


class ConfiguredTests(SynchronousTestCase):
    """L{configured_watches}."""

    def one(self, **values: Any) -> ConfiguredWatch:
        """The watch of these values, of nodes."""
        return configured_watches([{"type": "nodes", **values}])[0]

    def test_handlers(self) -> None:
        """A program in words, a text for a shell, or a request."""
        self.assertEqual(self.one(args=["a", "b"]).program, ("a", "b"))
        self.assertEqual(self.one(args="a b").program, ("a b",))
        shell = self.one(handler="a | b")
        self.assertEqual((shell.program, shell.shell), (("a | b",), True))
        request = self.one(handler_type="http", http_handler_config={"path": "http://a"}).plan.http
        assert request is not None
        self.assertEqual(request.url, "http://a")

    def test_keys(self) -> None:
        """A watch has the same key each time, and each of a configuration another."""
        values = {"type": "nodes", "args": ["a"]}
        keys = [
            one.key for one in configured_watches([values, {"args": ["a"], "type": "nodes"}, {**values, "args": ["b"]}])
        ]
        self.assertEqual(len(set(keys)), 3)
        self.assertEqual(keys[:1], [one.key for one in configured_watches([dict(values)])])

    def test_mistakes(self) -> None:
        """What is wrong is named; a token is not shown."""
        config = {"path": "http://a"}
        cases: list[tuple[dict[str, Any], str]] = [
            ({"handler_type": "smoke"}, "Handler type 'smoke' not recognized"),
            ({"type": "connect_leaf"}, "Watch type connect_leaf is not allowed in agent config"),
            ({}, "Must define a watch handler"),
            ({"args": ["a"], "handler": "b"}, "Only one watch handler allowed"),
            (
                {"args": ["a"], "handler_type": "http", "http_handler_config": config},
                "Only one watch handler allowed",
            ),
            ({"handler": 7}, "Watch handler must be a string"),
            ({"args": [7]}, "Watch args must be a list of strings"),
            ({"args": 7}, "Watch args must be a list of strings"),
            ({"args": []}, "Watch args must name a program"),
            (
                {"args": ["a"], "token": "secret", "colour": "red"},
                'Failed to parse watch ({"args": ["a"], "colour": "red", "type": "nodes"}): '
                "Invalid parameters: [colour]",
            ),
        ]
        for values, text in cases:
            error = self.assertRaises(BadWatch, configured_watches, [{"type": "nodes", **values}])
            self.assertEqual(str(error), text)
