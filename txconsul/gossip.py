"""
A gossip pool: drives a Serf node over a network.

L{GossipPool} is a Twisted service and needs no Consul server: it finds the others, tells who comes, goes and fails, and
carries events and queries. The agent has one for its datacenter and, on a server, one for all datacenters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from ipaddress import ip_address, ip_network
from os import urandom
from random import Random
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.error import CannotListenError, InvalidAddressError, MessageLengthError
from twisted.internet.interfaces import IDelayedCall, IListeningPort
from twisted.internet.protocol import DatagramProtocol, Factory
from twisted.logger import Logger

from txconsul.driver import Driver
from txconsul.gossip_files import KeyringFile, SnapshotFile
from txconsul.gossip_keys import KeyQueries
from txconsul.gossip_streams import Asking, Stream, Streams, printable
from txconsul.serf import outputs as serf
from txconsul.serf.coalesce import Coalescer, MemberCoalescer, UserEventCoalescer
from txconsul.serf.keyquery import KeyResults
from txconsul.serf.node import SerfNode
from txconsul.serf.settings import Settings
from txconsul.storage.worker import Inline, Worker
from txconsul.swim import outputs as swim
from txconsul.swim.keyring import Keyring
from txconsul.swim.members import Address
from txconsul.swim.messages import Alive, BadGossip
from txconsul.swim.packet import Wrapping
from txconsul.swim.stream import StreamMessage, StreamReader, write_stream

__all__ = ["GossipPool", "JoinFailed"]

#: How often a free port is looked for that both TCP and UDP can have.
_PORT_TRIES = 10

_log = Logger()


class JoinFailed(Exception):
    """Nobody at an address could be joined. The message says why."""


@lru_cache(maxsize=4096)
def _host(addr: bytes) -> str:
    """An address's text."""
    return str(ip_address(addr))


@lru_cache(maxsize=4096)
def _addr(host: str) -> bytes:
    """An address's bytes, of IPv4 where that is what it is."""
    address = ip_address(host)
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).packed


class GossipPool(Service):
    """
    One node of a pool.

    @ivar node: the core; to be looked at. None before the service has started.
    @ivar heard: called with each event of L{txconsul.serf.outputs}; may be replaced.
    @ivar sent_bytes: what packets had that were sent; C{received_bytes}: that came.
    """

    def __init__(
        self,
        network: Any,
        name: str,
        *,
        settings: Settings,
        host: str = "127.0.0.1",
        port: int = 0,
        advertise: tuple[str, int] | None = None,
        tags: Mapping[str, str] | None = None,
        keyring: Keyring | None = None,
        keyring_file: str | None = None,
        snapshot: str | None = None,
        rejoin_after_leave: bool = False,
        worker: Worker | None = None,
        label: bytes = b"",
        verify_incoming: bool = True,
        verify_outgoing: bool = True,
        compress: bool = True,
        refuse: Callable[[list[Any]], str] | None = None,
        allowed: Sequence[str] = (),
        random: Random | None = None,
        entropy: Callable[[int], bytes] = urandom,
    ) -> None:
        """
        @param network: an L{INetwork<txconsul.interfaces.INetwork>}.
        @param name: of this node, unique in the pool.
        @param host: the address that is listened at; C{port} is both TCP's and UDP's, 0 for any that is free.
        @param advertise: the address and port that others are told, if they reach this node by another.
        @param keyring: the pool's keys, if it is encrypted.
        @param keyring_file: where the keys are kept. If there is a file it counts, otherwise it is made of C{keyring}.
        @param snapshot: the file by which the node finds its pool again when it is started anew.
        @param rejoin_after_leave: also if it had left.
        @param worker: does what blocks; a L{DiskThread<txconsul.storage.worker.DiskThread>}, or else it is done on the
            spot. It is not closed.
        @param refuse: why others are not let in; see L{SerfNode}.
        @param allowed: networks, C{HOST/BITS}, in which members must be; empty for all.
        @param random: where chance comes from; a test gives its own.
        @param entropy: for nonces.
        """
        self.name = name  # type: ignore[assignment]
        self.node: SerfNode | None = None
        self.heard: Callable[[serf.Event], object] = lambda event: None
        self._network = network
        self._settings = settings
        self._place = (host, port)
        self._advertise = advertise
        self._tags = dict(tags or {})
        self._compress = compress
        self._refuse = refuse
        self._networks = [ip_network(one) for one in allowed]
        self._keyring = keyring
        self._random = random or Random()
        self._wrap = lambda ring: Wrapping(
            label, ring, entropy=entropy, verify_incoming=verify_incoming, verify_outgoing=verify_outgoing
        )
        self._wrapping: Wrapping = self._wrap(keyring)
        worker, clock = worker or Inline(), network.clock
        self._snapshot = (
            None if snapshot is None else SnapshotFile(snapshot, clock, worker, rejoin_after_leave=rejoin_after_leave)
        )
        self._keyring_file = None if keyring_file is None else KeyringFile(keyring_file, clock, worker)
        self._coalescing = self._coalescers()
        self._driver: Driver | None = None
        self._listening: list[IListeningPort] = []
        self._packets = _Packets(self)
        self._joins: dict[int, Deferred[None]] = {}
        self._key_queries = KeyQueries(self.do, self._keyring_file)
        self._left: list[Deferred[None]] = []
        self.streams: set[Stream] = set()
        self.sent_bytes = 0
        self.received_bytes = 0

    # ---- running ----

    @inlineCallbacks
    def open(self) -> Any:
        """
        Listen, and begin to be a member of a pool of one.

        @return: a Deferred firing when it does, or failing with
            L{CannotListenError<twisted.internet.error.CannotListenError>}, or with what is wrong with the files:
            L{BadKey<txconsul.swim.keyring.BadKey>}, L{DiskFailed<txconsul.errors.DiskFailed>}.
        """
        if self._keyring_file is not None:
            self._keyring = yield self._keyring_file.open(self._keyring)
            self._wrapping = self._wrap(self._keyring)
        if self._snapshot is not None:
            yield self._snapshot.open()
        host, port = yield self._listen()
        told_host, told_port = self._advertise or (host, port)
        clock = self._network.clock
        node = self.node = SerfNode(
            self.name or "",
            (_addr(told_host), told_port),
            tags=self._tags,
            settings=self._settings,
            random=self._random,
            now=clock.seconds(),
            keyring=self._keyring,
            overhead_bytes=self._wrapping.overhead_bytes,
            refuse=self._refuse,
            allows=self._allows if self._networks else None,
        )
        events: Mapping[type, Callable[[Any], object]] = {
            serf.MemberEvent: self._remember,
            serf.UserEventCame: self._remember,
            serf.Asked: self._tell,
            serf.QueryAck: self._tell,
            serf.QueryAnswer: self._hear_answer,
            serf.QueryEnded: self._hear_end,
            serf.NameLost: self._tell,
            serf.RingChanged: self._keep_keys,
            serf.Joined: self._end_join,
            serf.Left: self._end_leave,
        }
        wishes: Mapping[type, Callable[[Any], object]] = {
            swim.Send: self._send,
            swim.Request: self._request,
            swim.Problem: self._warn,
            swim.Conflict: self._warn_conflict,
        }
        self._driver = Driver(node, clock, {**events, **wishes}, drained=self._keep_clocks)
        self._driver.fed()
        if self._snapshot is not None:
            node.remember(*self._snapshot.state.clocks)
            rejoining = self._rejoin(dict(self._snapshot.state.members))
            rejoining.addErrback(lambda failure: _log.failure("gossip cannot rejoin", failure))

    @inlineCallbacks
    def _listen(self) -> Any:
        """Take a port of both TCP and UDP. @return: a Deferred of address and port."""
        host, wanted = self._place
        quoted = host.replace(":", r"\:")
        for tries_left in reversed(range(_PORT_TRIES if wanted == 0 else 1)):
            streams = yield self._network.listen(f"tcp:{wanted}:interface={quoted}", Streams(self))
            port = streams.getHost().port
            try:
                packets = yield self._network.datagrams(f"udp:{port}:interface={quoted}", self._packets)
            except CannotListenError:
                yield streams.stopListening()
                if not tries_left:
                    raise
                continue
            self._listening = [streams, packets]
            return host, port

    def startService(self) -> None:
        """See L{Service}. Failing to listen is logged; who wants to know calls L{open}."""
        super().startService()
        if self.node is None:
            self.open().addErrback(lambda failure: _log.failure("gossip cannot listen", failure))

    @inlineCallbacks
    def stopService(self) -> Any:
        """See L{Service}: stop without a word, which the others take for a failure. L{leave} says goodbye."""
        super().stopService()
        if self._driver is not None:
            self._driver.stop()
            self._keep_clocks()
        self._key_queries.stop()
        for driver in self._coalescing.values():
            driver.stop()
            driver.core.flush()
            for event in driver.core.take_output():
                self.heard(event)
        for stream in list(self.streams):
            stream.abandon()
        listening, self._listening = self._listening, []
        for port in listening:
            yield port.stopListening()
        for file in (self._snapshot, self._keyring_file):
            if file is not None:
                yield file.close()

    @property
    def address(self) -> tuple[str, int]:
        """Where others reach this node."""
        addr, port = self.core.swim.me.address
        return _host(addr), port

    @property
    def core(self) -> SerfNode:
        """The core, which must have been opened."""
        assert self.node is not None, "the pool is not open"
        return self.node

    @property
    def keyring(self) -> Keyring | None:
        """The pool's keys, once it is open; None if it is not encrypted."""
        return self._keyring

    # ---- verbs ----

    def join(self, host: str, port: int, *, ignore_old: bool = False) -> Deferred[None]:
        """
        Join the pool of whoever is at an address.

        @param host: an IP address.
        @return: a Deferred firing when it is joined, or failing with L{JoinFailed}.
        """
        number = self.core.join((_addr(host), port), self._now(), ignore_old=ignore_old)
        joined: Deferred[None] = Deferred()
        self._joins[number] = joined
        self._fed()
        return joined

    def leave(self) -> Deferred[None]:
        """Leave so that the others know it for that. @return: a Deferred firing when this may be stopped."""
        left: Deferred[None] = Deferred()
        self._left.append(left)
        self.core.leave(self._now())
        self._keep_clocks()
        if self._snapshot is not None:
            self._snapshot.leave()
        self._fed()
        return left

    def do(self, verb: Callable[[SerfNode, float], Any]) -> Any:
        """
        Have the core do something, with the time: C{pool.do(lambda node, now: node.event("deploy", b"", now))}.

        @return: what that returns; it may raise.
        """
        try:
            return verb(self.core, self._now())
        finally:
            self._fed()

    def fire(self, name: str, payload: bytes, *, coalesce: bool = True) -> None:
        """
        Tell all members, this one included, of something.

        @param coalesce: of several of one name, only the last one is of interest.
        @raise TooLarge: name and payload have too many bytes (L{txconsul.serf.settings.TooLarge}).
        """
        self.do(lambda node, now: node.event(name, payload, now, coalesce=coalesce))

    def change_keys(self, operation: str, key: bytes = b"", *, relay_factor: int = 0) -> Deferred[KeyResults]:
        """
        Have all members change or list their keys.

        @param operation: C{install}, C{use}, C{remove} or C{list}.
        @param relay_factor: through how many members each answer comes a second time.
        @return: a Deferred of what they said, once all have or the time for that is over. It fails with
            L{TooLarge<txconsul.serf.settings.TooLarge>} if the key is too long to be asked about.
        """
        return self._key_queries.ask(operation, key, relay_factor)

    @inlineCallbacks
    def _rejoin(self, members: Mapping[str, Address]) -> Any:
        """Join whoever is remembered, one after the other, until one of them can be joined."""
        others = [(name, *address) for name, address in members.items() if name != self.name]
        self._random.shuffle(others)  # or all of a pool that comes back would begin with the same one
        for name, addr, port in others:
            if self.core.is_leaving:
                return
            try:
                yield self.join(_host(addr), port)
            except JoinFailed as error:
                _log.info("gossip: {name} cannot be joined again: {error}", name=name, error=error)
            else:
                _log.info("gossip: joined again by {name}", name=name)
                return
        if others:
            _log.warn("gossip: none of the {count} nodes that are remembered can be joined again", count=len(others))

    # ---- what comes in ----

    def packet(self, data: bytes, host: str, port: int) -> None:
        """A datagram."""
        node = self.node
        if node is None:
            return
        self.received_bytes += len(data)
        try:
            opened = self._wrapping.open(data)
        except BadGossip as error:
            _log.warn(
                "gossip packet from {host}:{port} is refused: {error}", host=host, port=port, error=printable(error)
            )
            return
        for damage in opened.damage:
            _log.warn(
                "gossip packet from {host}:{port} is damaged: {damage}", host=host, port=port, damage=printable(damage)
            )
        sender, now = (_addr(host), port), self._now()
        for message in opened.messages:
            # Whoever may not be a member may not bring one in either.
            if self._networks and isinstance(message, Alive) and not self._allows(sender[0]):
                _log.debug("gossip: word of a member from {host} is not heard", host=host)
                continue
            node.receive(message, sender, now)
        self._fed()

    def serve(self, request: StreamMessage) -> bytes | None:
        """A request over a stream. @return: the bytes of the answer, if there is one."""
        answer = self.core.serve(request, self._now())
        self._fed()
        return None if answer is None else self.written(answer)

    def written(self, message: StreamMessage) -> bytes:
        """A message's bytes on a stream."""
        return write_stream(message, self._wrapping, compress=self._compress)

    def reader(self) -> StreamReader:
        """For what comes on a new stream."""
        return StreamReader(self._wrapping)

    @property
    def stream_timeout(self) -> float:
        """How long a stream may take, seconds."""
        return self._settings.timing.stream_timeout

    def call_later(self, seconds: float, function: Callable[[], None]) -> IDelayedCall:
        """Have a function called, on the network's clock."""
        call: IDelayedCall = self._network.clock.callLater(seconds, function)
        return call

    def _allows(self, addr: bytes) -> bool:
        """Whether a member may be at an address."""
        address = ip_address(addr)
        return any(address in network for network in self._networks)

    # ---- carrying out ----

    def _send(self, packet: swim.Send) -> None:
        addr, port = packet.to
        data = self._wrapping.seal(packet.data, compress=self._compress, checksum=packet.checksum)
        if self._packets.transport is None:
            return
        self.sent_bytes += len(data)
        try:
            self._packets.transport.write(data, (_host(addr), port))
        except (OSError, InvalidAddressError, MessageLengthError) as error:
            # No route, the port 0, an address of the other family: others may name us any, and this is a lost packet.
            _log.debug("gossip cannot send to {host}:{port}: {error}", host=_host(addr), port=port, error=error)

    def _request(self, request: swim.Request) -> None:
        addr, port = request.to
        quoted = _host(addr).replace(":", r"\:")
        seconds = max(0.0, request.deadline - self._now())
        asking = Asking(self, request, seconds)
        factory = Factory.forProtocol(lambda: asking)  # type: ignore[arg-type]
        factory.noisy = False
        connecting = self._network.connect(f"tcp:{quoted}:{port}", factory)
        connecting.addErrback(asking.not_connected)

    def answered(self, number: int, answer: StreamMessage | None) -> None:
        """The answer to a request came."""
        self.core.answered(number, answer, self._now())
        self._fed()

    def failed(self, number: int, reason: str) -> None:
        """A request came to nothing."""
        self.core.failed(number, reason, self._now())
        self._fed()

    def _tell(self, event: serf.Event) -> None:
        self.heard(event)

    def _remember(self, event: serf.MemberEvent | serf.UserEventCame) -> None:
        if self._snapshot is not None:
            self._snapshot.hear(event)
        coalescing = self._coalescing.get(type(event))
        if coalescing is not None and coalescing.core.hear(event, self._now()):
            coalescing.fed()
        else:
            self.heard(event)

    def _keep_clocks(self) -> None:
        if self._snapshot is not None:
            self._snapshot.tick(self.core.l_times())

    def _keep_keys(self, changed: serf.RingChanged) -> None:
        self._key_queries.keep(changed)
        self.heard(changed)

    def _hear_answer(self, answer: serf.QueryAnswer) -> None:
        if not self._key_queries.hear(answer):
            self.heard(answer)

    def _hear_end(self, ended: serf.QueryEnded) -> None:
        if not self._key_queries.end(ended):
            self.heard(ended)

    def _coalescers(self) -> Mapping[type, _Coalescing]:
        """Those that are asked for, each driven, by what they take."""
        settings = self._settings
        cores: dict[type, Coalescer[Any, Any]] = {}
        if settings.coalesce_period > 0 and settings.quiescent_period > 0:
            cores[serf.MemberEvent] = MemberCoalescer(settings.coalesce_period, settings.quiescent_period)
        if settings.user_coalesce_period > 0 and settings.user_quiescent_period > 0:
            cores[serf.UserEventCame] = UserEventCoalescer(
                settings.user_coalesce_period, settings.user_quiescent_period
            )
        return {heard: _Coalescing(core, self._network.clock, self._tell) for heard, core in cores.items()}

    def _end_join(self, ended: serf.Joined) -> None:
        joined = self._joins.pop(ended.number, None)
        if joined is None:
            return
        if ended.problem:
            joined.errback(JoinFailed(ended.problem))
        else:
            joined.callback(None)

    def _end_leave(self, _: serf.Left) -> None:
        waiting, self._left = self._left, []
        for left in waiting:
            left.callback(None)

    def _warn(self, problem: swim.Problem) -> None:
        (_log.warn if problem.severe else _log.info)("gossip: {text}", text=printable(problem.text))

    def _warn_conflict(self, conflict: swim.Conflict) -> None:
        _log.warn(
            "gossip: {name} is claimed by {known} and by {other}",
            name=printable(conflict.known.name),
            known=_host(conflict.known.addr),
            other=_host(conflict.other.addr),
        )

    def _now(self) -> float:
        now: float = self._network.clock.seconds()
        return now

    def _fed(self) -> None:
        if self._driver is not None:
            self._driver.fed()


class _Coalescing(Driver):
    """Drives a coalescer."""

    core: Coalescer[Any, Any]

    def __init__(self, core: Coalescer[Any, Any], clock: Any, tell: Callable[[Any], object]) -> None:
        super().__init__(core, clock, {serf.MembersChanged: tell, serf.UserEventCame: tell})


class _Packets(DatagramProtocol):
    """UDP's end of a pool."""

    noisy = False

    def __init__(self, pool: GossipPool) -> None:
        self._pool = pool

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """See L{DatagramProtocol}."""
        self._pool.packet(datagram, addr[0], addr[1])
