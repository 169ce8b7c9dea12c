"""
A network without sockets: hosts on one simulated wire, in one process, on any clock.

    >>> wire = Wire(clock, Random(1))
    >>> a, b = wire.host("a", "10.0.0.1"), wire.host("b", "10.0.0.2")

Each of them is an L{INetwork}. What travels between two hosts takes a while, may be lost, doubled or overtaken, and may
be cut off in one direction or both; what stays within a host (127.0.0.1) suffers nothing. Streams behave as TCP's: what
is written arrives in order or the connection breaks. All chance comes from one C{Random}, so that with a clock that is
told the time the same seed gives the same run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ipaddress import ip_address
from random import Random
from typing import Any

import msgspec
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from twisted.internet.error import CannotListenError, DNSLookupError
from zope.interface import implementer

from txconsul.interfaces import INetwork
from txconsul.net.memory_ports import Connecting, DatagramPort, Port, StreamPort, is_loopback
from txconsul.net.memory_stream import RETRY_SECONDS, MemoryStream
from txconsul.net.reactor import parse_datagrams, parse_description

__all__ = ["CONNECT_SECONDS_MAX", "PERFECT", "Conditions", "MemoryNetwork", "Wire"]

#: How long a connection may take to come about unless its description says it: Twisted's endpoints' default.
CONNECT_SECONDS_MAX = 30.0
#: The first port that is given to who asks for any.
FIRST_FREE_PORT = 32768
#: A packet that is lost more often than this makes the connection late enough.
LOSSES_MAX = 8


class Conditions(msgspec.Struct):
    """
    How bad a way is.

    @ivar delay: seconds that it usually takes; each time between half and twice of it.
    @ivar late: the share of packets that take up to ten times as long, and are overtaken.
    @ivar loss: the share of packets that get lost; a stream's are sent again a little later.
    @ivar double: the share of datagrams that come twice.
    """

    delay: float = 0.0005
    late: float = 0.0
    loss: float = 0.0
    double: float = 0.0


#: Within a host, nothing takes time and nothing gets lost.
PERFECT = Conditions(delay=0.0)


class Wire:
    """
    What connects the hosts.

    @ivar clock: the L{IReactorTime} by which packets travel.
    @ivar conditions: between any two hosts of which L{between} has not said others.
    @ivar cuts: pairs (from, to) of hosts' names between which nothing gets through.
    @ivar hosts: those whose machine is on, by name.
    """

    def __init__(self, clock: Any, random: Random, conditions: Conditions | None = None) -> None:
        """@param random: all chance of the network."""
        self.clock = clock
        self.conditions = conditions or Conditions()
        self.cuts: set[tuple[str, str]] = set()
        self.hosts: dict[str, MemoryNetwork] = {}
        self._between: dict[tuple[str, str], Conditions] = {}
        self._addresses: dict[str, str] = {}
        self._random = random

    # ---- hosts ----

    def host(
        self, name: str, *addresses: str, clock: Any = None, paused: Callable[[], bool] = lambda: False
    ) -> MemoryNetwork:
        """
        A host that was never there, or is started anew, with the addresses it has from now on.

        @param name: by which it is cut off and looked up.
        @param addresses: IPv4 and IPv6, at least one.
        @param clock: its process's, if not the wire's: one that can stand still.
        @param paused: whether the process stands still. What comes then waits on C{clock}.
        """
        if name in self.hosts and self.hosts[name].alive:
            raise ValueError(f"{name} is up")
        for address in [address for address, owner in self._addresses.items() if owner == name]:
            del self._addresses[address]
        for address in addresses:
            known = self._addresses.setdefault(str(ip_address(address)), name)
            if known != name:
                raise ValueError(f"{known} has the address {address}")
        host = self.hosts[name] = MemoryNetwork(self, name, addresses, clock or self.clock, paused)
        return host

    def name_at(self, address: str) -> str | None:
        """Whose address that is."""
        return self._addresses.get(address)

    def is_up(self, name: str) -> bool:
        """Is the host's machine on?"""
        return name in self.hosts

    def addresses_of(self, name: str) -> list[str]:
        """What a name is looked up to."""
        return [address for address, owner in self._addresses.items() if owner == name]

    # ---- what may be wrong with it ----

    def between(self, one: str, other: str, conditions: Conditions) -> None:
        """The ways between two hosts are like this, in both directions."""
        self._between[one, other] = self._between[other, one] = conditions

    def cut(self, from_: Iterable[str], to: Iterable[str]) -> None:
        """Nothing gets from these hosts to those any more. The other direction is another matter."""
        to = list(to)
        self.cuts.update((one, other) for one in from_ for other in to if one != other)

    def part(self, *groups: Iterable[str]) -> None:
        """Nothing passes between these groups, in either direction."""
        lists = [list(group) for group in groups]
        for one in lists:
            for other in lists:
                if one is not other:
                    self.cut(one, other)

    def mend(self, from_: Iterable[str] = (), to: Iterable[str] = ()) -> None:
        """These ways are free again; all of them, if none are named."""
        from_, to = list(from_), list(to)
        if from_ or to:
            self.cuts = {(one, other) for one, other in self.cuts if one not in from_ or other not in to}
        else:
            self.cuts.clear()

    def passes(self, from_: str, to: str) -> bool:
        """Does anything get from one to the other?"""
        return (from_, to) not in self.cuts

    # ---- ways ----

    def _conditions(self, from_: str, to: str) -> Conditions:
        if from_ == to:
            return PERFECT
        return self._between.get((from_, to), self.conditions) if self._between else self.conditions

    def _way(self, conditions: Conditions) -> float:
        if not conditions.delay:
            return 0.0
        random = self._random
        seconds = conditions.delay * (0.5 + 1.5 * random.random())
        if conditions.late and random.random() < conditions.late:
            seconds *= 1 + 9 * random.random()
        return seconds

    def stream_way(self, from_: str, to: str) -> float:
        """Seconds that a stream's packet takes: the longer, the more often it was lost."""
        conditions = self._conditions(from_, to)
        seconds = self._way(conditions)
        if conditions.loss:
            losses = 0
            while losses < LOSSES_MAX and self._random.random() < conditions.loss:
                seconds += RETRY_SECONDS * 2**losses
                losses += 1
        return seconds

    def datagram_ways(self, from_: str, to: str) -> list[float]:
        """Seconds that a datagram takes: none if it is lost, two if it comes twice."""
        conditions = self._conditions(from_, to)
        ways = []
        if not conditions.loss or self._random.random() >= conditions.loss:
            ways.append(self._way(conditions))
        if conditions.double and self._random.random() < conditions.double:
            ways.append(self._way(conditions))
        return ways


@implementer(INetwork)
class MemoryNetwork:
    """
    A host, and the one process on it: an L{INetwork}.

    @ivar name: of the host.
    @ivar clock: of the process.
    @ivar alive: whether the process was not killed.
    @ivar streams: its connections.
    """

    def __init__(self, wire: Wire, name: str, addresses: Iterable[str], clock: Any, paused: Callable[[], bool]) -> None:
        """See L{Wire.host}, which makes them."""
        self.wire = wire
        self.name = name
        self.clock = clock
        self.paused = paused
        self.alive = True
        self.streams: dict[MemoryStream, None] = {}
        self._addresses = [str(ip_address(address)) for address in addresses]
        self._ports: dict[tuple[str, int | str], list[Port]] = {}
        self._free_port = FIRST_FREE_PORT

    # ---- addresses and ports ----

    def host_at(self, address: str) -> str | None:
        """The name of the host that an address leads to from here."""
        return self.name if is_loopback(address) else self.wire.name_at(address)

    def own_address(self, to: str, bound: str = "") -> str:
        """From which address of this host something goes to another."""
        if bound and bound not in ("0.0.0.0", "::"):
            return bound
        if is_loopback(to):
            return to
        return next((one for one in self._addresses if (":" in one) is (":" in to)), self._addresses[0])

    def bound(self, kind: str, address: str, number: int | str) -> Port | None:
        """What listens at an address of this host."""
        for port in self._ports.get((kind, number), ()):
            if port.interface in (address, "") or (port.interface == "0.0.0.0" and ":" not in address):
                return port
            if port.interface == "::":
                return port
        return None

    def bind(self, port: Port) -> None:
        """
        Listen. Port 0 becomes one that is free.

        @raise CannotListenError: the address is not of this host, or somebody listens there.
        """
        interface = port.interface
        if not self.alive:
            raise CannotListenError(interface, port.number, OSError("the process is gone"))  # type: ignore[no-untyped-call]
        if port.kind == "UNIX":
            if self._ports.get(("UNIX", interface)):
                raise CannotListenError("unix", interface, OSError("address already in use"))  # type: ignore[no-untyped-call]
            self._ports["UNIX", interface] = [port]
            return
        anywhere = interface in ("", "0.0.0.0", "::")
        if not anywhere and not is_loopback(interface) and interface not in self._addresses:
            raise CannotListenError(interface, port.number, OSError("cannot assign requested address"))  # type: ignore[no-untyped-call]
        if not port.number:
            port.number = self.free_port(port.kind)
        others = self._ports.setdefault((port.kind, port.number), [])
        if any(anywhere or other.interface in ("", "0.0.0.0", "::", interface) for other in others):
            raise CannotListenError(interface, port.number, OSError("address already in use"))  # type: ignore[no-untyped-call]
        others.append(port)

    def unbind(self, port: Port) -> None:
        """Listen no more."""
        key = (port.kind, port.interface if port.kind == "UNIX" else port.number)
        others = self._ports.get(key, [])
        if port in others:
            others.remove(port)
        if not others:
            self._ports.pop(key, None)

    def free_port(self, kind: str) -> int:
        """A number that nobody has yet."""
        while True:
            number = self._free_port
            self._free_port = number + 1 if number < 65535 else FIRST_FREE_PORT
            if (kind, number) not in self._ports:
                return number

    # ---- INetwork ----

    def resolve(self, name: str) -> Deferred[str]:
        """See L{INetwork}: hosts are known by their names, once they were there."""
        return self.resolve_all(name).addCallback(lambda addresses: addresses[0])

    def resolve_all(self, name: str) -> Deferred[list[str]]:
        """See L{INetwork}."""
        if isIPAddress(name) or isIPv6Address(name):
            return succeed([name])
        if name == "localhost":
            return succeed(["127.0.0.1"])
        found = self.wire.addresses_of(name)
        return succeed(found) if found else fail(DNSLookupError(f"no address found for {name}"))

    def listen(self, description: str, factory: Any) -> Deferred[Any]:
        """See L{INetwork}: C{tcp:}, C{tcp6:} and C{unix:}."""
        return maybeDeferred(self._listen, description, factory)

    def _listen(self, description: str, factory: Any) -> Port:
        kind, positional, named = parse_description(description)
        if kind == "unix":
            port = StreamPort(self, "UNIX", named.get("address") or positional[0], 0, factory)
        elif kind in ("tcp", "tcp6"):
            number = int(named.get("port") or (positional[0] if positional else ""))
            interface = named.get("interface", "::" if kind == "tcp6" else "")
            port = StreamPort(self, "TCP", interface, number, factory)
        else:
            raise ValueError(f"nothing that can be listened at in memory: {description}")
        port.startListening()
        return port

    def datagrams(self, description: str, receiver: Any) -> Deferred[Any]:
        """See L{INetwork}."""
        return maybeDeferred(self._datagrams, description, receiver)

    def _datagrams(self, description: str, receiver: Any) -> DatagramPort:
        number, interface = parse_datagrams(description)
        place = DatagramPort(self, interface, number, receiver)
        place.startListening()
        return place

    def connect(self, description: str, factory: Any) -> Deferred[Any]:
        """See L{INetwork}: C{tcp:} and C{unix:}, with C{timeout} and C{bindAddress}."""
        return maybeDeferred(self._connect, description, factory)

    def _connect(self, description: str, factory: Any) -> Deferred[Any]:
        kind, positional, named = parse_description(description)
        seconds = float(named.get("timeout", CONNECT_SECONDS_MAX))
        if kind == "unix":
            path = named.get("path") or positional[0]
            return Connecting(self, factory, seconds, "", path).done
        if kind not in ("tcp", "tcp6"):
            raise ValueError(f"nothing that can be connected to in memory: {description}")
        given = dict(zip(("host", "port"), positional, strict=False)) | named
        port = int(given["port"])

        def found(address: str) -> Deferred[Any]:
            return Connecting(self, factory, seconds, address, port, named.get("bindAddress", "")).done

        return self.resolve(given["host"]).addCallback(found)

    # ---- ends ----

    def kill(self, silent: bool = False) -> None:
        """
        The process ends at once, and is told nothing more: its ports are closed, its connections reset.

        @param silent: the machine goes down with it, so that others hear nothing, not even a refusal, until a host of
            this name is there again. Else the others are refused.
        """
        for stream in list(self.streams):
            stream.die(silent)
        for ports in self._ports.values():
            for port in ports:
                port.open = False
        self._ports.clear()
        self.alive = False
        if silent:
            del self.wire.hosts[self.name]
