"""
A Serf node: names, intents, events and queries above a SWIM node, which it owns.

It has the shape of a core; its SWIM node's wishes come out together with its own events, in order. Source: the wire
documents, GOSSIP sections 5 and 6; Serf's documentation for what the options are for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import ip_address
from random import Random

from txconsul.records.coordinate import Position
from txconsul.serf.announcements import Announcements
from txconsul.serf.asking import QueryParameters
from txconsul.serf.intents import Intents
from txconsul.serf.leaving import Leaving
from txconsul.serf.members import STATUS_OF, Member, MemberStates
from txconsul.serf.messages import (
    BadSerfMessage,
    JoinIntent,
    Kind,
    LeaveIntent,
    PushPullState,
    Query,
    QueryResponse,
    Status,
    UserEvent,
    read,
    read_any,
    read_relay,
)
from txconsul.serf.outputs import (
    Event,
    EventKind,
    Joined,
    Left,
    MemberEvent,
)
from txconsul.serf.ping import read_payload
from txconsul.serf.questions import Questions
from txconsul.serf.settings import Settings
from txconsul.serf.tags import read_tags, write_tags
from txconsul.serf.vivaldi import BadMeasurement, Vivaldi
from txconsul.serf.voice import USER_BYTE, Voice
from txconsul.swim import outputs as swim
from txconsul.swim.alarms import Alarms
from txconsul.swim.broadcasts import Broadcasts
from txconsul.swim.keyring import Keyring
from txconsul.swim.members import Address, Base
from txconsul.swim.members import Member as SwimMember
from txconsul.swim.messages import Message
from txconsul.swim.node import SwimNode
from txconsul.swim.stream import StreamMessage
from txconsul.swim.timing import transmit_limit

__all__ = ["SerfNode"]


class SerfNode:
    """
    One member of a pool, with Serf's layer.

    @ivar swim: the SWIM node below. What it wishes comes out of L{take_output}.
    @ivar members: everybody known, the gone included until they are reaped.
    @ivar vivaldi: where this node is in the network, or None.
    @ivar positions: where others said that they are, by name.
    @ivar queues: what is to be told: intents, queries, events.
    """

    def __init__(
        self,
        name: str,
        address: Address,
        *,
        tags: Mapping[str, str],
        settings: Settings,
        random: Random,
        now: float,
        keyring: Keyring | None = None,
        overhead_bytes: int = 0,
        refuse: Callable[[list[Member]], str] | None = None,
        allows: Callable[[bytes], bool] | None = None,
        base: Base | None = None,
    ) -> None:
        """
        @param keyring: the pool's keys, which queries may change.
        @param refuse: why members are not let in; empty if they are. One is asked about itself; of a pool that wants to
            join, all.
        @param allows: whether members may be at an address, of 4 or 16 bytes; if not, each is left out by itself.
        @param base: a pool that this node is a member of already, for simulations.
        @raise TagsTooLong: the tags do not fit.
        """
        self.swim: SwimNode
        self._tags = dict(tags)
        self._alarms = Alarms()
        self.name = name
        self.settings = settings
        self.members = MemberStates(name, settings.intent_timeout)
        self.vivaldi = Vivaldi(rng=random) if settings.coordinates else None
        self.positions: dict[str, Position] = {}
        self._questions = Questions(
            name,
            settings,
            random,
            self.members,
            keyring,
            home=lambda: self.swim.me.address,
            tags=lambda: self._tags,
            send=lambda to, message: self.swim.send_user(to, message),
            tell=self._tell,
            later=self._alarms.set,
        )
        self._intents = Intents(
            name,
            settings,
            self.members,
            staying=lambda: self._leaving is None,
            tell=self._tell_member,
            later=self._alarms.set,
        )
        self._announcements = Announcements(settings, self._tell)
        self.queues = (self._intents.queue, self._questions.queue, self._announcements.queue)
        self._random = random
        self._refuse = refuse
        self._allows = allows
        self._outputs: list[Event | swim.Output] = []
        self._joining: dict[int, bool] = {}
        self._ignores_old = False
        self._leaving: Leaving | None = None
        self.swim = SwimNode(
            name,
            address,
            meta=write_tags(tags),
            vsn=bytes([1, 5, 2, 2, 5, settings.protocol]),
            timing=settings.timing,
            random=random,
            delegate=Voice(self),
            now=now,
            overhead_bytes=overhead_bytes,
            base=base,
        )
        for member in self.swim.members if base is not None else ():
            self.members.came(self._member(member))
        self._hear_swim(now)
        self._alarms.set(now + settings.reap_interval, self._reap)
        self._alarms.set(now + settings.reconnect_interval, self._reconnect)
        self._alarms.set(now + settings.queue_check_interval, self._check_queues)

    # ---- the shape of a core ----

    def next_deadline(self) -> float | None:
        """When L{wake} is wanted."""
        deadlines = [one for one in (self.swim.next_deadline(), self._alarms.next) if one is not None]
        return min(deadlines, default=None)

    def wake(self, now: float) -> None:
        """L{next_deadline} has passed."""
        self._alarms.ring(now)
        self.swim.wake(now)
        self._hear_swim(now)

    def take_output(self) -> list[Event | swim.Output]:
        """Everything wished and told since last time, in order."""
        taken, self._outputs = self._outputs, []
        return taken

    def receive(self, message: Message, sender: Address, now: float) -> None:
        """One message of a packet."""
        self.swim.receive(message, sender, now)
        self._hear_swim(now)

    def serve(self, request: StreamMessage, now: float) -> StreamMessage | None:
        """A request over a stream. @return: the answer, if there is one."""
        answer = self.swim.serve(request, now)
        self._hear_swim(now)
        return answer

    def answered(self, number: int, answer: StreamMessage | None, now: float) -> None:
        """The answer to a request of the SWIM node's."""
        self._ignores_old = self._joining.get(number, False)
        self.swim.answered(number, answer, now)
        self._hear_swim(now)
        self._ignores_old = False

    def failed(self, number: int, reason: str, now: float) -> None:
        """A request of the SWIM node's came to nothing."""
        self.swim.failed(number, reason, now)
        self._hear_swim(now)

    # ---- membership ----

    @property
    def tags(self) -> Mapping[str, str]:
        """What this node says of itself."""
        return self._tags

    @property
    def is_leaving(self) -> bool:
        """Whether L{leave} was called."""
        return self._leaving is not None

    def l_times(self) -> tuple[int, int, int]:
        """The clocks of members, events and queries."""
        return self._intents.clock.time, self._announcements.seen.clock.time, self._questions.seen.clock.time

    def remember(self, l_time: int, event_l_time: int, query_l_time: int) -> None:
        """Go on where an earlier life of this node stopped: what was heard then is not heard again."""
        self._intents.clock.witness(l_time)
        for seen, time in ((self._announcements.seen, event_l_time), (self._questions.seen, query_l_time)):
            seen.clock.witness(time)
            seen.minimum = time + 1

    def join(self, address: Address, now: float, *, ignore_old: bool = False) -> int:
        """
        Join the pool of whoever is at an address.

        @param ignore_old: events from before are not of interest.
        @return: a number; L{Joined} with it tells how that ended.
        """
        number = self.swim.exchange(address, now, join=True)
        self._joining[number] = ignore_old
        self._hear_swim(now)
        return number

    def leave(self, now: float) -> None:
        """
        Leave, so that the others know it for that. L{Left} comes when it may be stopped; what is asked of it until
        then is still answered.
        """
        if self._leaving is not None:
            return
        self._leaving = Leaving(
            self.settings, later=self._alarms.set, say=self.swim.leave, done=lambda: self._tell(Left())
        )
        self._intents.say_leave(self.name, now, token=self._leaving.intent)
        self._leaving.begin(now, alone=not self._intents.has_others())
        self._hear_swim(now)

    def force_leave(self, name: str, now: float, *, prune: bool = False) -> None:
        """A failed member is gone for good; and, with C{prune}, forgotten at once."""
        self._intents.say_leave(name, now, prune=prune)
        self._hear_swim(now)

    def change_tags(self, tags: Mapping[str, str], now: float) -> None:
        """This node says something else of itself. @raise TagsTooLong: it does not fit."""
        meta = write_tags(tags)
        self._tags = dict(tags)
        self.swim.change_meta(meta, now)
        self._hear_swim(now)

    # ---- events and queries ----

    def event(self, name: str, payload: bytes, now: float, *, coalesce: bool = True) -> int:
        """
        Tell all members, this one included, of something.

        @return: its time.
        @raise TooLarge: name and payload have too many bytes.
        """
        l_time = self._announcements.say(name, payload, coalesce=coalesce)
        self.swim.stir(now)
        self._hear_swim(now)
        return l_time

    def query(
        self, name: str, payload: bytes, now: float, parameters: QueryParameters | None = None
    ) -> tuple[int, int]:
        """
        Ask all members, this one included, or those that pass the filters.

        @return: a key; L{QueryAck}, L{QueryAnswer} and L{QueryEnded} have it.
        @raise TooLarge: the query has too many bytes.
        """
        key = self._questions.ask(name, payload, now, parameters)
        self.swim.stir(now)
        self._hear_swim(now)
        return key

    def answer(self, key: tuple[int, int], payload: bytes, now: float) -> None:
        """
        Answer a query that this node was asked.

        @raise TooLarge: the answer has too many bytes; another one may be given.
        @raise InvalidRequest: it was answered already, or nobody listens any more.
        """
        self._questions.answer(key, payload, now)
        self._hear_swim(now)

    def keys_kept(self, key: tuple[int, int], problem: str, now: float) -> None:
        """
        What L{RingChanged<txconsul.serf.outputs.RingChanged>} asked for is done: the query is answered.

        @param problem: why the keys are not written down; empty if they are, or need not be.
        """
        self._questions.keys_kept(key, problem, now)
        self._hear_swim(now)

    # ---- what the SWIM node's delegate says ----

    def state(self) -> PushPullState:
        """Serf's part of an exchange of states."""
        return PushPullState(
            event_l_time=self._announcements.seen.clock.time,
            events=self._announcements.ring(),
            l_time=self._intents.clock.time,
            left_members=tuple(self.members.left),
            query_l_time=self._questions.seen.clock.time,
            status_l_times=self.members.l_times(),
        )

    def take_broadcasts(self, overhead: int, room: int) -> list[bytes]:
        """What Serf has to tell, as SWIM's messages."""
        taken: list[bytes] = []
        limit = transmit_limit(self.settings.timing.retransmit_mult, len(self.members))
        for queue in self.queues:
            if len(queue):
                messages = queue.take(overhead, room, limit)
                room -= sum([overhead + len(message) for message in messages])
                taken += [USER_BYTE + message for message in messages]
        return taken

    def refuse_one(self, member: SwimMember) -> str:
        """Why a member is not let in; empty if it is."""
        if self._allows is not None and member.name != self.name and not self._allows(member.addr):
            return f"{ip_address(member.addr)} is not allowed"
        return self.refuse([member])

    def refuse(self, members: list[SwimMember]) -> str:
        """Why members are not let in; empty if they are."""
        if self._refuse is None:
            return ""
        return self._refuse([self._member(one) for one in members])

    # ---- what the SWIM node tells ----

    def _hear_swim(self, now: float) -> None:
        """Take what the SWIM node says: Serf's share of it here, the rest to whoever drives this node."""
        while outputs := self.swim.take_output():
            for output in outputs:
                if isinstance(output, swim.MemberChanged):
                    self._hear_change(output, now)
                elif isinstance(output, swim.UserMessage):
                    self._hear_message(output.payload, now)
                elif isinstance(output, swim.UserState):
                    self._merge(output.state, output.join, now)
                elif isinstance(output, swim.Ponged):
                    self._learn(output)
                elif isinstance(output, swim.Exchanged):
                    self._hear_exchanged(output, now)
                elif isinstance(output, swim.Sent):
                    self._hear_told(output.token, now)
                else:
                    if isinstance(output, swim.Conflict):
                        self._hear_conflict(output, now)
                    self._tell(output)
            self.swim.stir(now)
        for queue in self.queues:
            for token in queue.finished:
                self._hear_told(token, now)
            queue.finished.clear()

    def _hear_told(self, token: object, now: float) -> None:
        if self._leaving is not None:
            self._leaving.told(token, now)

    def _hear_change(self, said: swim.MemberChanged, now: float) -> None:
        member = self._member(said.member)
        if said.change is swim.Change.JOINED:
            self._tell(MemberEvent(EventKind.JOIN, self.members.came(member)))
        elif said.change is swim.Change.UPDATED:
            changed = self.members.changed(member)
            if changed is not None:
                self._tell(MemberEvent(EventKind.UPDATE, changed))
        else:
            gone = self.members.went(member.name, now)
            if gone is not None:
                kind = EventKind.LEAVE if gone.status is Status.LEFT else EventKind.FAILED
                self._tell(MemberEvent(kind, gone))

    def _member(self, member: SwimMember) -> Member:
        try:
            tags = read_tags(member.meta)
        except BadSerfMessage as error:
            self._tell(swim.Problem(f"{member.name} describes itself badly: {error}", True))
            tags = {}
        return Member(member.name, member.addr, member.port, tags, STATUS_OF[member.state], member.vsn)

    def _hear_exchanged(self, ended: swim.Exchanged, now: float) -> None:
        if self._joining.pop(ended.number, None) is None:
            if ended.problem:
                self._tell(swim.Problem(f"an exchange of states came to nothing: {ended.problem}", False))
            return
        if not ended.problem:
            self._intents.say_join(now)
        self._tell(Joined(ended.number, ended.to, ended.problem))

    def _learn(self, answer: swim.Ponged) -> None:
        """A member answered a ping: how far away is it, and where does it say that it is?"""
        if self.vivaldi is None or not answer.payload:
            return
        try:
            position = read_payload(answer.payload)
            self.vivaldi.measured(answer.member.name, position, round(answer.rtt * 1e9))
        except (BadMeasurement, BadSerfMessage) as error:
            self._tell(swim.Problem(f"the coordinate of {answer.member.name} is refused: {error}", False))
            return
        self.positions[answer.member.name] = position
        self.positions[self.name] = self.vivaldi.position

    def _hear_conflict(self, conflict: swim.Conflict, now: float) -> None:
        if conflict.known.name == self.name and self.settings.resolves_conflicts:
            self._questions.resolve_conflict(now)

    def _hear_message(self, raw: bytes, now: float) -> None:
        """A message of Serf's: is it new, it is passed on."""
        try:
            if raw[:1] == bytes([Kind.RELAY]):
                header, inner = read_relay(raw)
                self.swim.send_user((header.dest_addr.ip, header.dest_addr.port), inner)
                return
            message = read_any(raw)
        except BadSerfMessage as error:
            self._tell(swim.Problem(f"a message is refused: {error}", True))
            return
        if isinstance(message, LeaveIntent):
            if self._intents.hear_leave(message, now):
                self._pass_on(self._intents.queue, raw)
        elif isinstance(message, JoinIntent):
            if self._intents.hear_join(message.node, message.l_time, now):
                self._pass_on(self._intents.queue, raw)
        elif isinstance(message, UserEvent):
            if self._announcements.hear(message):
                self._pass_on(self._announcements.queue, raw)
        elif isinstance(message, Query):
            if self._questions.hear_query(message, now):
                self._pass_on(self._questions.queue, raw)
        elif isinstance(message, QueryResponse):
            self._questions.hear_response(message, now)
        else:
            self._tell(swim.Problem(f"a {type(message).__name__} has no place among members", True))

    def _pass_on(self, queue: Broadcasts, raw: bytes) -> None:
        """Tell others what somebody said, if it fits into a packet, as what is told does."""
        if len(raw) <= self.settings.timing.packet_bytes:
            queue.queue("", raw)
            most = self._queue_most
            if len(queue) > 2 * most:  # between two looks at the queues
                queue.prune(most)

    def _merge(self, raw: bytes, join: bool, now: float) -> None:
        """The other side's part of an exchange of states."""
        try:
            state = read(PushPullState, raw)
        except BadSerfMessage as error:
            self._tell(swim.Problem(f"the other side's state is refused: {error}", True))
            return
        for clock, time in (
            (self._intents.clock, state.l_time),
            (self._announcements.seen.clock, state.event_l_time),
            (self._questions.seen.clock, state.query_l_time),
        ):
            if time > 0:
                clock.witness(time - 1)
        self._intents.hear_times(state.status_l_times or {}, state.left_members or (), now)
        if join and self._ignores_old:
            self._announcements.seen.minimum = max(self._announcements.seen.minimum, state.event_l_time)
        self._announcements.hear_ring(state.events or ())

    # ---- what is done now and then ----

    def _reap(self, now: float) -> None:
        self._alarms.set(now + self.settings.reap_interval, self._reap)
        self._intents.reap(now)

    def _reconnect(self, now: float) -> None:
        """Try a failed member: each about once an interval, by all the others together."""
        self._alarms.set(now + self.settings.reconnect_interval, self._reconnect)
        failed = list(self.members.failed)
        alive = max(1, len(self.members) - len(failed) - len(self.members.left))
        if not failed or self._random.random() > len(failed) / alive:
            return
        member = self.members.get(self._random.choice(failed))
        if member is not None:
            self.swim.exchange(member.address, now, join=True)

    def _check_queues(self, now: float) -> None:
        self._alarms.set(now + self.settings.queue_check_interval, self._check_queues)
        most = self._queue_most
        for name, queue in zip(("intent", "query", "event"), self.queues, strict=True):
            if len(queue) > most:
                self._tell(swim.Problem(f"the {name} queue has {len(queue)} messages: the oldest are dropped", True))
                queue.prune(most)

    @property
    def _queue_most(self) -> int:
        return max(self.settings.queue_min, 2 * len(self.members))

    def _tell(self, output: Event | swim.Output) -> None:
        self._outputs.append(output)

    def _tell_member(self, event: MemberEvent) -> None:
        """Something became of a member; who is forgotten is nowhere any more."""
        if event.kind is EventKind.REAP:
            if self.vivaldi is not None:
                self.vivaldi.forget(event.member.name)
            self.positions.pop(event.member.name, None)
        self._tell(event)
