"""
Thousands of SWIM or Serf nodes in one process, in virtual time.

Nothing but the cores is real: packets and streams are carried by a heap of events. A pool may begin converged: all
nodes then stand on one shared L{Base<txconsul.swim.members.Base>}, and each holds only what it believes differently.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from hashlib import blake2b
from random import Random
from typing import Any

from txconsul.serf.node import SerfNode
from txconsul.serf.outputs import MemberEvent
from txconsul.serf.settings import Settings
from txconsul.swim.delegate import Delegate
from txconsul.swim.members import Address, Base, Member
from txconsul.swim.messages import Message, State
from txconsul.swim.node import SwimNode
from txconsul.swim.outputs import MemberChanged, Problem, Request, Send
from txconsul.swim.packet import Wrapping
from txconsul.swim.stream import StreamMessage
from txconsul.swim.timing import LAN, Timing

__all__ = ["GossipWorld", "address_of", "name_of"]

VSN = bytes.fromhex("010502020504")
#: Packets whose messages are remembered: each is received by several nodes.
_REMEMBERED = 1 << 16
#: How long a member that all believe in has been there.
_LONG_AGO = -1e6
#: What nodes of one layer or the other say of members.
_TOLD = (MemberChanged, Problem, MemberEvent)


class GossipWorld:
    """
    A pool.

    @ivar now: virtual seconds.
    @ivar nodes: the nodes by number, all of one layer; None for one that was killed.
    @ivar packets: how many were sent.
    @ivar told: called with each change and problem that a node tells: time, the node's number, the output.
    """

    def __init__(
        self,
        count: int,
        seed: int,
        *,
        timing: Timing = LAN,
        loss: float = 0.0,
        converged: bool = True,
        serf: Settings | None = None,
    ) -> None:
        """
        @param timing: of SWIM nodes.
        @param loss: the share of packets that get lost.
        @param converged: everybody knows everybody from the start; else nobody does.
        @param serf: the nodes have Serf's layer, with these settings; else they are SWIM nodes.
        """
        self.now = 0.0
        self.random = Random(seed)
        self._timing = timing
        self._serf = serf
        self.loss = loss
        self.packets = 0
        self.told: Callable[[float, int, Any], object] = lambda now, number, output: None
        self.nodes: list[Any] = []
        self._events: list[tuple[float, int, int, Callable[..., Any] | None, Any]] = []
        self._count = 0
        self._wakes: list[float] = []
        self._stalled: dict[int, list[tuple[int, Callable[..., Any] | None, Any]]] = {}
        self._wrapping = Wrapping(entropy=bytes)
        self._opened: dict[bytes, list[Message]] = {}
        self._numbers: dict[Address, int] = {}
        self._digest = blake2b(digest_size=16)
        base = Base([self._member(number) for number in range(count)]) if converged else None
        for _ in range(count):
            self.add(base)

    def _member(self, number: int) -> Member:
        addr, port = address_of(number)
        return Member(name_of(number), addr, port, b"", VSN, 1, State.ALIVE, _LONG_AGO)

    def add(self, base: Base | None = None) -> int:
        """A node more. @return: its number."""
        number = len(self.nodes)
        address = address_of(number)
        self._numbers[address] = number
        random = Random(self.random.getrandbits(64))
        more: dict[str, Any] = {"random": random, "now": self.now, "base": base}
        node: Any
        if self._serf is not None:
            node = SerfNode(name_of(number), address, tags={}, settings=self._serf, **more)
        else:
            node = SwimNode(
                name_of(number), address, meta=b"", vsn=VSN, timing=self._timing, delegate=Delegate(), **more
            )
        self.nodes.append(node)
        self._wakes.append(0.0)
        self._drain(number, node)
        return number

    @property
    def digest(self) -> str:
        """Of everything that happened: the same seed makes the same."""
        return self._digest.hexdigest()

    # ---- what may happen ----

    def do(self, number: int, act: Callable[[Any], object]) -> None:
        """Have a node do something."""
        node = self.nodes[number]
        if node is not None:
            act(node)
            self._drain(number, node)

    def kill(self, number: int) -> None:
        """A node is gone without a word."""
        self.nodes[number] = None

    def stall(self, number: int, seconds: float) -> None:
        """
        What a node sends and is sent is held up for a while: its timers go on, as in Lifeguard's experiments.
        """
        if number not in self._stalled and self.nodes[number] is not None:
            self._stalled[number] = []
            self.after(seconds, lambda: self._resume(number))

    def _resume(self, number: int) -> None:
        for receiver, act, argument in self._stalled.pop(number):
            self._schedule(self._latency(), receiver, act, argument)

    def after(self, seconds: float, act: Callable[[], object]) -> None:
        """Have something happen later."""
        self._schedule(seconds, -1, lambda _: act(), None)

    def run(self, seconds: float, done: Callable[[], bool] = lambda: False) -> bool:
        """
        Let time pass, until it is over or something is so.

        @return: whether it is so.
        """
        end, events = self.now + seconds, self._events
        while not done():
            if not events or events[0][0] > end:
                self.now = end
                return done()
            self.now, _, number, act, argument = heapq.heappop(events)
            self._happen(number, act, argument)
        return True

    # ---- how it happens ----

    def _happen(self, number: int, act: Callable[..., Any] | None, argument: Any) -> None:
        if number < 0:
            assert act is not None
            act(argument)
            return
        stalled = None if act is None else self._stalled.get(number)
        if stalled is not None:
            stalled.append((number, act, argument))
            return
        node = self.nodes[number]
        if node is None:
            return
        if act is None:
            if argument == self._wakes[number]:
                self._wakes[number] = 0.0
                node.wake(self.now)
                self._drain(number, node)
            return
        act(node, argument)
        self._drain(number, node)

    def _schedule(self, seconds: float, number: int, act: Callable[..., Any] | None, argument: Any) -> None:
        self._count += 1
        heapq.heappush(self._events, (self.now + seconds, self._count, number, act, argument))

    def _drain(self, number: int, node: Any) -> None:
        for output in node.take_output():
            if type(output) is Send:
                self._carry(number, output)
            elif type(output) is Request:
                self._connect(number, output)
            elif type(output) in _TOLD:
                self._digest.update(repr((self.now, number, output)).encode())
                self.told(self.now, number, output)
        deadline = node.next_deadline()
        if deadline is not None and not 0.0 < self._wakes[number] <= deadline:
            self._wakes[number] = deadline
            self._schedule(max(0.0, deadline - self.now), number, None, deadline)

    def _latency(self) -> float:
        return 0.0002 + self.random.random() * 0.001

    def _carry(self, number: int, packet: Send) -> None:
        self.packets += 1
        target = self._numbers.get(packet.to)
        if target is None or self.nodes[target] is None or (self.loss and self.random.random() < self.loss):
            return
        opened = self._opened.get(packet.data)
        if opened is None:
            if len(self._opened) >= _REMEMBERED:
                self._opened.clear()
            opened = self._opened[packet.data] = self._wrapping.open(packet.data).messages
        self._send(number, target, self._arrive, (opened, number))

    def _send(self, number: int, target: int, act: Callable[..., Any], argument: Any) -> None:
        """Something on its way, unless its sender is stalled."""
        stalled = self._stalled.get(number)
        if stalled is not None:
            stalled.append((target, act, argument))
        else:
            self._schedule(self._latency(), target, act, argument)

    def _arrive(self, node: Any, argument: tuple[list[Message], int]) -> None:
        messages, sender = argument
        source = address_of(sender)
        for message in messages:
            node.receive(message, source, self.now)

    def _connect(self, number: int, request: Request) -> None:
        target = self._numbers.get(request.to)
        if target is None or self.nodes[target] is None:
            self._schedule(0.01, number, self._fail, request.number)
        else:
            self._send(number, target, self._serve, (request, number))

    def _serve(self, node: Any, argument: tuple[Request, int]) -> None:
        request, asker = argument
        answer = node.serve(request.message, self.now)
        self._schedule(self._latency(), asker, self._answer, (request, answer))

    def _answer(self, node: Any, argument: tuple[Request, StreamMessage | None]) -> None:
        request, answer = argument
        if self.now <= request.deadline and (answer is not None or not request.wants_answer):
            node.answered(request.number, answer, self.now)
        else:
            self._fail(node, request.number)

    def _fail(self, node: Any, number: int) -> None:
        node.failed(number, "no answer", self.now)


def name_of(number: int) -> str:
    """How a node is called."""
    return f"node-{number}"


def address_of(number: int) -> Address:
    """Where a node is."""
    return bytes([10, number >> 16 & 255, number >> 8 & 255, number & 255]), 7946
