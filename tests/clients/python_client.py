"""py-consul, the PyPI client, and one agent for all tests with it."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable
from typing import Any
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from tests.real.process import DEADLINE_SECONDS, ProcessTestCase

__all__ = ["ClientTestCase", "InThread", "consul"]

try:
    import consul
except ImportError:  # pragma: no cover
    consul = None


class InThread(threading.Thread):
    """A call of the client in a thread of its own: it blocks until the agent answers."""

    def __init__(self, call: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self._call = call
        self._answer: Any = None
        self.start()

    def run(self) -> None:
        try:
            self._answer = self._call()
        except Exception as error:
            self._answer = error

    def answer(self) -> Any:
        """What it returned, or the exception."""
        self.join(DEADLINE_SECONDS)
        assert not self.is_alive(), "the call does not return"
        return self._answer


class _Shared(ProcessTestCase):
    """One agent for all tests here, on a loopback address of its own, until this process ends."""

    place: tuple[str, int] | None = None

    def runTest(self) -> None:
        """Not a test."""

    @classmethod
    def agent(cls) -> tuple[str, int]:
        """Where it listens."""
        if cls.place is None:
            shared = cls("runTest")
            atexit.register(shared.doCleanups)
            shared.setUp()
            place = host, port = shared.own_address()
            shared.started(addresses={"http": host}, ports={"http": port})
            cls.place = place
        return cls.place


class ClientTestCase(SynchronousTestCase):
    """A client, and another one that changes things while the first waits. Each test has keys of its own."""

    def setUp(self) -> None:
        if consul is None:
            raise SkipTest("py-consul is not installed: pip install '.[test]'")
        self.place = _Shared.agent()
        self.client, self.other = self.connect(), self.connect()
        self.prefix = ".".join(self.id().split(".")[-2:])

    def connect(self, **options: Any) -> Any:
        """A client."""
        client = consul.Consul(*self.place, **options)
        self.addCleanup(client.http.session.close)
        return client

    def key(self, name: str) -> str:
        """A key of this test's own."""
        return f"{self.prefix}/{name}"
