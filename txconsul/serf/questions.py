"""
Queries of a Serf node: those that it asks, those that it is asked, and those that Serf answers itself.

Source: the wire documents, GOSSIP section 5.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

from txconsul.codec import gomsgpack
from txconsul.errors import InvalidRequest
from txconsul.serf.asking import QueryParameters, Running, default_timeout, passes, write_filters
from txconsul.serf.keyquery import INSTALL, LIST, REMOVE, USE, carry_out, list_keys, shortened
from txconsul.serf.members import Member, MemberStates
from txconsul.serf.messages import (
    BadSerfMessage,
    ConflictResponse,
    Destination,
    KeyResponse,
    Kind,
    Query,
    QueryFlag,
    QueryResponse,
    RelayHeader,
    Status,
    read,
    write,
    write_relay,
)
from txconsul.serf.outputs import Asked, Event, NameLost, QueryAck, QueryAnswer, QueryEnded, RingChanged
from txconsul.serf.recent import Recent
from txconsul.serf.settings import Settings, TooLarge
from txconsul.swim.broadcasts import Broadcasts
from txconsul.swim.keyring import Keyring
from txconsul.swim.members import Address
from txconsul.swim.outputs import Problem

__all__ = ["Questions"]

_INTERNAL = "_serf_"
_PING = "_serf_ping"
_CONFLICT = "_serf_conflict"
#: Queries of others that wait for an answer at a time; the oldest gives way. Each lasts seconds.
ASKED_MAX = 1024
#: Of the reason why keys are not written down, so much is told: an answer is bounded, a path is not.
PROBLEM_CHARACTERS_MAX = 200
#: What time and number of an answer may add to its bytes.
_NUMBERS = 16


class Questions:
    """
    @ivar queue: queries to be told.
    @ivar seen: which queries came already.
    """

    def __init__(
        self,
        name: str,
        settings: Settings,
        random: Random,
        members: MemberStates,
        keyring: Keyring | None,
        *,
        home: Callable[[], Address],
        tags: Callable[[], Mapping[str, str]],
        send: Callable[[Address, bytes], None],
        tell: Callable[[Event | Problem], None],
        later: Callable[[float, Callable[[float], object]], None],
    ) -> None:
        """
        @param name: of this node; C{home} is where it is reached, C{tags} what it says of itself.
        @param send: carries one of Serf's messages to one member.
        @param tell: takes outputs.
        @param later: has a function called at a time.
        """
        self.queue = Broadcasts()
        self.seen: Recent[int] = Recent()
        self._name = name
        self._settings = settings
        self._random = random
        self._members = members
        self._keyring = keyring
        self._home = home
        self._tags = tags
        self._send = send
        self._tell = tell
        self._later = later
        self._asked: dict[tuple[int, int], tuple[Query, float]] = {}
        self._running: dict[tuple[int, int], Running] = {}
        self._votes: dict[tuple[int, int], list[bool]] = {}

    def ask(self, name: str, payload: bytes, now: float, parameters: QueryParameters | None = None) -> tuple[int, int]:
        """
        Ask all members, this one included, or those that pass the filters.

        @return: a key; L{QueryAck}, L{QueryAnswer} and L{QueryEnded} have it.
        @raise TooLarge: the query has too many bytes.
        """
        parameters = parameters or QueryParameters()
        timeout = parameters.timeout
        if timeout is None:
            timeout = default_timeout(self._settings.timing.gossip_interval, len(self._members))
        addr, port = self._home()
        question = Query(
            addr=addr,
            filters=write_filters(parameters),
            flags=QueryFlag.ACK if parameters.wants_acks else 0,
            id=self._random.getrandbits(31),
            l_time=self.seen.clock.time,
            name=name,
            payload=payload or None,
            port=port,
            relay_factor=parameters.relay_factor,
            source_node=self._name,
            timeout=round(timeout * 1e9),
        )
        raw = write(question)
        if len(raw) > self._settings.query_bytes_max:
            raise TooLarge(f"query exceeds limit of {self._settings.query_bytes_max} bytes")
        key = (question.l_time, question.id)
        self._running[key] = Running(key, now + timeout, max(1, len(self._members)))
        self._later(now + timeout, lambda later: self._end_query(key))
        self.hear_query(question, now)
        self.queue.queue("", raw)
        return key

    def answer(self, key: tuple[int, int], payload: bytes, now: float) -> None:
        """
        Answer a query that this node was asked.

        @raise TooLarge: the answer has too many bytes; another one may be given.
        @raise InvalidRequest: it was answered already, or nobody listens any more.
        """
        asked = self._asked.get(key)
        if asked is None or asked[1] < now:
            raise InvalidRequest("response is past the deadline, or was already given")
        question = asked[0]
        response = QueryResponse(from_=self._name, id=question.id, l_time=question.l_time, payload=payload or None)
        most = self._settings.answer_bytes_max
        if len(write(response)) > most:
            raise TooLarge(f"response exceeds limit of {most} bytes")
        del self._asked[key]
        self._respond(question, response, now)

    def keys_kept(self, key: tuple[int, int], problem: str, now: float) -> None:
        """
        The keys that a query has changed are written down, or are not: answer it, if somebody still listens.

        @param problem: why they are not; empty if they are.
        """
        asked = self._asked.get(key)
        if asked is not None and asked[1] >= now:
            self.answer(key, write(KeyResponse(message=problem[:PROBLEM_CHARACTERS_MAX], result=not problem)), now)
        self._asked.pop(key, None)

    def hear_query(self, question: Query, now: float) -> bool:
        """@return: whether others should hear of it."""
        if not self.seen.is_new(question.l_time, question.id, _NUMBERS):
            return False
        if passes(question.filters or (), self._name, self._tags()):
            if question.flags & QueryFlag.ACK:
                ack = QueryResponse(flags=QueryFlag.ACK, from_=self._name, id=question.id, l_time=question.l_time)
                self._respond(question, ack, now)
            self._take_query(question, now)
        return not question.flags & QueryFlag.NO_BROADCAST

    def hear_response(self, response: QueryResponse, now: float) -> None:
        key = (response.l_time, response.id)
        running = self._running.get(key)
        if running is None or running.deadline < now:
            return
        ack = bool(response.flags & QueryFlag.ACK)
        if not running.is_new(response.from_, ack=ack):
            return
        if key in self._votes:
            self._count_vote(key, response)
        elif ack:
            self._tell(QueryAck(key, response.from_))
        else:
            self._tell(QueryAnswer(key, response.from_, response.payload or b""))

    def _take_query(self, question: Query, now: float) -> None:
        key = (question.l_time, question.id)
        payload = question.payload or b""
        deadline = now + question.timeout / 1e9
        if len(self._asked) >= ASKED_MAX:
            del self._asked[next(iter(self._asked))]
        self._asked[key] = (question, deadline)
        if not question.name.startswith(_INTERNAL):
            self._tell(Asked(key, question.name, payload, question.source_node, deadline))
            return
        if question.name in (INSTALL, USE, REMOVE):
            response = carry_out(question.name, payload, self._keyring)
            if response.result:
                self._tell(RingChanged(key))
                return
            answer: bytes | None = write(response)
        else:
            answer = self._answer_internal(question.name, payload)
        if answer is not None:
            try:
                self.answer(key, answer, now)
                return
            except TooLarge as error:
                self._tell(Problem(f"the answer to {question.name} is too long: {error}", False))
        del self._asked[key]

    def _respond(self, question: Query, response: QueryResponse, now: float) -> None:
        """Send an answer straight to who asked, and a second time through others where that is wanted."""
        to = (question.addr, question.port)
        if question.source_node == self._name and to == self._home():
            self.hear_response(response, now)
            return
        raw = write(response)
        self._send(to, raw)
        factor = question.relay_factor
        if not factor or len(self._members) < factor + 1:
            return
        header = RelayHeader(
            dest_addr=Destination(ip=question.addr, port=question.port), dest_name=question.source_node
        )
        relayed = write_relay(header, raw)
        if len(relayed) > self._settings.answer_bytes_max:
            return
        others = [one for one in self._members if one.status is Status.ALIVE and one.name != self._name]
        for member in self._random.sample(others, min(factor, len(others))):
            self._send(member.address, relayed)

    def _end_query(self, key: tuple[int, int]) -> None:
        del self._running[key]
        votes = self._votes.pop(key, None)
        if votes is None:
            self._tell(QueryEnded(key))
        elif sum(votes) < len(votes) // 2 + 1:
            self._tell(NameLost())

    # ---- what Serf answers itself ----

    def _answer_internal(self, name: str, payload: bytes) -> bytes | None:
        """What Serf itself answers; None for nothing."""
        if name == _CONFLICT:
            asked = payload.decode("utf-8", "surrogateescape")
            return None if asked == self._name else _conflict_answer(self._members.get(asked))
        if name == LIST:
            return self._fitting(list_keys(self._keyring))
        if name != _PING:
            self._tell(Problem(f"an unknown internal query, {name}", False))
        return None

    def _fitting(self, response: KeyResponse) -> bytes:
        """A list of keys, of which so many are left out that it fits into an answer."""
        whole, keep = response, len(response.keys or ())
        room = self._settings.answer_bytes_max
        while keep > 0 and len(write(QueryResponse(from_=self._name, payload=write(response)))) + _NUMBERS > room:
            keep -= 1
            response = shortened(whole, keep)
        return write(response)

    def resolve_conflict(self, now: float) -> None:
        """Another node bears this one's name: have the others say which one they know. L{NameLost} may follow."""
        if self._votes:
            return
        key = self.ask(_CONFLICT, self._name.encode("utf-8", "surrogateescape"), now)
        self._votes[key] = []

    def _count_vote(self, key: tuple[int, int], response: QueryResponse) -> None:
        """A member says whom it knows under this node's name."""
        try:
            known = read(ConflictResponse, response.payload or b"")
        except BadSerfMessage:
            return
        self._votes[key].append((known.addr, known.port) == self._home())


def _conflict_answer(member: Member | None) -> bytes:
    """Whom a node knows under a name; nobody is nil."""
    if member is None:
        return bytes([Kind.CONFLICT_RESPONSE]) + gomsgpack.pack(None)
    vsn = member.vsn.ljust(6, b"\0")
    return write(
        ConflictResponse(
            addr=member.addr,
            delegate_cur=vsn[5],
            delegate_max=vsn[4],
            delegate_min=vsn[3],
            name=member.name,
            port=member.port,
            protocol_cur=vsn[2],
            protocol_max=vsn[1],
            protocol_min=vsn[0],
            status=int(member.status),
            tags=dict(member.tags),
        )
    )
