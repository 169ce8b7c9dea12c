"""
Questions with mistakes in them, put to a whole DNS edge: a durable server, its catalog, UDP, TCP and a recursor that
is not there, all in memory.

    python -m tests.dns.fuzzing [--packets 100000] [--seed 1]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from random import Random
from typing import Any

from twisted.internet.testing import StringTransport
from twisted.logger import globalLogPublisher

from tests.agent.test_server import OneServer
from tests.dns.asking import NOW, TYPES, FakeNetwork
from txconsul.dns.message import EDNS, Malformed, Message, Question, decode, encode, make_name
from txconsul.dns.server import DNSServer
from txconsul.dns.settings import DNSSettings
from txconsul.records.catalog import RegisterRequest
from txconsul.records.health import HealthCheck
from txconsul.records.service import NodeService

__all__ = ["Edge", "attack", "mutated", "questions"]

NAMES = (
    "web.service.consul",
    "many.service.consul",
    "v1.many.service.dc1.consul",
    "_web._tcp.service.consul",
    "_many._v1.service.dc1.dc.consul",
    "n1.node.consul",
    "alias.service.consul",
    "0a000001.addr.consul",
    "web.virtual.consul",
    "web.connect.consul",
    "web.ingress.consul",
    "web.query.consul",
    "1.0.0.10.in-addr.arpa",
    "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
    "consul",
    "www.example.org",
    ".",
)
SIZES = (None, 0, 512, 700, 1232, 4096, 65535)
#: EDNS options: a cookie, a client's subnet, one that nobody knows.
OPTIONS = (((10, b"12345678"),), ((8, b"\0\1\x18\0\x0a\0\0"),), ((65001, b""), (8, b"\0\2\0\0")), ())


def questions(rng: Random) -> Iterator[bytes]:
    """Questions as clients ask them, one after the other, for ever."""
    kinds = list(TYPES.values())
    while True:
        name = rng.choice(NAMES)
        message = Message(
            id=rng.randrange(1 << 16),
            recursion_desired=rng.random() < 0.7,
            questions=[Question(make_name("" if name == "." else name), rng.choice(kinds))],
        )
        if (size := rng.choice(SIZES)) is not None:
            message.additional.append(EDNS(size, rng.choice(OPTIONS)).record())
        yield encode(message)


def mutated(packet: bytes, rng: Random) -> bytes:
    """A packet with some mistakes, or with none."""
    data = bytearray(packet)
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3, 5))):
        kind, at = rng.randrange(6), rng.randrange(len(data) + 1)
        if kind < 3 and at < len(data):
            data[at] = rng.choice((0, 1, 0xC0, 0xFF, 0x3F, 12, data[at] ^ 1 << rng.randrange(8), rng.randrange(256)))
        elif kind == 3:
            del data[at : at + rng.randrange(1, 9)]
        elif kind == 4:
            data[at:at] = rng.randbytes(rng.randrange(1, 9))
        else:
            data[at:at] = data[rng.randrange(len(data) + 1) :][:60]
    return bytes(data)


class Edge:
    """
    The edge, which is asked over both transports.

    @ivar told: how many packets had an answer, and how many none.
    """

    def __init__(self, **settings: Any) -> None:
        self.one = OneServer()
        self._register("n1", "10.0.0.1", service=NodeService(id="web", service="web", port=80), node_meta={"a": "b"})
        self._register("n2", "2001:db8::1", service=NodeService(id="web", service="web", port=81, tags=("v1",)))
        self._register(
            "n3", "web.service.consul", service=NodeService(id="a", service="alias", address="www.example.org")
        )
        for number in range(40):
            node = f"m{number}"
            check = HealthCheck(node=node, check_id="c", status="critical" if number % 7 == 0 else "passing")
            service = NodeService(id="many", service="many", port=number, tags=("v1",))
            self._register(node, f"10.1.0.{number}", service=service, checks=(check,))
        self.network: Any = FakeNetwork(self.one.clock)
        settings = {"recursors": (("192.0.2.53", 53),), "enable_truncate": True, **settings}
        self.server = DNSServer(
            self.one.server.door,
            DNSSettings(datacenter="dc1", **settings),
            self.network,
            Random(1),
            Random(2),
            lambda: NOW,
        )
        self._udp = self.server.datagrams()
        self._sent: list[bytes] = []
        self._udp.makeConnection(self)
        self.told = {"answered": 0, "not answered": 0}

    def _register(self, node: str, address: str, **more: Any) -> None:
        self.one.ask("Catalog.Register", RegisterRequest(datacenter="dc1", node=node, address=address, **more))

    def write(self, data: bytes, address: Any) -> None:
        """The edge sends a datagram."""
        self._sent.append(data)

    def ask_udp(self, packet: bytes) -> list[bytes]:
        """What a datagram is answered with; waiting for recursors comes to its end at once."""
        self._sent = []
        self._udp.datagramReceived(packet, ("192.0.2.1", 5353))
        self._pass_time()
        return self._sent

    def ask_tcp(self, packet: bytes, rng: Random) -> list[bytes]:
        """What a message in pieces is answered with, over a connection of its own."""
        protocol: Any = self.server.streams.buildProtocol(None)
        transport = StringTransport()
        protocol.makeConnection(transport)
        data = len(packet).to_bytes(2, "big") + packet
        cut = rng.randrange(len(data) + 1)
        protocol.dataReceived(data[:cut])
        protocol.dataReceived(data[cut:])
        self._pass_time()
        protocol.connectionLost()
        found, stream = [], transport.value()
        while stream:
            length = int.from_bytes(stream[:2], "big")
            found.append(stream[2 : 2 + length])
            stream = stream[2 + length :]
        return found

    def _pass_time(self) -> None:
        if self.network.places or self.network.connections:
            self.one.clock.advance(30)
            self.network.connections.clear()
            self.network.sent.clear()

    def try_packet(self, packet: bytes, rng: Random) -> None:
        """
        Ask, and see that the answer, if there is one, is an answer.

        @raise AssertionError: it is not; or there are several.
        """
        for answers in (self.ask_udp(packet), self.ask_tcp(packet, rng)):
            assert len(answers) <= 1, "several answers"
            self.told["answered" if answers else "not answered"] += 1
            for answer in answers:
                found = decode(answer)
                assert found.response and answer[:2] == packet[:2], "an answer to another question"


def attack(edge: Edge, rng: Random, packets: int) -> float:
    """
    Put that many packets to the edge, over both transports.

    @return: the CPU seconds of the slowest.
    @raise AssertionError: an answer is none; the text has the packet.
    """
    slowest, asked = 0.0, questions(rng)
    for number in range(packets):
        packet = mutated(next(asked), rng)
        began = time.process_time()
        try:
            edge.try_packet(packet, rng)
        except (AssertionError, Malformed) as error:
            raise AssertionError(f"packet {number}, {packet.hex()}: {error}") from error
        slowest = max(slowest, time.process_time() - began)
    return slowest


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packets", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    mistakes: list[str] = []

    def observe(event: Any) -> None:
        if failure := event.get("log_failure"):
            mistakes.append(failure.getTraceback())

    globalLogPublisher.addObserver(observe)
    edge, began = Edge(), time.process_time()
    slowest = attack(edge, Random(options.seed), options.packets)
    took = time.process_time() - began
    print(f"{options.packets} packets over both transports: {json.dumps(edge.told)}, {took:.1f} CPU s,", end=" ")
    print(f"the slowest {slowest * 1000:.1f} ms")
    if mistakes:
        print(f"{len(mistakes)} failures were logged; the first:\n{mistakes[0]}")
    return 1 if mistakes else 0


if __name__ == "__main__":
    sys.exit(main())
