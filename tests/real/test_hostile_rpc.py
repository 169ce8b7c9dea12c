"""
Peers at the server port that lie, hang, flood or send rubbish: each is cut off, the others are served meanwhile, and
the agent's memory and log stay within bounds.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from random import Random

from tests.real.process import DEADLINE_SECONDS, ProcessTestCase
from txconsul.rpc.call import REQUEST_BYTES_MAX, RequestReader, request

PORT = 8300
MIB = 1 << 20
WINDOW = 256 * 1024
#: Whatever happens, an honest request is answered within this time.
PROBE_SECONDS_MAX = 2.0
#: VmHWM may grow by this much.
GROWTH_MAX = 150 * MIB
SYN, ACK = 1, 2


def frame(kind: int, flags: int, id: int, length: int, payload: bytes = b"") -> bytes:
    """One frame of yamux."""
    return struct.pack(">BBHII", 0, kind, flags, id, length) + payload


def data(id: int, payload: bytes, flags: int = 0) -> bytes:
    """A frame of data."""
    return frame(0, flags, id, len(payload), payload)


PING = request(1, "Status.Ping", b"\x80")
#: What is sent at once, after which the other side ends the connection.
RUBBISH = {
    "an unknown byte": b"\xfe",
    "HTTP": b"GET /v1/kv/a HTTP/1.1\r\nHost: x\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
    "TLS that is not served": b"\x03\x16\x03\x01\x02\x00",
    "gRPC": b"\x08PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "the old multiplexing": b"\x02",
    "gossip": b"\x06",
    "a frame of another version": b"\x04\x01" + bytes(11),
    "a frame of no type": b"\x04" + frame(9, 0, 0, 0),
    "a frame beyond the window": b"\x04" + frame(1, SYN, 1, 0) + frame(0, 0, 1, WINDOW + 1),
    "a window beyond all": b"\x04" + frame(1, SYN, 1, 0) + frame(1, 0, 1, 0xFFFFFFFF) * 2,
    "a stream twice": b"\x04" + frame(1, SYN, 1, 0) * 2,
    "a header that is a list": b"\x00\x92\x01\xabStatus.Ping\x80",
    "a header that is a number": b"\x00\x01\x80",
    "no msgpack": b"\x00\xc1",
    "an endless nest": b"\x00" + b"\x91" * 100_000,
    "an unknown method": b"\x00" + request(1, "Status.Nope", b"\x80"),
    "an unknown service": b"\x00" + request(1, "Nope.Nope", b"\x80"),
    "a name without a service": b"\x00" + request(1, "Nope", b"\x80"),
    "a snapshot of rubbish": b"\x05\xc1",
    "a snapshot with a list": b"\x05\x91\x01",
    "Raft of rubbish": b"\x01\x77\xc1",
}


class HostileTests(ProcessTestCase):
    """One server, and peers that mean no good."""

    def setUp(self) -> None:
        """A server with one key."""
        super().setUp()
        self.process = self.started(limits={"rpc_max_conns_per_client": 40})
        self.put("honest", "1")

    def link(self) -> socket.socket:
        """A connection to the server port."""
        link = socket.create_connection((self.bind_host, PORT), DEADLINE_SECONDS)
        self.addCleanup(link.close)
        return link

    def probe(self) -> None:
        """An honest client's request, over HTTP and by RPC."""
        began = time.monotonic()
        self.assertEqual(self.value("honest"), b"1")
        with self.link() as link:
            link.sendall(b"\x00" + PING)
            reader = RequestReader()
            while (answer := reader.next()) is None:
                received = link.recv(65536)
                self.assertTrue(received, self.process.output)
                reader.feed(received)
            self.assertEqual((answer.method, answer.body), ("Status.Ping", b"\x80"))
        self.assertLess(time.monotonic() - began, PROBE_SECONDS_MAX)

    @contextmanager
    def bounded(self) -> Iterator[None]:
        """Its memory does not grow much."""
        before = self.process.memory_peak()
        yield
        self.assertLess(self.process.memory_peak() - before, GROWTH_MAX)

    def ends(self, link: socket.socket) -> bytes:
        """Read until the other side ends the connection."""
        received = b""
        try:
            while got := link.recv(65536):
                received += got
        except ConnectionError:
            return received
        except TimeoutError:
            self.fail(f"still open after {received!r}\n{self.process.output}")
        return received

    def test_rubbish(self) -> None:
        """Each of these is cut off, and logged once for many."""
        with self.bounded():
            for _ in range(3):
                for name, sent in RUBBISH.items():
                    with self.subTest(name), self.link() as link:
                        try:
                            link.sendall(sent)
                        except ConnectionError:
                            continue
                        self.ends(link)
                self.probe()
        self.assertEqual(self.process.popen.poll(), None)
        complaints = [line for line in self.process.lines if "[WARN]" in line and "rpc" in line]
        self.assertLess(len(complaints), 20, "\n".join(complaints))
        self.assertNotIn("Traceback", self.process.output)

    def test_noise(self) -> None:
        """Random bytes behind each first byte do nothing."""
        rng = Random(8300)
        with self.bounded():
            for first in (0, 1, 4, 5):
                for _ in range(25):
                    with self.link() as link:
                        try:
                            link.sendall(bytes([first]) + rng.randbytes(rng.choice((1, 13, 300, 5000))))
                        except ConnectionError:
                            continue
                self.probe()
        self.assertNotIn("Traceback", self.process.output)

    def test_bombs(self) -> None:
        """Requests that promise or hold more than any may are cut off before they cost what they would."""
        size = REQUEST_BYTES_MAX - 100
        lists = b"\xdd" + struct.pack(">I", size) + b"\x90" * size
        maps = b"\xdd" + struct.pack(">I", size) + b"\x80" * size
        endless = b"\xdb\xff\xff\xff\xff" + bytes(2 * REQUEST_BYTES_MAX)
        with self.bounded():
            for body in (lists, maps, endless, b"\xdd\xff\xff\xff\xff" * 1000):
                with self.link() as link:
                    try:
                        link.sendall(b"\x00" + request(1, "KVS.Get", body))
                        link.shutdown(socket.SHUT_WR)
                    except ConnectionError:
                        pass
                    self.ends(link)
                self.probe()

    def test_manyHalves(self) -> None:
        """Streams full of requests that never become whole are reset when they hold too much."""
        half = request(1, "KVS.Get", b"\xdb\x00\x10\x00\x00")
        with self.bounded(), self.link() as link:
            link.sendall(b"\x04")
            link.settimeout(0.2)
            received = b""
            try:
                for number in range(400):
                    id = 1 + 2 * number
                    link.sendall(frame(1, SYN, id, 0) + data(id, half) + data(id, bytes(WINDOW - len(half))))
                    while select.select([link], [], [], 0)[0]:
                        received += link.recv(65536)
            except (TimeoutError, ConnectionError):
                self.fail(f"it is not read any more\n{self.process.output}")
            self.probe()
            self.assertIn(struct.pack(">BBH", 0, 1, 8), received)  # a window update with RST

    def test_whoDoesNotRead(self) -> None:
        """Pings without end, whose answers are not taken, end the connection."""
        with self.bounded(), self.link() as link:
            link.sendall(b"\x04")
            pings = frame(2, SYN, 0, 7) * 5000
            link.settimeout(1.0)
            try:
                until = time.monotonic() + DEADLINE_SECONDS
                while time.monotonic() < until:
                    try:
                        link.sendall(pings)
                    except TimeoutError:
                        self.probe()
                self.fail("the connection goes on")
            except ConnectionError:
                pass
            self.probe()

    def test_manyConnections(self) -> None:
        """Who takes all connections that an address may have keeps out himself only, and not for long."""
        with ExitStack() as stack:
            links = [stack.enter_context(self.link()) for _ in range(60)]
            self.assertEqual(self.value("honest"), b"1")
            for link in links:
                self.ends(link)  # refused at once, or silent for five seconds
        self.probe()
