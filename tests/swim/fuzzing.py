"""
A gossip pool under attack: packets and streams with mistakes in their fields, lengths and layers, sealed again with the
pool's own keys, so that they get to every decoder.

    python -m tests.swim.fuzzing [--packets 1000000] [--seed 1]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from random import Random
from typing import Any
from unittest.mock import patch

from msgspec.structs import replace
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import LogLevel, globalLogPublisher

from tests.swim.hostile import PEERS, TARGET, VSN, Attacker
from txconsul.gossip import GossipPool
from txconsul.serf import asking, keyquery, questions
from txconsul.serf import node as serf_node
from txconsul.serf.messages import BadSerfMessage, Query, read_any
from txconsul.serf.settings import Settings, TooLarge
from txconsul.swim import packet, stream
from txconsul.swim.keyring import Keyring
from txconsul.swim.messages import Ack, BadGossip, NodeState, Ping, State, User, write_message
from txconsul.swim.packet import Wrapping
from txconsul.swim.stream import PushPull, StreamReader, write_stream
from txconsul.swim.timing import LAN

__all__ = ["Target", "attack", "census", "memory"]

LABEL, KEY, OTHER_KEY = b"pool", bytes(range(16)), bytes(range(32))
#: Virtual seconds between two packets.
PAUSE = 0.01
#: One attack in so many is a stream.
STREAMS = 16
#: A LAN's timing, but the target probes whenever some packets have come: or its members' coordinates, which are in the
#: answers, would hardly ever be read.
TIMING = replace(LAN, probe_interval=10 * PAUSE, probe_timeout=5 * PAUSE)
#: Once in so many packets the target asks the pool for its keys.
ASKING = 1000

#: What counts, by what it reads.
_DECODERS: tuple[tuple[str, Any, str], ...] = (
    ("packet", Wrapping, "open"),
    ("key", Keyring, "open"),
    ("compression", packet, "decompressed"),
    ("compound", packet, "_parts"),
    ("message", packet, "read_message"),
    ("serf message", serf_node, "read_any"),
    ("serf relay", serf_node, "read_relay"),
    ("serf state", serf_node, "read"),
    ("tags", serf_node, "read_tags"),
    ("coordinate", serf_node, "read_payload"),
    ("conflict answer", questions, "read"),
    ("query filter", asking, "_passes"),
    ("key message", keyquery, "read"),
    ("stream", StreamReader, "feed"),
    ("stream record", stream, "read_record"),
    ("stream compression", stream, "decompressed"),
)


@contextmanager
def census() -> Iterator[Counter[str]]:
    """Counts, by decoder and by what it read, how often it was reached and how often it found fault."""
    counts: Counter[str] = Counter()

    def counting(name: str, decode: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*given: Any) -> Any:
            counts[name] += 1
            try:
                found = decode(*given)
            except Exception:
                counts[f"{name}: refused"] += 1
                raise
            if name.endswith("message"):
                counts[f"{name}: {type(found).__name__}"] += 1
            return found

        return counted

    with ExitStack() as patches:
        for name, place, attribute in _DECODERS:
            patches.enter_context(patch.object(place, attribute, counting(name, getattr(place, attribute))))
        yield counts


class _Network:
    """Carries nothing: what is sent is looked at, and so is what is said on a stream, which may be answered."""

    def __init__(self, sent: Callable[[bytes], object], answered: Callable[[], bytes | None]) -> None:
        """@param answered: what is answered to a stream; None if nobody listens there."""
        self.clock = Clock()
        self.factory: Any = None
        self._sent = sent
        self._answered = answered

    def listen(self, description: str, factory: Any) -> Deferred[Any]:
        self.factory = factory
        return succeed(self)

    def datagrams(self, description: str, receiver: Any) -> Deferred[Any]:
        receiver.makeConnection(self)
        return succeed(self)

    def connect(self, description: str, factory: Any) -> Deferred[Any]:
        answer = self._answered()
        if answer is None:
            return fail(ConnectionRefusedError())
        protocol = factory.buildProtocol(None)
        protocol.makeConnection(StringTransport())
        self.clock.callLater(PAUSE / 2, lambda: (protocol.dataReceived(answer), protocol.connectionLost()))
        return succeed(protocol)

    def getHost(self) -> Any:
        return self

    port = 7946

    def write(self, data: bytes, address: tuple[str, int]) -> None:
        """As a socket: it refuses where nothing can be sent."""
        if address[1] == 0 or ":" in address[0]:
            raise OSError(22, "Invalid argument")
        self._sent(data)

    def stopListening(self) -> None:
        """See L{IListeningPort}."""


class Target:
    """
    A node, and the pool around it: eight members whose pings are answered, if nothing else is.

    @ivar sizes: the largest packet that it sent, and the number of packets.
    """

    def __init__(self, random: Random, *, secret: bool) -> None:
        """@param secret: the pool has a label and a key; else neither."""
        self.random = random
        self.network = _Network(self._sent, self._answered)
        self.label, keys = (LABEL, [KEY, OTHER_KEY]) if secret else (b"", [])
        self.attacker = Attacker(random, self.label, keys, lambda: self.pool.core.l_times())
        self.wrapping = Wrapping(self.label, Keyring(keys) if keys else None, entropy=random.randbytes)
        self.pool = GossipPool(
            self.network,
            TARGET,
            settings=Settings(timing=TIMING),
            host="10.0.0.9",
            tags={"role": "web"},
            keyring=Keyring(keys) if keys else None,
            label=self.label,
            random=Random(random.random()),
            entropy=random.randbytes,
        )
        self.packets = self.longest = 0
        self._replies: list[bytes] = []
        self.pool.open()
        nodes = [
            NodeState(addr=bytes([10, 0, 0, number]), incarnation=1, name=name, port=7946, vsn=VSN)
            for number, name in enumerate(PEERS)
        ]
        self.say(write_stream(PushPull(True, nodes, b""), self.wrapping, compress=False))

    def ask(self) -> None:
        """It has all members list their keys."""
        self.pool.change_keys("list").addErrback(lambda failure: failure.trap(TooLarge))

    def _answered(self) -> bytes | None:
        return self.attacker.stream() if self.random.random() < 0.7 else None

    def _sent(self, data: bytes) -> None:
        self.packets += 1
        self.longest = max(self.longest, len(data))
        if self.random.random() < 0.1:  # it is lost
            return
        try:
            opened = self.wrapping.open(data)
        except BadGossip:  # it was made to use another key
            return
        for message in opened.messages:
            if isinstance(message, User):
                self._overhear(message.payload)
            elif isinstance(message, Ping):
                self.attacker.asked.append(message.seq_no)
                ack = Ack(seq_no=message.seq_no)
                self._replies.append(
                    self.attacker.ack(message.seq_no) if self.random.random() < 0.8 else write_message(ack)
                )

    def _overhear(self, raw: bytes) -> None:
        """What it asks is answered by the attacker."""
        try:
            said = read_any(raw)
        except BadSerfMessage:
            return
        if isinstance(said, Query) and said.source_node == TARGET:
            self.attacker.queries.append(said)

    def packet(self, data: bytes) -> None:
        """A datagram comes, and a little time passes."""
        self.pool.packet(data, "10.0.0.1", 7946)
        self.network.clock.advance(PAUSE)
        replies, self._replies = self._replies, []
        for reply in replies:
            self.pool.packet(self.wrapping.seal(reply), "10.0.0.2", 7946)

    def say(self, data: bytes) -> bytes:
        """Somebody opens a stream and says something, in pieces. @return: what was answered."""
        protocol = self.network.factory.buildProtocol(None)
        transport = StringTransport()
        protocol.makeConnection(transport)
        cut = self.random.randrange(len(data) + 1)
        for piece in (data[:cut], data[cut:]):
            if piece:
                protocol.dataReceived(piece)
        self.network.clock.advance(PAUSE)
        protocol.connectionLost()
        return transport.value()

    @property
    def alive(self) -> int:
        """How many members it holds to be there."""
        return sum(1 for one in self.pool.core.swim.members if one.state is State.ALIVE)


def attack(targets: list[Target], packets: int, told: Callable[[int], object] = lambda number: None) -> float:
    """
    Put so many packets and streams to them, by turns.

    @return: the CPU seconds of the slowest.
    @raise Exception: whatever comes through, noted with the number and the bytes.
    """
    slowest = 0.0
    for number in range(packets):
        target = targets[number % len(targets)]
        is_stream = number % STREAMS == STREAMS - 1 or number % STREAMS == 0
        data = target.attacker.stream() if is_stream else target.attacker.packet()
        began = time.process_time()
        try:
            (target.say if is_stream else target.packet)(data)
        except Exception as error:
            error.add_note(f"{'stream' if is_stream else 'packet'} {number}: {data[:3000].hex()}")
            raise
        slowest = max(slowest, time.process_time() - began)
        if number // len(targets) % ASKING == 0:
            target.ask()
        told(number)
    return slowest


def memory() -> float:
    """The most memory that this process has had, in MB (VmHWM)."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packets", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    mistakes: list[str] = []

    def observe(event: Any) -> None:
        if event.get("log_level") is LogLevel.critical:
            mistakes.append(str(event.get("log_failure")))

    globalLogPublisher.addObserver(observe)
    random = Random(options.seed)
    targets = [Target(random, secret=secret) for secret in (False, True)]
    attack(targets, 1000)  # what a pool that is attacked needs anyway
    before, began = memory(), time.monotonic()

    def told(number: int) -> None:
        if number % 100_000 == 99_999:
            print(f"{number + 1} in {time.monotonic() - began:.0f} s, VmHWM +{memory() - before:.1f} MB", flush=True)

    with census() as counts:
        slowest = attack(targets, options.packets, told)
    for name in sorted(counts):
        print(f"  {name}: {counts[name]}")
    for target in targets:
        core = target.pool.core
        print(
            f"  knows {len(core.swim.members)} members, {target.alive} alive, {len(core.members)} of Serf's; ", end=""
        )
        print(f"sent {target.packets} packets, at most {target.longest} bytes long")
    print(
        f"{options.packets} packets and streams in {time.monotonic() - began:.0f} s: {len(mistakes)} mistakes, "
        f"the slowest took {slowest * 1000:.1f} ms, VmHWM grew by {memory() - before:.1f} MB"
    )
    for mistake in mistakes[:10]:
        print(mistake)
    return 1 if mistakes else 0


if __name__ == "__main__":
    sys.exit(main())
