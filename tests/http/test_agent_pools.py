"""C{/v1/agent/join}, C{leave} and C{force-leave}."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from tests.http.test_api import Asking
from txconsul.errors import InvalidRequest


class Pools:
    """Pools that only remember what is asked of them."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.refused: Exception | None = None

    def join(self, addresses: list[str], *, wan: bool) -> Deferred[int]:
        """Remember."""
        self.asked.append((addresses, wan))
        return succeed(1) if self.refused is None else fail(self.refused)

    def force_leave(self, name: str, *, wan: bool, prune: bool) -> None:
        """Remember."""
        self.asked.append((name, wan, prune))
        if self.refused is not None:
            raise self.refused


class PoolsTests(SynchronousTestCase):
    """What is asked of the pools."""

    def setUp(self) -> None:
        self.asking = Asking()
        self.pools: Any = Pools()
        self.asking.served.site.pools = self.pools

    def put(self, path: str) -> tuple[int, bytes]:
        """Status and body."""
        answer = self.asking.ask("PUT", path)
        return answer.status, answer.body

    def test_join(self) -> None:
        """The address is the rest of the path; C{?wan} with a value is another pool."""
        for path, wanted in (
            ("10.0.0.1:8301", (["10.0.0.1:8301"], False)),
            ("10.0.0.1?wan", (["10.0.0.1"], False)),
            ("10.0.0.1?wan=1", (["10.0.0.1"], True)),
            ("[::1]:8302?wan=no", (["[::1]:8302"], True)),
            ("a%20b/c", (["a b/c"], False)),
            ("", ([""], False)),
        ):
            self.assertEqual(self.put("/v1/agent/join/" + path), (200, b""))
            self.assertEqual(self.pools.asked.pop(), wanted)

    def test_forceLeave(self) -> None:
        """C{?wan} and C{?prune} count by being there."""
        for path, wanted in (
            ("a", ("a", False, False)),
            ("a?prune", ("a", False, True)),
            ("a.dc1?wan&prune=false", ("a.dc1", True, True)),
            ("", ("", False, False)),
        ):
            self.assertEqual(self.put("/v1/agent/force-leave/" + path), (200, b""))
            self.assertEqual(self.pools.asked.pop(), wanted)

    def test_refused(self) -> None:
        """Why it cannot be is the body."""
        self.pools.refused = InvalidRequest("nobody")
        for path in ("join/a", "force-leave/a"):
            self.assertEqual(self.put("/v1/agent/" + path), (500, b"nobody"))
        self.asking.served.site.pools = None
        self.assertEqual(self.put("/v1/agent/join/a"), (500, b"this agent is in no gossip pool"))
        words = b'Invalid query parameter: "partition" - Partitions are a Consul Enterprise feature'
        self.assertEqual(self.put("/v1/agent/join/a?partition=b"), (400, words))

    def test_leave(self) -> None:
        """It is answered when the agent has left."""
        left: Deferred[None] = Deferred()
        self.asking.served.site.leave = lambda: left
        self.assertEqual(self.asking.ask("GET", "/v1/agent/leave").status, 405)
        left.callback(None)
        self.assertEqual(self.put("/v1/agent/leave"), (200, b""))
