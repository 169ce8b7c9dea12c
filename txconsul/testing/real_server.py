"""
A server on real ports of this machine, for tests of programs that know nothing of networks in memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, gatherResults, succeed
from twisted.internet.error import CannotListenError
from twisted.python.failure import Failure
from zope.interface import implementer

from txconsul.agent.agent import Agent
from txconsul.agent.configuration import Configuration, agent_flags, load
from txconsul.agent.outside import this_process
from txconsul.agent.stores import volatile
from txconsul.agent.supported import check
from txconsul.interfaces import INetwork
from txconsul.net.direct import DirectNetwork
from txconsul.net.reactor import parse_datagrams, parse_description
from txconsul.testing.asking import Answer, ask

__all__ = ["TestServer"]

_LOOPBACK = "127.0.0.1"
_HTTP, _DNS = 8500, 8600
#: How many files it may think it can open: a test's process is not to be changed.
_FILES = 1024


@implementer(INetwork)
class _FreePorts:
    """
    This machine's loopback network, on which whoever wants a certain port is given one that is free.

    @ivar given: by the number that was asked for, the one that was given. TCP and UDP have the same where that is free.
    """

    def __init__(self, reactor: Any) -> None:
        self.clock = reactor
        self.given: dict[int, int] = {}
        self._network = DirectNetwork(reactor)
        self._waiting: dict[int, list[Deferred[int]]] = {}

    def listening(self, number: int) -> Deferred[int]:
        """@return: a Deferred firing with the port that was given for this one, once TCP listens there."""
        waiting: Deferred[int] = Deferred()
        self._waiting.setdefault(number, []).append(waiting)
        return waiting

    async def _somewhere(self, kind: str, number: int, bind: Any, receiver: Any) -> Any:
        wanted = self.given.get(number, 0)
        try:
            port = await bind(f"{kind}:{wanted}:interface={_LOOPBACK}", receiver)
        except CannotListenError:
            if not wanted:
                raise
            port = await bind(f"{kind}:0:interface={_LOOPBACK}", receiver)
        self.given.setdefault(number, port.getHost().port)
        return port

    def listen(self, description: str, factory: Any) -> Deferred[Any]:
        """See L{INetwork}."""
        kind, positional, named = parse_description(description)
        if kind == "unix":
            return self._network.listen(description, factory)
        number = int(named.get("port") or positional[0])

        async def listen() -> Any:
            port = await self._somewhere("tcp", number, self._network.listen, factory)
            for waiting in self._waiting.pop(number, []):
                waiting.callback(port.getHost().port)
            return port

        return Deferred.fromCoroutine(listen())

    def datagrams(self, description: str, receiver: Any) -> Deferred[Any]:
        """See L{INetwork}."""
        number, _ = parse_datagrams(description)
        if number in self.given.values():  # a part that was given this number, and wants UDP's as well
            return self._network.datagrams(description, receiver)
        return Deferred.fromCoroutine(self._somewhere("udp", number, self._network.datagrams, receiver))

    def connect(self, description: str, factory: Any) -> Deferred[Any]:
        """See L{INetwork}."""
        return self._network.connect(description, factory)

    def resolve(self, name: str) -> Deferred[str]:
        """See L{INetwork}."""
        return self._network.resolve(name)

    def resolve_all(self, name: str) -> Deferred[list[str]]:
        """See L{INetwork}."""
        return self._network.resolve_all(name)


class TestServer:
    """
    One server in this process, on a reactor that runs: C{twisted.internet.reactor} in a test for trial. Its state is in
    memory, and its ports are some that were free.

    @ivar http_port: of the HTTP API, once it has started.
    @ivar dns_port: of DNS over UDP.
    """

    __test__ = False  # for pytest, which takes the name for that of a test case

    def __init__(self, reactor: Any, configuration: Mapping[str, Any] | None = None) -> None:
        """@param configuration: keys and values as in a configuration file."""
        self.http_port = 0
        self.dns_port = 0
        self._reactor = reactor
        self._network = _FreePorts(reactor)
        self._configuration = dict(configuration or {})
        self._agent: Agent | None = None

    @property
    def url(self) -> str:
        """Of the HTTP API: C{http://127.0.0.1:PORT}."""
        return f"http://{_LOOPBACK}:{self.http_port}"

    def _load(self) -> Configuration:
        keys = {
            "server": True,
            "bootstrap_expect": 1,
            "data_dir": "/memory",
            "bind_addr": _LOOPBACK,
            "client_addr": _LOOPBACK,
            "disable_coordinates": True,
            **self._configuration,
        }
        # The directory is there for the check only: nothing is written.
        return msgspec.structs.replace(check(load(agent_flags([]), defaults=keys)), data_dir="")

    def start(self) -> Deferred[TestServer]:
        """
        Start it.

        @return: a Deferred firing with this when it can be asked anything, or failing with why it cannot go on.
        @raise ConfigurationError: the configuration cannot be used.
        """
        started: Deferred[TestServer] = Deferred()

        def failed(reason: Failure) -> None:
            if not started.called:
                started.errback(reason)

        def ready(ports: list[Any]) -> None:
            self.http_port, self.dns_port = ports[0], ports[1]
            if not started.called:
                started.callback(self)

        configuration = self._load()
        outside = replace(this_process(), begin=lambda: _FILES, notify=lambda state: None)
        stores = volatile(self._reactor, configuration.node_id or outside.new_id())
        self._agent = agent = Agent(configuration, stores, self._network, outside, failed, ended=self.stop)
        dns = self._network.listening(_DNS) if configuration.dns_addresses else succeed(0)
        parts: list[Deferred[Any]] = [self._network.listening(_HTTP), dns, agent.part.ready]
        gatherResults(parts).addCallbacks(ready, failed)
        agent.startService()
        return started

    def stop(self) -> Deferred[Any]:
        """End it. @return: a Deferred firing when it has let go of everything."""
        agent, self._agent = self._agent, None
        if agent is None:
            return succeed(None)
        stopped: Deferred[Any] = agent.stopService()
        return stopped

    def request(
        self,
        method: str,
        target: str,
        body: bytes | str | dict[str, Any] | list[Any] = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Deferred[Answer]:
        """Ask it over HTTP. See L{ask<txconsul.testing.asking.ask>}."""
        return ask(self._network, f"tcp:{_LOOPBACK}:{self.http_port}", method, target, body, headers)
