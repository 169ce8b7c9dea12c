"""A DNS edge above a door with a catalog, asked without sockets."""

from __future__ import annotations

from random import Random
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.testing import StringTransport

from tests.endpoints.serving import Served
from txconsul.dns.message import (
    AAAA,
    ANY,
    AXFR,
    CNAME,
    EDNS,
    MX,
    NS,
    PTR,
    SOA,
    SRV,
    TXT,
    A,
    Message,
    Question,
    Record,
    decode,
    encode,
    make_name,
    show_name,
)
from txconsul.dns.server import DNSServer
from txconsul.dns.settings import DNSSettings
from txconsul.records.catalog import DeregisterRequest, RegisterRequest
from txconsul.records.health import HealthCheck
from txconsul.records.service import NodeService

TYPES = {"A": A, "AAAA": AAAA, "ANY": ANY, "AXFR": AXFR, "CNAME": CNAME, "MX": MX, "NS": NS, "PTR": PTR, "SOA": SOA}
TYPES |= {"SRV": SRV, "TXT": TXT}
NOW = 1_700_000_000

__all__ = ["NOW", "Asking", "FakeNetwork", "question", "show"]


def question(name: str, kind: str = "A", size: int | None = None, options: Any = (), id: int = 7) -> bytes:
    """A question as bytes."""
    message = Message(id=id, recursion_desired=True, questions=[Question(make_name(name), TYPES[kind])])
    if size is not None:
        message.additional.append(EDNS(size, tuple(options)).record())
    return encode(message)


def show(record: Record) -> str:
    """A record as text: name, TTL, type, data."""
    types = {number: name for name, number in TYPES.items()}
    kind = types.get(record.type, str(record.type))
    first: Any = record.data[0]
    if kind in ("A", "AAAA"):
        separator = "." if kind == "A" else ":"
        text = separator.join(map(str, first)) if kind == "A" else first.hex()
    elif kind == "SRV":
        numbers = [int.from_bytes(first[at : at + 2], "big") for at in (0, 2, 4)]
        text = f"{numbers[0]} {numbers[1]} {numbers[2]} {show_name(record.data[1])}"  # type: ignore[arg-type]
    elif kind == "TXT":
        text = first[1:].decode()
    elif isinstance(first, tuple):
        text = show_name(first)
    else:
        text = first.hex()
    return f"{show_name(record.name)} {record.ttl} {kind} {text}"


class FakeNetwork:
    """
    Sends questions nowhere.

    @ivar places: receivers of datagrams.
    @ivar sent: what they sent, with the address.
    @ivar refused: ports where nobody is.
    """

    def __init__(self, clock: Any) -> None:
        self.clock = clock
        self.places: list[Any] = []
        self.sent: list[tuple[bytes, Any]] = []
        self.refused: set[int] = set()
        self.connections: list[tuple[str, Any]] = []

    def datagrams(self, description: str, receiver: Any) -> Deferred[Any]:
        """A place that remembers."""
        place = FakePlace(self, receiver)
        self.places.append(receiver)
        receiver.makeConnection(place)
        return succeed(place)

    def connect(self, description: str, factory: Any) -> Deferred[Any]:
        """A connection that remembers."""
        port = int(description.rpartition(":")[2])
        if port in self.refused:
            return fail(ConnectionRefusedError())
        protocol = factory.buildProtocol(None)
        self.connections.append((description, protocol))
        protocol.makeConnection(StringTransport())
        return succeed(protocol)


class FakePlace:
    """The transport of a receiver."""

    def __init__(self, network: FakeNetwork, receiver: Any) -> None:
        self._network = network
        self._receiver = receiver
        self._to: Any = None

    def connect(self, host: str, port: int) -> None:
        """Say where to."""
        self._to = (host, port)
        if port in self._network.refused:
            self._receiver.connectionRefused()

    def write(self, data: bytes, address: Any = None) -> None:
        """Remember."""
        self._network.sent.append((data, address or self._to))

    def stopListening(self) -> None:
        """Go."""
        self._network.places.remove(self._receiver)
        self._receiver.doStop()


class Asking:
    """
    The edge, its catalog, and who asks.

    @ivar bytes: the last answer.
    """

    def __init__(self, **settings: Any) -> None:
        self.served = Served()
        self.network = FakeNetwork(self.served.clock)
        self.server = DNSServer(
            self.served.door,
            DNSSettings(datacenter="dc1", **settings),
            self.network,  # type: ignore[arg-type]
            Random(1),
            Random(2),
            lambda: NOW,
        )
        self.bytes = b""

    def register(self, node: str, address: str, **more: Any) -> None:
        """Add to the catalog; C{service} and C{checks} are those of the record."""
        self.served.call("Catalog.Register", RegisterRequest(datacenter="dc1", node=node, address=address, **more))

    def service(self, node: str, host: str, name: str, port: int = 80, status: str = "", **more: Any) -> None:
        """Add an instance, with a check of this status."""
        service = NodeService(id=name, service=name, port=port, **more)
        checks = (HealthCheck(node=node, check_id="c", name="c", status=status, service_id=name),) if status else None
        self.register(node, host, service=service, checks=checks)

    def deregister(self, node: str) -> None:
        """Take a node away."""
        self.served.call("Catalog.Deregister", DeregisterRequest(datacenter="dc1", node=node))

    def send(self, packet: bytes, udp: bool = True) -> list[bytes]:
        """What is answered to bytes: nothing, or one message."""
        sent: list[bytes] = []
        if udp:
            kept = self.server.udp_answers.get(packet[2:])
        else:
            kept = self.server.tcp_answers.get(packet[2:])
        if kept is not None:
            sent.append(packet[:2] + kept)
        else:
            self.server.answer(packet, udp, sent.append)
        return sent

    def ask(self, name: str, kind: str = "A", size: int | None = None, udp: bool = True, options: Any = ()) -> Message:
        """The answer to a question."""
        (self.bytes,) = self.send(question(name, kind, size, options), udp)
        return decode(self.bytes)

    def answers(self, name: str, kind: str = "A", **more: Any) -> list[str]:
        """The answers to a question, in order of their text."""
        return sorted(map(show, self.ask(name, kind, **more).answer))
