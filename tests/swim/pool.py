"""A pool of SWIM nodes on a network of a few lines: no sockets, no clock but its own."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from random import Random

from txconsul.swim.delegate import Delegate
from txconsul.swim.messages import State
from txconsul.swim.node import SwimNode
from txconsul.swim.outputs import Output, Request, Send
from txconsul.swim.packet import Wrapping
from txconsul.swim.stream import StreamReader, write_stream
from txconsul.swim.timing import LAN, Timing

__all__ = ["VSN", "Pool"]

VSN = bytes.fromhex("010502020504")


class Pool:
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
        self.nodes: dict[str, SwimNode] = {}
        self.told: dict[str, list[tuple[float, Output]]] = {}
        self.cut: set[tuple[str | None, str]] = set()
        self.cut_streams: set[tuple[str | None, str]] = set()
        self.stalled: dict[str, list[Callable[[], None]]] = {}
        self.packets = 0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0
        self._wrapping = Wrapping(entropy=bytes)
        for _ in range(count):
            self.add()

    def add(self, name: str = "", meta: bytes = b"", delegate: Delegate | None = None, at: int = -1) -> SwimNode:
        """A node more, that knows nobody yet."""
        number = len(self.nodes) if at < 0 else at
        name = name or f"n{number}"
        node = SwimNode(
            name,
            (bytes([10, 0, number >> 8, number & 255]), 7946),
            meta=meta,
            vsn=VSN,
            timing=self.timing,
            random=Random(self.random.random()),
            delegate=delegate or Delegate(),
            now=self.now,
        )
        self.nodes[name] = node
        self.told.setdefault(name, [])
        self._drain(node)
        return node

    def join_all(self) -> None:
        """Everybody joins by the first node, and has a while to hear of everybody."""
        first, *others = self.nodes.values()
        for node in others:
            node.exchange(first.me.address, self.now, join=True)
            self._drain(node)
        self.run(5.0)

    def do(self, node: SwimNode, act: Callable[[], object]) -> None:
        """Have a node do something, and carry out what it wishes."""
        act()
        self._drain(node)

    def kill(self, name: str) -> SwimNode:
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

    def _wake(self, node: SwimNode) -> None:
        if self.nodes.get(node.name) is node:
            node.wake(self.now)
            self._drain(node)

    def _drain(self, node: SwimNode) -> None:
        for output in node.take_output():
            if isinstance(output, Send):
                self._carry(node, output)
            elif isinstance(output, Request):
                self._connect(node, output)
            else:
                self.told[node.name].append((self.now, output))
        deadline = node.next_deadline()
        if deadline is not None and deadline != getattr(node, "_pool_deadline", None):
            node._pool_deadline = deadline  # type: ignore[attr-defined]
            self._after(max(0.0, deadline - self.now), node.name, lambda: self._wake(node))

    def _find(self, address: tuple[bytes, int]) -> SwimNode | None:
        return next((one for one in self.nodes.values() if one.me.address == address), None)

    def _is_cut(self, cut: set[tuple[str | None, str]], sender: str, to: str) -> bool:
        return (sender, to) in cut or (None, to) in cut

    def _carry(self, sender: SwimNode, packet: Send) -> None:
        self.packets += 1
        target = self._find(packet.to)
        if target is None or self._is_cut(self.cut, sender.name, target.name) or self.random.random() < self.loss:
            return
        sealed = self._wrapping.seal(packet.data, checksum=packet.checksum)
        source = sender.me.address

        def arrive() -> None:
            if self.nodes.get(target.name) is target:
                opened = self._wrapping.open(sealed)
                assert not opened.damage
                for message in opened.messages:
                    target.receive(message, source, self.now)
                self._drain(target)

        self._after(self._latency(), target.name, arrive)

    def _connect(self, asker: SwimNode, request: Request) -> None:
        def fail() -> None:
            if self.nodes.get(asker.name) is asker:
                asker.failed(request.number, "no route to host")
                self._drain(asker)

        target = self._find(request.to)
        if target is None or self._is_cut(self.cut_streams, asker.name, target.name):
            self._after(min(0.05, request.deadline - self.now), asker.name, fail)
            return
        data = write_stream(request.message, self._wrapping, compress=False)

        def arrive() -> None:
            if self.nodes.get(target.name) is not target:
                return
            message = StreamReader(self._wrapping).feed(data)
            assert message is not None
            answer = target.serve(message, self.now)
            self._drain(target)
            self._after(self._latency(), asker.name, lambda: back(answer))

        def back(answer: object) -> None:
            if self.nodes.get(asker.name) is not asker:
                return
            if self.now > request.deadline:
                asker.failed(request.number, "deadline exceeded")
            elif answer is not None or not request.wants_answer:
                asker.answered(request.number, answer, self.now)  # type: ignore[arg-type]
            else:
                asker.failed(request.number, "closed without an answer")
            self._drain(asker)

        self._after(self._latency(), target.name, arrive)
