"""
A SWIM node: the core of the membership protocol.

L{SwimNode} takes packets' messages and streams' with the time, and holds its wishes until L{SwimNode.take_output}. What
it believes, and why it changes its mind, is in L{txconsul.swim.beliefs}; here is when it speaks to whom. Sources: SWIM
section 4; Lifeguard; the wire documents, GOSSIP sections 3 and 4.
"""

from __future__ import annotations

from collections.abc import Callable
from math import floor
from random import Random

from msgspec.structs import replace

from txconsul.swim.alarms import Alarms
from txconsul.swim.beliefs import Beliefs
from txconsul.swim.delegate import Delegate
from txconsul.swim.members import Address, Base, Member, MemberTable
from txconsul.swim.messages import (
    META_BYTES_MAX,
    Ack,
    Alive,
    Dead,
    ErrorMessage,
    IndirectPing,
    Message,
    Nack,
    NodeState,
    Ping,
    State,
    Suspect,
    User,
    write_message,
)
from txconsul.swim.outputs import Exchanged, Output, Ponged, Problem, Request, Send, Sent, UserMessage, UserState
from txconsul.swim.packet import COMPOUND_OVERHEAD_BYTES, PARTS_MAX, compound
from txconsul.swim.probe import Probe, Relay
from txconsul.swim.probing import Permutation
from txconsul.swim.stream import PushPull, StreamMessage
from txconsul.swim.timing import Timing, push_pull_interval, transmit_limit

__all__ = ["SwimNode"]

#: Indirect pings that are answered at a time; more are not heard. A few are in work in a pool that is well.
RELAYS_MAX = 1024
#: Places that are looked at to find members at random, times the pool's size, before it is given up.
_TRIES = 3
#: From which protocol on a member understands pings over streams, nacks, checksums.
_STREAM_PINGS, _NACKS, _CHECKSUMS = 3, 4, 5
#: Of a packet, for the checksum.
_CHECKSUM_BYTES = 5
_UINT32_MAX = (1 << 32) - 1
#: A helper says after this share of a ping's time that it heard nothing (Lifeguard IV-A). memberlist waits for the
#: whole of it, and then its nack comes when the probe that wanted it is just over: with LAN timing every death speaks
#: against whoever finds it.
_NACK_SHARE = 0.8

_COMPOUND_BYTES, _PART_BYTES = COMPOUND_OVERHEAD_BYTES


class SwimNode:
    """
    One member of a pool.

    @ivar name: its own name.
    @ivar members: everybody known, this node itself and the recently gone included. Not to be changed from outside.
    """

    def __init__(
        self,
        name: str,
        address: Address,
        *,
        meta: bytes,
        vsn: bytes,
        timing: Timing,
        random: Random,
        delegate: Delegate,
        now: float,
        overhead_bytes: int = 0,
        base: Base | None = None,
    ) -> None:
        """
        @param address: what others are told: where packets and streams reach this node.
        @param vsn: six bytes of versions; see L{Alive}.
        @param overhead_bytes: what sealing adds to a packet.
        @param base: a pool that this node is a member of already, for simulations.
        @raise ValueError: C{meta} is too long.
        """
        self.name = name
        self.timing = timing
        self.members = MemberTable(base or Base())
        self._random = random
        self._delegate = delegate
        self._room = timing.packet_bytes - overhead_bytes - _CHECKSUM_BYTES - _COMPOUND_BYTES
        self._outputs: list[Output] = []
        self._alarms = Alarms()
        self._beliefs = Beliefs(name, timing, self.members, delegate, self._tell, self._watch)
        self._sequence = 0
        self._order = Permutation(0, random)
        self._probe: Probe | None = None
        self._relays: dict[int, Relay] = {}
        self._requests = 0
        self._exchanges: dict[int, tuple[Address, bool]] = {}
        self._stream_pings: dict[int, Probe] = {}
        self._gossip_phase = now
        self._gossip_is_set = False
        if self.members.get(name) is None:
            me = Member(name, address[0], address[1], _checked(meta), vsn, 0, State.ALIVE, now)
            self._beliefs.introduce(me, now)
        self._start(now)

    # ---- the shape of a core ----

    def next_deadline(self) -> float | None:
        """When L{wake} is wanted."""
        return self._alarms.next

    def wake(self, now: float) -> None:
        """L{next_deadline} has passed."""
        self._alarms.ring(now)
        self.stir(now)

    def take_output(self) -> list[Output]:
        """Everything wished and told since last time, in order."""
        finished = self._beliefs.broadcasts.finished
        if finished:
            self._outputs += [Sent(token) for token in finished]
            finished.clear()
        taken, self._outputs = self._outputs, []
        return taken

    # ---- verbs ----

    @property
    def me(self) -> Member:
        """This node, as it describes itself."""
        me = self.members.get(self.name)
        assert me is not None
        return me

    @property
    def is_leaving(self) -> bool:
        """Whether L{leave} was called."""
        return self._beliefs.leaving

    @property
    def health_score(self) -> int:
        """How well this node itself is: 0 is best (Lifeguard)."""
        return self._beliefs.awareness.score

    @property
    def queued(self) -> int:
        """How many messages about members wait to be told."""
        return len(self._beliefs.broadcasts)

    def exchange(self, to: Address, now: float, *, join: bool) -> int:
        """
        Exchange states with whoever is there; that is how a pool is joined.

        @return: a number; L{Exchanged} with it tells how that ended.
        """
        message = PushPull(join, self._states(), self._delegate.local_state(join))
        number = self._request(to, message, now + self.timing.stream_timeout)
        self._exchanges[number] = (to, join)
        return number

    def change_meta(self, meta: bytes, now: float) -> None:
        """This node says something else of itself. @raise ValueError: it is too long."""
        self._beliefs.introduce(replace(self.me, meta=_checked(meta)), now)
        self.stir(now)

    def leave(self, now: float, token: object) -> None:
        """This node goes. It should stay up until L{Sent} has come with C{token}, and a little longer to be heard."""
        self._beliefs.leave(now, token)
        self.stir(now)

    def send_user(self, to: Address, payload: bytes) -> None:
        """One message of the layer above to one member, in a packet that may be lost."""
        self._send(to, write_message(User(payload=payload)))

    def send_user_reliably(self, to: Address, payload: bytes, now: float) -> None:
        """One message of the layer above to one member, over a stream."""
        self._request(to, User(payload=payload), now + self.timing.stream_timeout, wants_answer=False)

    def stir(self, now: float) -> None:
        """There may be something to tell: see to it that it is told. To be called after broadcasts were made."""
        if self._gossip_is_set or not (len(self._beliefs.broadcasts) or self._delegate.has_broadcasts()):
            return
        interval = self.timing.gossip_interval
        if interval <= 0 or not self.timing.gossip_nodes:
            return
        # The ticks of a clock that runs all the time; only those are kept at which something is to be done.
        self._alarms.set(_tick_after(now, self._gossip_phase, interval), self._gossip)
        self._gossip_is_set = True

    # ---- what comes in ----

    def receive(self, message: Message, sender: Address, now: float) -> None:
        """One message of a packet. @param sender: where the packet came from."""
        if isinstance(message, Ping):
            self._answer_ping(message, sender)
        elif isinstance(message, Ack):
            self._hear_ack(message, now)
        elif isinstance(message, Alive):
            self._beliefs.alive(message, now)
        elif isinstance(message, Suspect):
            self._beliefs.suspect(message, now)
        elif isinstance(message, Dead):
            self._beliefs.dead(message, now)
        elif isinstance(message, User):
            self._tell(UserMessage(message.payload))
        elif isinstance(message, IndirectPing):
            self._ask_for(message, sender, now)
        else:
            self._hear_nack(message)
        self.stir(now)

    def serve(self, request: StreamMessage, now: float) -> StreamMessage | None:
        """
        A request over a stream that somebody opened.

        @return: the answer to be sent, if there is one; the stream is closed after.
        """
        answer: StreamMessage | None = None
        if type(request) is PushPull:
            # What is sent back is what was believed before: that others cannot be let in shows in our log only.
            answer = PushPull(request.join, self._states(), self._delegate.local_state(request.join))
            problem = self._merge(request, request.join, now)
            if problem:
                self._tell(Problem(f"an exchange of states came to nothing: {problem}", True))
        elif type(request) is Ping:
            if request.node in ("", self.name):
                answer = Ack(seq_no=request.seq_no)
            else:
                self._tell(Problem(f"a ping over a stream is for {request.node}, not for this node", False))
        elif type(request) is User:
            self._tell(UserMessage(request.payload))
        else:
            self._tell(Problem(f"somebody opened a stream to say {request}", True))
        self.stir(now)
        return answer

    def answered(self, number: int, answer: StreamMessage | None, now: float) -> None:
        """The answer to a L{Request}, or None when one that wants none is out."""
        if number in self._exchanges:
            to, join = self._exchanges.pop(number)
            if type(answer) is PushPull:
                problem = self._merge(answer, join, now)
            else:
                problem = answer.error if type(answer) is ErrorMessage else f"the answer is no state but {answer}"
            self._tell(Exchanged(number, to, problem))
        probe = self._stream_pings.pop(number, None)
        if probe is not None and type(answer) is Ack and answer.seq_no == probe.number:
            probe.by_stream = True
        self.stir(now)

    def failed(self, number: int, reason: str, now: float) -> None:
        """A L{Request} came to nothing: no connection, no answer in time, or one that cannot be read."""
        self._stream_pings.pop(number, None)
        if number in self._exchanges:
            to, _ = self._exchanges.pop(number)
            self._tell(Exchanged(number, to, reason))
        self.stir(now)

    # ---- probing ----

    def _probe_next(self, now: float) -> None:
        self._alarms.set(_tick_after(now, self._probe_phase, self.timing.probe_interval), self._probe_next)
        if self._probe is not None:
            return  # a probe may take longer than an interval while this node is not well
        member = self._next_target(now)
        if member is not None:
            self._begin_probe(member, now)

    def _next_target(self, now: float) -> Member | None:
        """The next member of the round who is there; a new round begins where one ends."""
        rounds = 0
        while True:
            place = self._order.next()
            if place is None:
                rounds += 1
                if rounds > 1 and self._order.size == self.members.places:
                    return None  # a whole round, and nobody to ask
                self._begin_round(now)
                continue
            member = self.members.at(place)
            if member is not None and member.name != self.name and not member.is_gone:
                return member

    def _begin_round(self, now: float) -> None:
        self._beliefs.forget_gone(now)
        self._order = Permutation(self.members.places, self._random)

    def _begin_probe(self, member: Member, now: float) -> None:
        timing, number = self.timing, self._next_sequence()
        deadline = now + self._beliefs.awareness.scaled(timing.probe_interval)
        probe = self._probe = Probe(number, member, now, deadline)
        ping = write_message(self._ping(number, member.name))
        if member.state is State.ALIVE:
            self._send(member.address, ping)
        else:
            # It should hear at once what is said of it, so that it can defend itself (Lifeguard's buddy system).
            accused = Suspect(from_=self.name, incarnation=member.incarnation, node=member.name)
            data = compound([ping, write_message(accused)])
            self._tell(Send(member.address, data, member.protocol_max >= _CHECKSUMS))
        self._alarms.set(now + timing.probe_timeout, lambda later: self._ask_others(probe, later))
        self._alarms.set(deadline, lambda later: self._end_probe(probe, later))

    def _ask_others(self, probe: Probe, now: float) -> None:
        """No direct answer came in time."""
        if self._probe is not probe:
            return
        probe.is_direct = False
        member, me = probe.member, self.me
        for helper in self._random_members(
            self.timing.indirect_checks,
            lambda one: one.state is State.ALIVE and one.name not in (self.name, member.name),
        ):
            nack = helper.protocol_max >= _NACKS
            probe.nacks_wanted += nack
            request = IndirectPing(
                nack=nack,
                node=member.name,
                port=member.port,
                seq_no=probe.number,
                source_addr=me.addr,
                source_node=self.name,
                source_port=me.port,
                target=member.addr,
            )
            self._send(helper.address, write_message(request))
        if not self.timing.disable_tcp_pings and member.protocol_max >= _STREAM_PINGS and probe.deadline > now:
            number = self._request(member.address, self._ping(probe.number, member.name), probe.deadline)
            self._stream_pings[number] = probe

    def _hear_ack(self, ack: Ack, now: float) -> None:
        probe = self._probe
        if probe is not None and ack.seq_no == probe.number:
            self._probe = None
            self._beliefs.awareness.change(-1)
            if probe.is_direct:
                self._tell(Ponged(probe.member, now - probe.sent, ack.payload))
            return
        relay = self._relays.pop(ack.seq_no, None)
        if relay is not None:
            self._send(relay.asker, write_message(Ack(seq_no=relay.number)))

    def _hear_nack(self, nack: Nack) -> None:
        probe = self._probe
        if probe is not None and nack.seq_no == probe.number:
            probe.nacks = min(probe.nacks + 1, probe.nacks_wanted)

    def _end_probe(self, probe: Probe, now: float) -> None:
        """Neither the member nor any helper answered."""
        if self._probe is not probe:
            return
        self._probe = None
        name = probe.member.name
        if probe.by_stream:
            self._beliefs.awareness.change(-1)
            self._tell(Problem(f"{name} answers over TCP but not over UDP: the network may be misconfigured", True))
            return
        self._beliefs.awareness.change(probe.missing_nacks)
        self._tell(Problem(f"{name} is suspected: it answered no ping", False))
        self._beliefs.suspect(Suspect(from_=self.name, incarnation=probe.member.incarnation, node=name), now)

    # ---- being probed ----

    def _answer_ping(self, ping: Ping, sender: Address) -> None:
        if ping.node not in ("", self.name):
            self._tell(Problem(f"a ping is for {ping.node}, not for this node", False))
            return
        ack = Ack(payload=self._delegate.ack_payload(), seq_no=ping.seq_no)
        self._send(_source(ping, sender), write_message(ack))

    def _ask_for(self, request: IndirectPing, sender: Address, now: float) -> None:
        """Somebody got no answer from a member, and wants this node to try."""
        if len(self._relays) >= RELAYS_MAX:
            return
        number = self._next_sequence()
        relay = self._relays[number] = Relay(_source(request, sender), request.seq_no, request.nack)
        self._send((request.target, request.port or self.me.port), write_message(self._ping(number, request.node)))
        if relay.nack:
            self._alarms.set(now + self.timing.probe_timeout * _NACK_SHARE, lambda _: self._give_nack(number))
        # An answer that comes late is still of use to who asks for longer.
        self._alarms.set(now + self.timing.probe_interval, lambda _: self._forget_relay(number))

    def _give_nack(self, number: int) -> None:
        relay = self._relays.get(number)
        if relay is not None:
            self._send(relay.asker, write_message(Nack(seq_no=relay.number)))

    def _forget_relay(self, number: int) -> None:
        self._relays.pop(number, None)

    # ---- telling ----

    def _gossip(self, now: float) -> None:
        self._gossip_is_set = False
        after = self.timing.gossip_to_the_dead_time

        def hears(member: Member) -> bool:
            if member.state is State.DEAD:
                return now - member.changed <= after
            return member.state is not State.LEFT and member.name != self.name

        for member in self._random_members(self.timing.gossip_nodes, hears):
            messages = self._take(self._room)
            for data in _packets(messages):
                self._tell(Send(member.address, data, member.protocol_max >= _CHECKSUMS))
            if not messages:
                break

    def _exchange_with_somebody(self, now: float) -> None:
        self._set_exchange(now)
        for member in self._random_members(1, lambda one: one.state is State.ALIVE and one.name != self.name):
            self.exchange(member.address, now, join=False)

    def _merge(self, remote: PushPull, join: bool, now: float) -> str:
        """@return: why it was not merged; empty if it was."""
        problem = self._beliefs.versions_clash(remote.nodes)
        if not problem and join:
            problem = self._delegate.refuse_merge(remote.nodes)
        if problem:
            return problem
        self._beliefs.merge(remote.nodes, now)
        if remote.user_state:
            self._tell(UserState(remote.user_state, join))
        return ""

    def _states(self) -> list[NodeState]:
        return [member.node_state() for member in self.members]

    def _send(self, to: Address, message: bytes) -> None:
        """A packet with a message, and whatever else fits into it."""
        others = self._take(self._room - _PART_BYTES - len(message))
        for data in _packets([message, *others]):
            self._tell(Send(to, data, False))

    def _take(self, room: int) -> list[bytes]:
        """What is to be told, as much as fits into so many bytes: of members first, then of the layer above."""
        broadcasts = self._beliefs.broadcasts
        taken: list[bytes] = []
        if len(broadcasts):
            limit = transmit_limit(self.timing.retransmit_mult, len(self.members))
            taken = broadcasts.take(_PART_BYTES, room, limit)
            room -= sum([_PART_BYTES + len(message) for message in taken])
        if self._delegate.has_broadcasts():
            taken += self._delegate.broadcasts(_PART_BYTES, room)
        return taken

    def _request(self, to: Address, message: StreamMessage, deadline: float, *, wants_answer: bool = True) -> int:
        self._requests += 1
        self._tell(Request(self._requests, to, message, deadline, wants_answer))
        return self._requests

    # ---- small things ----

    def _tell(self, output: Output) -> None:
        self._outputs.append(output)

    def _ping(self, number: int, name: str) -> Ping:
        me = self.me
        return Ping(node=name, seq_no=number, source_addr=me.addr, source_node=self.name, source_port=me.port)

    def _next_sequence(self) -> int:
        self._sequence = self._sequence % _UINT32_MAX + 1
        return self._sequence

    def _random_members(self, count: int, suits: Callable[[Member], bool]) -> list[Member]:
        """
        Up to so many different members that suit. In a small pool everybody is looked at; in a large one as many
        places as should do.
        """
        places, random, found = self.members.places, self._random, dict[str, Member]()
        if places < count * _TRIES:
            order = random.sample(range(places), places)
        else:
            order = [int(random.random() * places) for _ in range(count)]
        tried = 0
        while order:
            for place in order:
                member = self.members.at(place)
                if member is not None and suits(member):
                    found[member.name] = member
                    if len(found) == count:
                        return list(found.values())
            tried += len(order)
            missing = count - len(found) if places >= count * _TRIES and tried < _TRIES * places else 0
            order = [int(random.random() * places) for _ in range(missing)]
        return list(found.values())

    def _watch(self, when: float, name: str) -> None:
        self._alarms.set(when, lambda now: self._beliefs.expire(name, now))

    def _start(self, now: float) -> None:
        """Set what is done again and again, each after a random part of its interval: not all nodes at once."""
        timing, random = self.timing, self._random
        self._gossip_phase = now + random.random() * timing.gossip_interval - timing.gossip_interval
        self._probe_phase = now + random.random() * timing.probe_interval
        if timing.probe_interval > 0:
            self._alarms.set(self._probe_phase, self._probe_next)
        if timing.push_pull_interval > 0:
            stagger = random.random() * timing.push_pull_interval
            self._set_exchange(now + stagger)
        self.stir(now)

    def _set_exchange(self, now: float) -> None:
        interval = push_pull_interval(self.timing.push_pull_interval, len(self.members))
        self._alarms.set(now + interval, self._exchange_with_somebody)


def _tick_after(now: float, phase: float, interval: float) -> float:
    """The next time of a clock that began at C{phase}; the times that were slept through are left out."""
    ticks = floor((now - phase) / interval) + 1
    tick = phase + ticks * interval
    return tick if tick > now else phase + (ticks + 1) * interval


def _checked(meta: bytes) -> bytes:
    if len(meta) > META_BYTES_MAX:
        raise ValueError(f"a member says at most {META_BYTES_MAX} bytes of itself, not {len(meta)}")
    return meta


def _source(message: Ping | IndirectPing, sender: Address) -> Address:
    """Where an answer goes."""
    if message.source_addr and message.source_port:
        return message.source_addr, message.source_port
    return sender


def _packets(messages: list[bytes]) -> list[bytes]:
    """Messages that fit into one packet, as one or, where a compound cannot count them, as several."""
    if len(messages) == 1:
        return messages
    return [compound(messages[begin : begin + PARTS_MAX]) for begin in range(0, len(messages), PARTS_MAX)]
