"""
A question in, an answer out: what each name and type of record is answered with.

Source: Consul's page on DNS; RFC 1034 4.3.2 and RFC 2308 2 for names and types that do not exist.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from struct import pack

import msgspec
from twisted.logger import Logger

from txconsul.codec.duration import SECOND, BadDuration, parse_duration
from txconsul.dns.lookups import IDoor, Lookups, read_options
from txconsul.dns.message import (
    AAAA,
    ANY,
    AXFR,
    CLIENT_SUBNET,
    CNAME,
    EDNS,
    NOERROR,
    NOTIMP,
    NS,
    NXDOMAIN,
    PTR,
    REFUSED,
    SERVFAIL,
    SOA,
    SRV,
    TXT,
    A,
    BadName,
    Malformed,
    Message,
    Name,
    Question,
    Record,
    make_name,
    show_name,
)
from txconsul.dns.names import Asked, address_of, is_arpa, parse, reversed_address
from txconsul.dns.records import (
    address_name,
    address_record,
    metadata_records,
    node_address,
    node_name,
    parse_address,
    service_address,
    service_port,
    srv_record,
)
from txconsul.dns.settings import DNSSettings, ServiceTTLs
from txconsul.errors import InvalidRequest, NoPathToDatacenter, NotFound, TxconsulError
from txconsul.records.catalog import CheckServiceNode, Node

__all__ = ["Answerer", "Reply", "begin_reply", "is_complete", "refusal"]

#: Servers of the zone that are told at once.
NAME_SERVERS_MAX = 3
#: How many names of this domain may stand for each other in turn.
ALIASES_MAX = 3
#: Records that somebody else gave for a host name, in an answer without EDNS.
FOREIGN_RECORDS_MAX = 5
#: The service of the servers themselves.
SERVERS = "consul"

_NODE_TYPES = frozenset({ANY, A, AAAA, TXT})
_NOT_A_LABEL = re.compile(r"[^A-Za-z0-9\-]")
_FOREIGN_TYPES = frozenset({A, AAAA, CNAME})

_log = Logger()

#: Asks other servers for the addresses of a host name.
Resolve = Callable[[Name], Awaitable[list[Record]]]


class _NoSuchName(Exception):
    """The name does not exist."""


class Reply(msgspec.Struct):
    """
    An answer, whole.

    @ivar message: as it is before anything is left out.
    @ivar forward: ask somebody else: nothing is known here.
    """

    message: Message
    forward: bool = False


class _Making(msgspec.Struct):
    """One answer being made."""

    question: Question
    domain: Name
    lookups: Lookups
    answer: list[Record]
    additional: list[Record]
    with_edns: bool
    most: int
    aliases_left: int = ALIASES_MAX

    @property
    def kind(self) -> int:
        return self.question.type


def is_complete(message: Message) -> bool:
    """Whether a message asks just one thing, as a question must."""
    return len(message.questions) == 1


def begin_reply(question: Message, rcode: int = NOERROR) -> Message:
    """An answer with nothing in it."""
    query = question.opcode == 0
    return Message(
        id=question.id,
        response=True,
        opcode=question.opcode,
        recursion_desired=query and question.recursion_desired,
        checking_disabled=query and question.checking_disabled,
        rcode=rcode,
        questions=question.questions[:1],
    )


def refusal(question: Message, rcode: int, available: bool = False) -> Message:
    """An answer that says only why there is none."""
    message = begin_reply(question, rcode)
    message.recursion_available = available
    add_edns(question, message)
    return message


def add_edns(question: Message, message: Message, everywhere: bool = True) -> None:
    """
    Answer EDNS with EDNS.

    @param everywhere: the answer does not depend on the subnet for which it was asked.
    """
    edns = question.edns()
    if edns is None:
        return
    options = []
    for code, data in edns.options:
        if code == CLIENT_SUBNET:
            if len(data) < 4:
                raise Malformed("a client subnet is cut off")
            globally = everywhere or message.rcode != NOERROR
            options.append((code, data[:3] + (b"\0" if globally else data[2:3]) + data[4:]))
            break
    message.additional.append(EDNS(edns.size, tuple(options)).record())


class Answerer:
    """
    @param resolve: finds addresses of names that are not ours; None where nobody can be asked.
    @param now_utc: seconds since 1970, for serial numbers.
    """

    def __init__(
        self, door: IDoor, settings: DNSSettings, rng: Random, now_utc: Callable[[], float], resolve: Resolve | None
    ) -> None:
        self._door = door
        self._settings = settings
        self._options = read_options(settings)
        self._rng = rng
        self._now_utc = now_utc
        self._resolve = resolve
        self._zone = settings.zone()
        self._domain = make_name(settings.domain.lower())
        self._ttl_of = ServiceTTLs(settings.service_ttl)

    def lookups(self, asker: str) -> Lookups:
        """What one answer will be made from. @param asker: the address of whoever asks."""
        return Lookups(self._door, self._settings, self._options, asker)

    async def answer(self, question: Message, lookups: Lookups, most: int) -> Reply:
        """
        Answer.

        @param question: a message with one question.
        @param most: as many answers as are worth making.
        @raise Malformed: its EDNS is none.
        """
        asked = question.questions[0]
        edns = question.edns()  # refused before anything is looked up
        if edns is not None and edns.options:
            lookups.asker = edns.subnet() or lookups.asker
        if is_arpa(asked.name):
            return await self._reverse(question, lookups)
        split = self._zone.split(asked.name)
        if split is None:
            if self._resolve is not None:
                return Reply(refusal(question, SERVFAIL, True), forward=True)
            return Reply(refusal(question, REFUSED))
        making = _Making(asked, split[1], lookups, [], [], question.edns() is not None, most)
        message = begin_reply(question)
        message.authoritative = True
        message.recursion_available = self._resolve is not None
        message.answer, message.additional = making.answer, making.additional
        everywhere = True
        if asked.type == SOA:
            await self._name_servers(making, message.authority)
            making.answer.append(self._soa(asked.name))
        elif asked.type == NS:
            await self._name_servers(making, making.answer)
        elif asked.type == AXFR:
            message.rcode = NOTIMP
        else:
            what = parse(split[0], asked.type == SRV)
            everywhere = what is None or what.kind != "query"
            message.rcode, empty = await self._dispatch(making, what)
            if message.rcode == NXDOMAIN or empty:
                message.authority.append(self._soa(asked.name))
        add_edns(question, message, everywhere)
        return Reply(message)

    async def _dispatch(self, making: _Making, what: Asked | None) -> tuple[int, bool]:
        """@return: the code, and whether the absence of records is to be told by the zone's SOA."""
        if what is None:
            return NXDOMAIN, False
        try:
            if what.kind in ("service", "connect", "ingress", "query"):
                await (self._query if what.kind == "query" else self._service)(making, what)
                return NOERROR, not making.answer
            if what.kind == "node":
                await self._node(making, what)
            elif what.kind == "virtual":
                await self._virtual(making, what)
            else:
                self._address(making, what)
        except (_NoSuchName, NoPathToDatacenter, NotFound):
            return NXDOMAIN, False
        except TxconsulError as error:
            _log.warn("no answer to {name}: {error}", name=show_name(making.question.name), error=error)
            return SERVFAIL, False
        return NOERROR, False

    # ---- the zone ----

    def _soa(self, name: Name) -> Record:
        it = self._settings
        below = self._zone.alternative
        domain = self._domain
        if below and len(name) > len(below) and name[-len(below) :] == below:
            domain = below
        serial = int(self._now_utc()) & 0xFFFFFFFF
        numbers = pack("!5I", serial, it.soa_refresh, it.soa_retry, it.soa_expire, it.soa_minimum)
        return Record(domain, SOA, it.soa_minimum, ((b"ns", *domain), (b"hostmaster", *domain), numbers))

    async def _name_servers(self, making: _Making, found: list[Record]) -> None:
        """Up to three servers, with their addresses."""
        it = self._settings
        try:
            instances = await making.lookups.instances(SERVERS, "", it.datacenter)
        except TxconsulError as error:
            _log.warn("the servers of the zone are not known: {error}", error=error)
            return
        self._shuffle(making, instances)
        for one in instances:
            node = one.node
            if node is None or _NOT_A_LABEL.search(node.node):
                continue
            try:
                full = tuple([label.lower() for label in node_name(node, making.domain)])
            except BadName:
                continue
            found.append(Record(making.domain, NS, it.node_ttl, (full,)))
            making.additional.extend(await self._node_records(making, node, ANY, full))
            if len(found) >= NAME_SERVERS_MAX:
                return

    # ---- nodes and addresses ----

    async def _node(self, making: _Making, what: Asked) -> None:
        kind = making.kind
        if kind not in _NODE_TYPES:
            return
        node = None if what.peer else await making.lookups.node(what.name, what.datacenter or self._settings.datacenter)
        if node is None:
            raise _NoSuchName
        name = making.question.name
        if kind != TXT:
            making.answer.extend(await self._node_records(making, node, kind, name))
        if kind in (TXT, ANY):
            making.answer.extend(metadata_records(name, node, self._settings.node_ttl))
        elif self._settings.node_meta_txt:
            making.additional.extend(metadata_records(name, node, self._settings.node_ttl))

    async def _node_records(self, making: _Making, node: Node, kind: int, name: Name) -> list[Record]:
        ttl = self._settings.node_ttl
        text = node_address(self._settings, node, kind)
        address = parse_address(text)
        if address is not None:
            record = address_record(name, address, ttl, kind)
            return [] if record is None else [record]
        try:
            target = make_name(text)
        except BadName:
            return []
        if not target:
            return []
        return [Record(name, CNAME, ttl, (target,)), *await self._alias(making, target)]

    async def _virtual(self, making: _Making, what: Asked) -> None:
        # addresses are given out by each datacenter for itself: a word that could name one names a peer here
        peer = what.peer or what.place
        text = await making.lookups.virtual_address(what.name, peer, self._settings.datacenter)
        address = parse_address(text) if text else None
        if address is not None:
            record = address_record(self._lowered(making), address, self._settings.node_ttl, ANY)
            assert record is not None
            making.answer.append(record)

    def _address(self, making: _Making, what: Asked) -> None:
        address = address_of(what.name)
        if address is None:
            raise _NoSuchName
        record = address_record(self._lowered(making), address, self._settings.node_ttl, ANY)
        assert record is not None
        (making.answer if making.kind in (record.type, ANY) else making.additional).append(record)

    def _lowered(self, making: _Making) -> Name:
        """The name that was asked for, in lower case but for the domain."""
        own = making.question.name[: -len(making.domain)]
        return (*[label.lower() for label in own], *making.domain)

    # ---- services ----

    def _shuffle(self, making: _Making, instances: list[CheckServiceNode]) -> None:
        if len(instances) > 1:
            self._rng.shuffle(instances)
            making.lookups.drawn = True

    async def _service(self, making: _Making, what: Asked) -> None:
        if what.kind == "service" and what.peer:
            raise _NoSuchName  # nothing is known of peers
        if not what.name:
            raise InvalidRequest("Must provide service name")
        datacenter = what.datacenter or self._settings.datacenter
        instances = await making.lookups.instances(what.name, what.tag, datacenter, what.kind)
        if not instances:
            raise _NoSuchName
        self._shuffle(making, instances)
        await self._instances(making, instances, datacenter, self._ttl_of(what.name))

    async def _query(self, making: _Making, what: Asked) -> None:
        """What a prepared query finds, in its order."""
        found = await making.lookups.query(what.name, what.datacenter or self._settings.datacenter)
        if not found.nodes:
            raise _NoSuchName
        if len(found.nodes) > 1:
            making.lookups.drawn = True
        ttl = _seconds(found.dns.ttl) if found.dns.ttl else self._ttl_of(found.service)
        await self._instances(making, found.nodes, found.datacenter, ttl)

    async def _instances(
        self, making: _Making, instances: Sequence[CheckServiceNode], datacenter: str, ttl: int
    ) -> None:
        if making.kind == SRV:
            await self._places(making, instances, datacenter, ttl)
        else:
            await self._addresses(making, instances, datacenter, ttl)

    async def _addresses(
        self, making: _Making, instances: Sequence[CheckServiceNode], datacenter: str, ttl: int
    ) -> None:
        """An address of each instance; an alias only where no instance has one."""
        most = min(self._settings.a_record_limit or making.most, making.most)
        seen: set[Record] = set()
        alias: list[Record] = []
        for one in instances:
            records, _ = await self._instance(making, one, datacenter, ttl)
            if not records or records[0] in seen:
                continue
            seen.add(records[0])
            if records[0].type == CNAME:
                alias = alias or records
                continue
            making.answer.extend(records)
            if len(making.answer) >= most:
                return
        if not making.answer:
            making.answer.extend(alias)

    async def _places(self, making: _Making, instances: Sequence[CheckServiceNode], datacenter: str, ttl: int) -> None:
        """Host and port of each instance."""
        seen: set[tuple[str, str, int]] = set()
        for one in instances:
            node, service = one.node, one.service
            assert node is not None and service is not None
            place = (
                node.node,
                service_address(self._settings, service, datacenter, SRV),
                service_port(self._settings, service, datacenter),
            )
            if place in seen:
                continue
            seen.add(place)
            records, more = await self._instance(making, one, datacenter, ttl)
            making.answer.extend(records)
            making.additional.extend(more)
            if self._settings.node_meta_txt and node.meta:
                try:
                    name = node_name(node, making.domain)
                except BadName:
                    continue
                making.additional.extend(metadata_records(name, node, ttl))
            if len(making.answer) >= making.most:
                return

    async def _instance(
        self, making: _Making, one: CheckServiceNode, datacenter: str, ttl: int
    ) -> tuple[list[Record], list[Record]]:
        """The answers that an instance gives, and what goes with them; none if no DNS name can be made of its names."""
        node, service = one.node, one.service
        assert node is not None and service is not None
        kind = making.kind
        own = service_address(self._settings, service, datacenter, kind)
        host = node_address(self._settings, node, kind)
        address = parse_address(host)
        try:
            if own:
                own_address = parse_address(own)
                if own_address is not None:
                    name = address_name(own_address, node.datacenter, making.domain) if kind == SRV else ()
                    return self._at(making, one, datacenter, ttl, own_address, name)
                alias = make_name(own)
                if address is None or _folded(alias) != _folded(making.question.name):
                    return await self._named(making, one, datacenter, ttl, alias)
            elif address is None:
                return await self._named(making, one, datacenter, ttl, make_name(host)) if host else ([], [])
            elif host != node.address:
                name = address_name(address, node.datacenter, making.domain) if kind == SRV else ()
                return self._at(making, one, datacenter, ttl, address, name)
            assert address is not None
            return self._at(
                making, one, datacenter, ttl, address, node_name(node, making.domain) if kind == SRV else ()
            )
        except BadName as error:
            _log.debug("no DNS name can be made of {name}", name=error)
            return [], []

    def _at(
        self, making: _Making, one: CheckServiceNode, datacenter: str, ttl: int, address: object, target: Name
    ) -> tuple[list[Record], list[Record]]:
        """An instance with an address. @param target: the name that SRV gives it."""
        asked = making.question
        record = address_record(target or asked.name, address, ttl, asked.type)  # type: ignore[arg-type]
        if record is None:
            return [], []
        if asked.type != SRV:
            return [record], []
        assert one.service is not None
        port = service_port(self._settings, one.service, datacenter)
        return [srv_record(asked.name, ttl, one, port, target)], [record]

    async def _named(
        self, making: _Making, one: CheckServiceNode, datacenter: str, ttl: int, target: Name
    ) -> tuple[list[Record], list[Record]]:
        """An instance with a host name."""
        more = [rr._replace(ttl=ttl) for rr in await self._alias(making, target) if rr.type in _FOREIGN_TYPES]
        if not making.with_edns:
            more = more[:FOREIGN_RECORDS_MAX]
        asked = making.question
        if asked.type == SRV:
            assert one.service is not None
            port = service_port(self._settings, one.service, datacenter)
            return [srv_record(asked.name, ttl, one, port, target)], more
        return [Record(asked.name, CNAME, ttl, (target,)), *more], []

    async def _alias(self, making: _Making, target: Name) -> list[Record]:
        """What a host name stands for, as far as that can be found out."""
        split = self._zone.split(target)
        if split is not None:
            if making.aliases_left < 1:
                _log.error("too many names stand for each other, the last is {name}", name=show_name(target))
                return []
            inner = _Making(
                Question(target, ANY),
                split[1],
                making.lookups,
                [],
                [],
                False,
                making.most,
                making.aliases_left - 1,
            )
            await self._dispatch(inner, parse(split[0], False))
            return inner.answer
        if self._resolve is None:
            return []
        making.lookups.lasting = False
        return [rr for rr in await self._resolve(target) if rr.type in _FOREIGN_TYPES]

    # ---- names of addresses ----

    async def _reverse(self, question: Message, lookups: Lookups) -> Reply:
        asked = question.questions[0]
        message = begin_reply(question)
        message.authoritative = True
        message.recursion_available = self._resolve is not None
        if asked.type == SOA:
            message.authority.append(self._soa(asked.name))
        name = await self._name_of(asked.name, lookups)
        if name is not None:
            message.answer.append(Record(asked.name, PTR, 0, (name,)))
        elif self._resolve is not None:
            return Reply(refusal(question, SERVFAIL, True), forward=True)
        else:
            message.rcode = NXDOMAIN
            message.authority.append(self._soa(asked.name))
        add_edns(question, message)
        return Reply(message)

    async def _name_of(self, name: Name, lookups: Lookups) -> Name | None:
        address = reversed_address(name)
        if address is None:
            return None
        datacenter = self._settings.datacenter
        try:
            node, service = await lookups.names_of(address, datacenter)
            if node:
                return (*make_name(node), b"node", *make_name(datacenter), *self._domain)
            if service:
                return (*make_name(service), b"service", *make_name(datacenter), *self._domain)
        except (TxconsulError, BadName) as error:
            _log.warn("no answer to {name}: {error}", name=show_name(name), error=error)
        return None


def _seconds(text: str) -> int:
    """Whole seconds of a duration; none where it is none, which nobody can store."""
    try:
        return parse_duration(text) // SECOND
    except BadDuration:
        return 0


def _folded(name: Name) -> Name:
    return tuple([label.lower() for label in name])
