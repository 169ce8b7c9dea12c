"""An agent's own services and checks around a door that commits at once, on a clock that is told the time."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from twisted.internet.defer import Deferred

from tests.endpoints.serving import Served
from txconsul.agent.antientropy import AntiEntropy
from txconsul.agent.checks.dialing import CheckTLS
from txconsul.agent.checks.kinds import Surroundings
from txconsul.agent.checks.output import Tail
from txconsul.agent.checks.programs import CannotStart
from txconsul.agent.local import LocalState
from txconsul.agent.persistence import DefinitionFiles
from txconsul.agent.registrations import Registrations
from txconsul.agent.running_checks import Limits, RunningChecks
from txconsul.records.catalog import RegisterRequest
from txconsul.records.health import PASSING, SERF_HEALTH, HealthCheck
from txconsul.records.queries import NodeSpecificRequest
from txconsul.records.service import NodeService

NODE = RegisterRequest(datacenter="dc1", node="a", address="127.0.0.1", id="00000000-0000-0000-0000-00000000000a")

__all__ = ["NODE", "LocalAgent", "NoNetwork", "NoProgram", "NoPrograms"]


class NoNetwork:
    """A network on which nobody answers."""

    def __init__(self, clock: Any) -> None:
        self.clock = clock
        self.dialled: list[str] = []

    def connect(self, description: str, factory: Any) -> Any:
        """Nobody."""
        from twisted.internet.defer import fail
        from twisted.internet.error import ConnectionRefusedError

        self.dialled.append(description)
        return fail(ConnectionRefusedError())


class NoProgram:
    """A program that runs until it is killed, or until a test says that it ended."""

    def __init__(self, arguments: Sequence[str], output: Tail) -> None:
        self.arguments = arguments
        self.output = output
        self.ended: Deferred[int | None] = Deferred()
        self.killed = False

    def kill(self) -> None:
        """Remember."""
        self.killed = True
        if not self.ended.called:
            self.ended.callback(None)


class NoPrograms:
    """
    A machine on which no program does anything by itself.

    @ivar started: in their order.
    """

    def __init__(self) -> None:
        self.started: list[NoProgram] = []

    def start(self, arguments: Sequence[str], output: Tail, /, **more: Any) -> Any:
        """See L{txconsul.agent.checks.programs.starter}."""
        if arguments[0].startswith("no-"):
            raise CannotStart(f"no {arguments[0]}")
        self.started.append(NoProgram(arguments, output))
        return self.started[-1]


class LocalAgent:
    """
    @ivar served: the door and the catalog behind it, in which the leader has registered the node.
    @ivar wall: the time of day, in Unix seconds.
    """

    def __init__(
        self, directory: str | None = None, interval: float = 300.0, discard: bool = False, limits: Limits | None = None
    ) -> None:
        self.served = Served()
        self.clock = self.served.clock
        self.wall = 1_000_000.0
        self.network = NoNetwork(self.clock)
        self.programs = NoPrograms()
        rng = Random(1)
        self.local = LocalState(interval, discard, rng)
        self.running = RunningChecks(
            self.local,
            self.served.door,
            Surroundings(self.network, CheckTLS(), self.programs.start, {}),  # type: ignore[arg-type]
            "dc1",
            rng,
            limits or Limits(),
            lambda id, status, output: self.local.update_check(id, status, output, self.clock.seconds()),
        )
        files = DefinitionFiles(directory)
        ports = (21000, 21001)
        self.registrations = Registrations(
            "a", self.local, self.running, files, self.clock, lambda: self.wall, ports, (21500, 21502)
        )
        self.served.site.local = self.registrations
        self.entropy = AntiEntropy(self.local, self.served.door, NODE, self.clock, rng, lambda: 1)
        self.served.site.told = self.entropy.settled
        alive = HealthCheck(node="a", check_id=SERF_HEALTH, name="Serf Health Status", status=PASSING)
        server = NodeService(id="consul", service="consul")
        self.served.call("Catalog.Register", RegisterRequest(**fields(NODE), service=server, check=alive))

    def start(self) -> None:
        """Run, and tell the catalog."""
        self.registrations.startService()
        self.entropy.startService()
        self.clock.advance(0)

    def stop(self) -> None:
        """Run no more."""
        self.entropy.stopService()
        self.registrations.stopService()

    def services(self) -> dict[str, NodeService]:
        """The node's services in the catalog, apart from the servers'."""
        found = self.served.call("Catalog.NodeServices", NodeSpecificRequest(datacenter="dc1", node="a")).value
        return {id: one for id, one in found[1].items() if id != "consul"}

    def checks(self) -> dict[str, HealthCheck]:
        """The node's checks in the catalog, apart from the leader's."""
        found = self.served.call("Health.NodeChecks", NodeSpecificRequest(datacenter="dc1", node="a")).value
        return {one.check_id: one for one in found if one.check_id != SERF_HEALTH}


def fields(record: Any) -> dict[str, Any]:
    """A record's fields that are not as they are by default."""
    empty = type(record)()
    found = {name: getattr(record, name) for name in record.__struct_fields__}
    return {name: one for name, one in found.items() if one != getattr(empty, name)}
