"""A pool of SWIM nodes on a network of a few lines: no sockets, no clock but its own."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from random import Random
from typing import Any, Generic, TypeVar

from txconsul.swim.delegate import Delegate
from txconsul.swim.members import Address
from txconsul.swim.messages import State
from txconsul.swim.node import SwimNode
from txconsul.swim.outputs import Output, Request, Send
from txconsul.swim.packet import Wrapping
from txconsul.swim.stream import StreamReader, write_stream
from txconsul.swim.timing import LAN, Timing

__all__ = ["VSN", "Pool", "SwimPool"]

VSN = bytes.fromhex("010502020504")


N = TypeVar("N", bound=Any)


class Pool(Generic[N]):
    """
    Nodes named n0, n1, ..., at 10.0.0.0, 10.0.0.1, ....

    @ivar told: what each node told, in order, with the time.
    @ivar cut: pairs of names between which packets are lost; C{(None, name)} is everybody to that node.
    @ivar stalled: names of nodes that do nothing, and read nothing, as if stopped by a signal.
    """

    def __init__(self, count: int, seed: int = 1, timing: Timing = LAN, loss: float = 0.0) -> None:
        self.random = Random(seed)
        self.now = 0.0
        self.timing = timing
        self.loss = loss
        self.nodes: dict[str, N] = {}
        self.addresses: dict[Address, str] = {}
        self.told: dict[str, list[tuple[float, Output]]] = {}
        self.cut: set[tuple[str | None, str]] = set()
        self.cut_streams: set[tuple[str | None, str]] = set()
        self.stalled: dict[str, list[Callable[[], None]]] = {}
        self.packets = 0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0
        self._homes: dict[str, Address] = {}
        self._wrapping = Wrapping(entropy=bytes)
        for _ in range(count):
            self.add()

    def make(self, name: str, address: Address, **options: Any) -> N:
        """A node, which is of one layer or another."""
        raise AssertionError("a pool is of nodes of some layer")

    def add(self, name: str = "", *, at: int = -1, label: str = "", **options: Any) -> N:
        """
        A node more, that knows nobody yet.

        @param at: which address it has; the next one by default.
        @param label: how it is called here, if another has its name already.
        """
        number = len(self.nodes) if at < 0 else at
        name = name or f"n{number}"
        node = self.make(name, self.address(number), **options)
        name = node.label = label or name
        self.nodes[name] = node
        self.addresses[self.address(number)] = name
        self._homes[name] = self.address(number)
        self.told[name] = []
        self.drain(node)
        return node

    def address(self, number: int) -> Address:
        """Where a node is."""
        return bytes([10, 0, number >> 8, number & 255]), 7946

    def join_all(self) -> None:
        """Everybody joins by the first node, and has a while to hear of everybody."""
        for node in list(self.nodes.values())[1:]:
            self.join(node)
        self.run(5.0)

    def join(self, node: N) -> None:
        """A node joins by the first one."""
        raise AssertionError("a pool is of nodes of some layer")

    def do(self, node: N, act: Callable[[], object]) -> None:
        """Have a node do something, and carry out what it wishes."""
        act()
        self.drain(node)

    def kill(self, name: str) -> N:
        """A node is gone without a word."""
        return self.nodes.pop(name)

    def resume(self, name: str) -> None:
        """A stalled node goes on with what has come in meanwhile."""
        for event in self.stalled.pop(name):
            event()
        if name in self.nodes:
            self._wake(self.nodes[name])

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self.until(lambda: False, seconds)

    def until(self, done: Callable[[], bool], seconds: float) -> bool:
        """Let time pass until something is so, at most so long. @return: whether it is so."""
        end = self.now + seconds
        while not done():
            if not self._events or self._events[0][0] > end:
                self.now = end
                return done()
            self.now, _, event = heapq.heappop(self._events)
            event()
        return True

    def views(self) -> dict[str, dict[str, State]]:
        """What everybody believes of everybody."""
        return {name: {one.name: one.state for one in node.members} for name, node in self.nodes.items()}

    def agrees(self, **states: State) -> bool:
        """Whether all hold each other alive, and those named as said, or have forgotten them."""
        names = set(self.nodes)
        for view in self.views().values():
            for name in names | set(view):
                if name in states and view.get(name, states[name]) is not states[name]:
                    return False
                if name not in states and view.get(name) is not State.ALIVE:
                    return False
        return True

    def outputs(self, name: str, kind: type) -> list[Output]:
        """What a node told of one kind."""
        return [output for _, output in self.told[name] if isinstance(output, kind)]

    # ---- carrying out ----

    def _after(self, seconds: float, owner: str, event: Callable[[], None]) -> None:
        def happen() -> None:
            if owner in self.stalled:
                self.stalled[owner].append(event)
            else:
                event()

        self._number += 1
        heapq.heappush(self._events, (self.now + seconds, self._number, happen))

    def _latency(self) -> float:
        return 0.0002 + self.random.random() * 0.001

    def _wake(self, node: N) -> None:
        if self.nodes.get(node.label) is node:
            node._pool_deadline = None
            node.wake(self.now)
            self.drain(node)

    def drain(self, node: N) -> None:
        """Carry out what a node wishes, and keep what it tells."""
        for output in node.take_output():
            if isinstance(output, Send):
                self._carry(node, output)
            elif isinstance(output, Request):
                self._connect(node, output)
            else:
                self.told[node.label].append((self.now, output))
        deadline = node.next_deadline()
        if deadline is not None and deadline != getattr(node, "_pool_deadline", None):
            node._pool_deadline = deadline
            self._after(max(0.0, deadline - self.now), node.label, lambda: self._wake(node))

    def _find(self, address: tuple[bytes, int]) -> N | None:
        return self.nodes.get(self.addresses.get(address, ""))

    def _is_cut(self, cut: set[tuple[str | None, str]], sender: str, to: str) -> bool:
        return (sender, to) in cut or (None, to) in cut

    def _carry(self, sender: N, packet: Send) -> None:
        self.packets += 1
        target = self._find(packet.to)
        if target is None or self._is_cut(self.cut, sender.label, target.label) or self.random.random() < self.loss:
            return
        sealed = self._wrapping.seal(packet.data, checksum=packet.checksum)
        source = self._homes[sender.label]

        def arrive() -> None:
            if self.nodes.get(target.label) is target:
                opened = self._wrapping.open(sealed)
                assert not opened.damage
                for message in opened.messages:
                    target.receive(message, source, self.now)
                self.drain(target)

        self._after(self._latency(), target.label, arrive)

    def _connect(self, asker: N, request: Request) -> None:
        def fail() -> None:
            if self.nodes.get(asker.label) is asker:
                asker.failed(request.number, "no route to host", self.now)
                self.drain(asker)

        target = self._find(request.to)
        if target is None or self._is_cut(self.cut_streams, asker.label, target.label):
            self._after(min(0.05, request.deadline - self.now), asker.label, fail)
            return
        data = write_stream(request.message, self._wrapping, compress=False)

        def arrive() -> None:
            if self.nodes.get(target.label) is not target:
                return
            message = StreamReader(self._wrapping).feed(data)
            assert message is not None
            answer = target.serve(message, self.now)
            self.drain(target)
            self._after(self._latency(), asker.label, lambda: back(answer))

        def back(answer: object) -> None:
            if self.nodes.get(asker.label) is not asker:
                return
            if self.now > request.deadline:
                asker.failed(request.number, "deadline exceeded", self.now)
            elif answer is not None or not request.wants_answer:
                asker.answered(request.number, answer, self.now)
            else:
                asker.failed(request.number, "closed without an answer", self.now)
            self.drain(asker)

        self._after(self._latency(), target.label, arrive)


class SwimPool(Pool[SwimNode]):
    """A pool of bare SWIM nodes."""

    def make(self, name: str, address: Address, *, meta: bytes = b"", delegate: Delegate | None = None) -> SwimNode:
        """A node."""
        return SwimNode(
            name,
            address,
            meta=meta,
            vsn=VSN,
            timing=self.timing,
            random=Random(self.random.random()),
            delegate=delegate or Delegate(),
            now=self.now,
        )

    def join(self, node: SwimNode) -> None:
        """A node joins by the first one."""
        self.do(node, lambda: node.exchange(self.address(0), self.now, join=True))
