"""
Clients that lie, dribble, hang, flood or send rubbish: each gets its status or is closed, the others are served
meanwhile, and the agent's memory stays within bounds.

C{TXCONSUL_MEASURES} names a file to which each test adds a line with what it measured.
"""

from __future__ import annotations

import os
import resource
import select
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from unittest import SkipTest

from tests.real.process import DEADLINE_SECONDS, ProcessTestCase

SEED = os.environ.get("TXCONSUL_SEED_BASE", "0")
MIB = 1 << 20
#: Whatever happens, an honest client is answered within this time.
PROBE_SECONDS_MAX = 1.0
#: VmHWM may grow by this much.
GROWTH_MAX = 100 * MIB
#: The idle connections that are wanted, and the descriptors that a process needs beside them.
IDLE_CONNECTIONS = 10_000
DESCRIPTORS_BESIDE = 1_500
#: What one idle connection may cost the agent, in bytes of resident memory.
IDLE_BYTES_MAX = 6_000


def put(key: bytes, *head: bytes, body: bytes = b"") -> bytes:
    """A PUT of a key with these header lines."""
    return b"\r\n".join((b"PUT /v1/kv/" + key + b" HTTP/1.1", b"Host: x", *head, b"", b"")) + body


def get(target: bytes, *head: bytes) -> bytes:
    """A GET with these header lines."""
    return b"\r\n".join((b"GET " + target + b" HTTP/1.1", b"Host: x", *head, b"", b""))


#: What is sent -> the statuses that may be answered. 0 is an end of the connection without a word.
REFUSED: dict[bytes, tuple[int, ...]] = {
    # bodies and their lengths
    put(b"a", b"Content-Length: 524289"): (413,),
    put(b"a", b"Content-Length: 99999999999999999999999999"): (400, 413),
    put(b"a", b"Content-Length: 18446744073709551616"): (400, 413),
    put(b"a", b"Content-Length: -1"): (400,),
    put(b"a", b"Content-Length: +1", body=b"x"): (400,),
    put(b"a", b"Content-Length: 0x1", body=b"x"): (400,),
    put(b"a", b"Content-Length: 1 1", body=b"x"): (400,),
    put(b"a", b"Content-Length: 1", b"Content-Length: 2", body=b"xx"): (400,),
    put(b"a", b"Content-Length: 1", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"): (400,),
    put(b"a", b"Transfer-Encoding: gzip", body=b"x"): (501,),
    put(b"a", b"Transfer-Encoding: chunked", body=b"zz\r\n"): (400,),
    put(b"a", b"Transfer-Encoding: chunked", body=b"-1\r\n"): (400,),
    put(b"a", b"Transfer-Encoding: chunked", body=b"ffffffffffffffff\r\n"): (400, 413),
    put(b"a", b"Transfer-Encoding: chunked", body=b"1\r\nxyz\r\n"): (400,),
    put(b"a", b"Transfer-Encoding: chunked", body=b"1;" + b"e" * 5000): (400,),
    put(b"a", b"Transfer-Encoding: chunked", body=b"80000\r\n" + b"x" * 0x80000 + b"\r\n1\r\nx\r\n0\r\n\r\n"): (413,),
    put(b"a", b"Expect: a-miracle", b"Content-Length: 1"): (417,),
    # heads
    get(b"/v1/kv/a", b"X: " + b"x" * (2 * MIB)): (431,),
    get(b"/v1/kv/a", *[b"X-%d: y" % number for number in range(2000)]): (431,),
    get(b"/" + b"a" * (2 * MIB)): (414, 431),
    get(b"/v1/kv/a", b"Folded: a", b" b"): (400,),
    get(b"/v1/kv/a", b"Na me: a"): (400,),
    get(b"/v1/kv/a", b": nameless"): (400,),
    get(b"/v1/kv/a", b"Nul: a\0b"): (400,),
    b"GET /v1/kv/a HTTP/1.1\r\n\r\n": (400,),
    b"GET /v1/kv/a HTTP/1.1\nHost: x\n\n": (400,),
    b"GET /v1/kv/a HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n": (400,),
    b"GET /v1/kv/a HTTP/9.9\r\nHost: x\r\n\r\n": (505,),
    b"GET  /v1/kv/a HTTP/1.1\r\nHost: x\r\n\r\n": (400,),
    b"GET /v1/kv/a\r\n\r\n": (400,),
    b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n": (400, 404, 405),
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n": (400, 505),
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64) + b"\r\n\r\n": (400,),
    b"\0" * 100_000 + b"\r\n\r\n": (400, 431),
}

#: The target's rest behind /v1/kv/ -> statuses of a GET: an answer, a refusal, or a way to the clean path.
KEYS: dict[bytes, tuple[int, ...]] = {
    b"..": (301,),
    b"../../etc/passwd": (301,),
    b"a/../b": (301,),
    b"a/./b": (301,),
    b"a//b": (301,),
    b"%2e%2e/%2e%2e/etc/passwd": (404,),
    b"a/%2e/b": (404,),
    b"a%2fb": (404,),
    b"%00": (400,),
    b"a%00b": (400,),
    b"%0d%0aX: y": (400,),
    b"%0d%0aX:y": (400,),
    b"%7f": (400,),
    b"%ff%fe": (400, 404),
    b"\xff\xfe": (400, 404),
    b"%c3%a4": (404,),
    b"%": (400,),
    b"%2": (400,),
    b"%zz": (400,),
    b"a?recurse&index=-1": (400,),
    b"a?index=99999999999999999999": (400,),
    b"a?wait=1y": (400,),
    b"a?cas=x&%zz": (400, 500),
    b"?separator=%ff&keys": (200, 404),
}


class HostileTests(ProcessTestCase):
    """One agent, and clients that mean no good."""

    def setUp(self) -> None:
        """An agent with one key, which the probe reads."""
        super().setUp()
        self.host, port = self.own_address()
        self.process = self.started(
            addresses={"http": f"unix://{self.socket_path} {self.host}"},
            ports={"http": port},
            limits={"http_max_conns_per_client": 20_000},
        )
        self.port = port
        self.put("probe", "here")
        self.slowest = 0.0
        self.probe()
        self.before = self.process.memory_peak()

    def probe(self) -> None:
        """An honest client is answered, and soon."""
        began = time.monotonic()
        self.assertEqual(self.value("probe"), b"here")
        taken = time.monotonic() - began
        self.slowest = max(self.slowest, taken)
        self.assertLess(taken, PROBE_SECONDS_MAX)

    def end(self, what: str) -> None:
        """The agent lives, its memory has not grown much, and nothing broke in it."""
        self.probe()
        growth = self.process.memory_peak() - self.before
        told = f"{what}: VmHWM grew by {growth / MIB:.1f} MiB, the slowest probe took {self.slowest * 1000:.0f} ms"
        if path := os.environ.get("TXCONSUL_MEASURES"):
            with open(path, "a") as file:
                file.write(told + "\n")
        self.assertLess(growth, GROWTH_MAX, told)
        self.assertNotIn("Traceback", self.process.output)
        self.stopped(self.process)

    def answer(self, sent: bytes, finish: bool = False) -> tuple[int, bytes]:
        """
        Send bytes, whatever becomes of them, and read until the connection ends or an answer is whole.

        @param finish: say that nothing more comes.
        @return: the status (0 without one), and everything.
        """
        link = self.connect()
        link.settimeout(0)
        whole, got, done = sent, b"", False
        until = time.monotonic() + DEADLINE_SECONDS
        while not done:
            readable, writable, _ = select.select([link], [link] if sent else [], [], until - time.monotonic())
            self.assertTrue(readable or writable, f"no answer and no end to {whole[:200]!r}; so far {got[:200]!r}")
            try:
                if writable:
                    sent = sent[link.send(sent) :]
                    if not sent and finish:
                        link.shutdown(socket.SHUT_WR)
                if readable:
                    piece = link.recv(1 << 16)
                    got += piece
                    done = not piece or self._whole(got)
            except (ConnectionResetError, BrokenPipeError):
                done = True
        link.close()
        return (int(got.split()[1]) if got.startswith(b"HTTP/1.") else 0), got

    def _whole(self, got: bytes) -> bool:
        head, found, body = got.partition(b"\r\n\r\n")
        if not found or head.startswith(b"HTTP/1.1 100 "):
            return False
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                return len(body) >= int(line.partition(b":")[2])
        return b" 304 " in head or b" 204 " in head

    # ---- what is refused ----

    def test_refusals(self) -> None:
        """Impossible requests get their status, and nothing of them is done."""
        for sent, statuses in REFUSED.items():
            status, got = self.answer(sent)
            self.assertIn(status, statuses, f"{sent[:200]!r}: {got[:300]!r}")
            self.probe()
        self.assertIsNone(self.value("a"))
        self.end("impossible requests")

    def test_keys(self) -> None:
        """Odd paths are answered, refused, or sent to the clean path; none reaches a file."""
        for rest, statuses in KEYS.items():
            for prefix in (b"/v1/kv/", b"/v1/kv/deep/"):
                status, got = self.answer(get(prefix + rest))
                self.assertIn(status, statuses, f"{rest!r}: {got[:300]!r}")
                self.assertNotIn(b"root:", got)
                self.assertNotIn(b"\r\nX:", got)
        self.end("odd keys")

    def test_lyingLengths(self) -> None:
        """
        A body shorter than it says is nothing at all once the client ends; what follows a longer one is the next
        request. Without a length there is no body.
        """
        self.assertEqual(self.answer(put(b"short", b"Content-Length: 100", body=b"x" * 99), finish=True)[0], 0)
        self.assertEqual(self.answer(put(b"short", b"Transfer-Encoding: chunked", body=b"5\r\nab"), finish=True)[0], 0)
        self.assertIsNone(self.value("short"))
        link = self.connect()
        link.sendall(put(b"long", b"Content-Length: 1", body=b"xyz\r\n\r\n"))
        got = b""
        while piece := link.recv(1 << 16):
            got += piece
        self.assertTrue(got.startswith(b"HTTP/1.1 200 "), got)
        self.assertEqual(got.count(b"HTTP/1.1 400 "), 1, got)
        self.assertEqual(self.value("long"), b"x")
        self.assertEqual(self.answer(put(b"none"))[0], 200)
        self.assertEqual(self.value("none"), b"")
        self.end("lying lengths")

    def test_rubbish(self) -> None:
        """Random bytes, and real requests with some bytes changed, are answered or closed."""
        rng = Random(f"rubbish {SEED}")
        whole = put(b"rubbish", b"Content-Length: 5", b"X-Some: header", body=b"hello")
        for turn in range(150):
            if turn % 2:
                sent = rng.randbytes(rng.randrange(1, 3000))
            else:
                changed = bytearray(whole)
                for _ in range(rng.randrange(1, 6)):
                    changed[rng.randrange(len(changed))] = rng.randrange(256)
                sent = bytes(changed)
            self.answer(sent, finish=True)
            if turn % 10 == 0:
                self.probe()
        self.end("rubbish")

    # ---- floods ----

    def test_pipelining(self) -> None:
        """A thousand requests sent at once are answered in their order."""
        count = 1000
        link = self.connect()
        link.settimeout(0)
        sent = b"".join(
            put(b"p/%d" % number, b"Content-Length: 4", body=b"%04d" % number) + get(b"/v1/kv/p/%d?raw" % number)
            for number in range(count // 2)
        )
        expected = [body for number in range(count // 2) for body in (b"true", b"%04d" % number)]
        got = b""
        while got.count(b"\r\n\r\n") < count or not got.endswith(expected[-1]):
            readable, writable, _ = select.select([link], [link] if sent else [], [], DEADLINE_SECONDS)
            self.assertTrue(readable or writable, "it stopped answering")
            if writable:
                sent = sent[link.send(sent[: 1 << 16]) :]
            if readable:
                got += link.recv(1 << 20)
        answers = got.split(b"HTTP/1.1 200 OK\r\n")[1:]
        self.assertEqual([one.partition(b"\r\n\r\n")[2].strip() for one in answers], expected)
        self.end("pipelining")

    def test_slowWriters(self) -> None:
        """Clients that send a byte now and then, in heads and in bodies, keep nobody else waiting."""
        heads = [self.connect() for _ in range(150)]
        bodies = [self.connect() for _ in range(150)]
        for link in heads:
            link.sendall(b"GET /v1/kv/probe HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        for link in bodies:
            link.sendall(put(b"slow", b"Content-Length: 400000"))
        for _ in range(40):
            for link in (*heads, *bodies):
                link.send(b"x")
            self.probe()
        for link in heads:
            link.sendall(b"\r\n\r\n")
            self.assertTrue(link.recv(1 << 16).startswith(b"HTTP/1.1 200 "))
        self.end("slow writers")

    def test_halfRequests(self) -> None:
        """
        Hundreds of large requests that never end are held up to a bound; whoever holds most of it is refused, and the
        memory comes back when they are gone.
        """
        links = []
        for _ in range(400):
            link = self.connect()
            link.settimeout(0)
            links.append(link)
            sent = put(b"half", b"Content-Length: 500000", body=b"x" * 499_000)
            try:
                while sent and select.select([], [link], [], 0.02)[1]:
                    sent = sent[link.send(sent) :]
            except (ConnectionResetError, BrokenPipeError):
                pass
            if len(links) % 50 == 0:
                self.probe()
        refused = 0
        for link in links:
            try:
                refused += link.recv(1 << 16).startswith(b"HTTP/1.1 503 ")
            except (BlockingIOError, ConnectionResetError):
                continue
        self.assertGreater(refused, 100)
        for link in links:
            link.close()
        self.put("whole", b"x" * 500_000)
        self.assertIsNone(self.value("half"))
        self.end("half requests")

    def test_slowReaders(self) -> None:
        """Clients that ask for a lot and read nothing hold a piece of it, not all of it."""
        for number in range(10):
            self.put(f"large/{number}", b"x" * 500_000)
        links = [self.connect() for _ in range(200)]
        asked = (b"/v1/kv/large/1?raw", b"/v1/kv/large/1", b"/v1/kv/large/?recurse")
        for number, link in enumerate(links):
            link.sendall(get(asked[number % 3]) * 20)
            if link.fileno() % 20 == 0:
                self.probe()
        for link in links:
            self.assertTrue(select.select([link], [], [], DEADLINE_SECONDS)[0])
        self.probe()
        self.end("slow readers")

    def test_connectionsOfOneClient(self) -> None:
        """More connections of one address than are allowed are told so; other addresses are served."""
        self.stopped(self.process)
        self.process = self.started(
            addresses={"http": f"unix://{self.socket_path} {self.host}"},
            ports={"http": self.port},
            limits={"http_max_conns_per_client": 20},
        )
        with self.connections("127.0.0.2", 20) as links:
            for link in links:
                link.sendall(get(b"/v1/status/leader"))
                self.assertTrue(link.recv(1 << 16).startswith(b"HTTP/1.1 200 "))
            with self.connections("127.0.0.2", 1) as (more,):
                got = more.recv(1 << 16)
                self.assertTrue(got.startswith(b"HTTP/1.1 429 "), got)
                self.assertIn(b"Your IP is issuing too many concurrent connections", got)
                self.assertEqual(more.recv(1), b"")
            with self.connections("127.0.0.3", 1) as (other,):
                other.sendall(get(b"/v1/status/leader"))
                self.assertTrue(other.recv(1 << 16).startswith(b"HTTP/1.1 200 "))
        self.end("connections of one client")

    def test_idleConnections(self) -> None:
        """Ten thousand idle connections (or as many as the system allows) cost little memory and nobody's time."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        count = min(IDLE_CONNECTIONS, hard * 7 // 8 - DESCRIPTORS_BESIDE)
        if count < 100:
            raise SkipTest(f"no more than {hard} descriptors are allowed here")
        if count < IDLE_CONNECTIONS:
            print(f"notice: {count} idle connections instead of {IDLE_CONNECTIONS}, as {hard} descriptors are allowed")
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        resident = self.process.memory()
        with self.connections("127.0.0.1", count) as links:
            for link in links[:: count // 20]:
                self.probe()
                link.sendall(get(b"/v1/status/leader"))
                self.assertTrue(link.recv(1 << 16).startswith(b"HTTP/1.1 200 "))
            fresh = (self.process.memory() - resident) / count
            for number, link in enumerate(links):
                link.sendall(get(b"/v1/kv/probe"))
                if number % (count // 20) == 0:
                    self.probe()
            for link in links:
                self.assertTrue(link.recv(1 << 16).startswith(b"HTTP/1.1 200 "))
            used = (self.process.memory() - resident) / count
            cpu = self.process.cpu_seconds()
            select.select([], [], [], 2.0)
            cpu = self.process.cpu_seconds() - cpu
            self.probe()
        self.assertLess(used, IDLE_BYTES_MAX)
        self.assertLess(cpu, 0.5, "idle connections keep the processor busy")
        self.end(f"{count} idle connections of {fresh:.0f} bytes, after a request {used:.0f}, {cpu / 2:.1%} of a CPU")

    @contextmanager
    def connections(self, source: str, count: int) -> Iterator[list[socket.socket]]:
        """Connections over TCP from one address."""
        links: list[socket.socket] = []
        try:
            for _ in range(count):
                link = socket.create_connection((self.host, self.port), DEADLINE_SECONDS, (source, 0))
                links.append(link)
            yield links
        finally:
            for link in links:
                link.close()
