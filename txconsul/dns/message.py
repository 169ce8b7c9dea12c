"""
DNS messages: bytes to records and back. Pure.

A name is a tuple of labels (bytes) without the root, so that a dot within a label is no matter. The data of a record is
a tuple of parts: bytes are written as they are, names are written as names, which lets them be compressed.

Source: RFC 1035 sections 3 and 4 (messages, compression), RFC 3596 (AAAA), RFC 2782 (SRV), RFC 6891 (EDNS), RFC 7871
(client subnet).
"""

from __future__ import annotations

from ipaddress import ip_address
from struct import Struct, error, pack
from typing import NamedTuple

import msgspec

from txconsul.errors import PeerMisbehaved

__all__ = [
    "AAAA",
    "ANY",
    "AXFR",
    "CLIENT_SUBNET",
    "CNAME",
    "EDNS",
    "FORMERR",
    "IN",
    "MX",
    "NOERROR",
    "NOTIMP",
    "NS",
    "NXDOMAIN",
    "OPT",
    "PTR",
    "REFUSED",
    "ROOT",
    "SERVFAIL",
    "SOA",
    "SRV",
    "TXT",
    "A",
    "BadName",
    "Malformed",
    "Message",
    "Name",
    "Question",
    "Record",
    "decode",
    "encode",
    "make_name",
    "make_text",
    "read_id",
    "show_name",
]

Name = tuple[bytes, ...]
Part = bytes | Name

ROOT: Name = ()

IN = 1
A, NS, CNAME, SOA, PTR, MX, TXT, AAAA, SRV, OPT, AXFR, ANY = 1, 2, 5, 6, 12, 15, 16, 28, 33, 41, 252, 255
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(6)

#: The EDNS option that tells on whose behalf a resolver asks (RFC 7871).
CLIENT_SUBNET = 8

#: Bytes of a label, and of a whole name with its lengths (RFC 1035 2.3.4).
LABEL_MAX, NAME_MAX = 63, 255
#: Bytes of a character string within TXT (RFC 1035 3.3).
STRING_MAX = 255
#: A pointer has 14 bits.
_POINTER_MAX = 0x3FFF
#: The least that a question and a record take, so that counts can be judged before anything is read.
_QUESTION_MIN, _RECORD_MIN = 5, 11

_HEADER = Struct("!6H")
_TWO = Struct("!HH")
_FIXED = Struct("!HHIH")

_QR, _AA, _TC, _RD, _RA, _CD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080, 0x0010


class Malformed(PeerMisbehaved):
    """The bytes are no DNS message."""


class BadName(ValueError):
    """A text that no DNS name can hold: an empty or long label, or too many of them."""


class Question(NamedTuple):
    """What is asked."""

    name: Name
    type: int
    class_: int = IN


class Record(NamedTuple):
    """
    A resource record.

    @ivar ttl: seconds; of OPT, its flags.
    @ivar class_: of OPT, the size of UDP messages that its sender takes.
    """

    name: Name
    type: int
    ttl: int
    data: tuple[Part, ...]
    class_: int = IN


#: The bytes of an address, by the family's number.
_ADDRESS_BYTES = {b"\0\1": 4, b"\0\2": 16}


class EDNS(NamedTuple):
    """
    What an OPT record says.

    @ivar size: bytes of a UDP message that its sender takes.
    @ivar options: C{(code, data)}.
    """

    size: int
    options: tuple[tuple[int, bytes], ...] = ()

    def subnet(self) -> str:
        """The address of the subnet for which the question is asked (RFC 7871 6); empty where it says none."""
        for code, data in self.options:
            if code == CLIENT_SUBNET:
                size = _ADDRESS_BYTES.get(data[:2], 0)
                return str(ip_address(data[4:].ljust(size, b"\0"))) if 0 < size >= len(data) - 4 else ""
        return ""

    def record(self) -> Record:
        """As the record that is sent."""
        data = b"".join([_TWO.pack(code, len(value)) + value for code, value in self.options])
        return Record(ROOT, OPT, 0, (data,), self.size)


class Message(msgspec.Struct):
    """
    A whole message.

    @ivar opcode: 0 is a query.
    @ivar recursion_desired: copied from question to answer, like C{checking_disabled}.
    """

    id: int = 0
    response: bool = False
    opcode: int = 0
    authoritative: bool = False
    truncated: bool = False
    recursion_desired: bool = False
    recursion_available: bool = False
    checking_disabled: bool = False
    rcode: int = NOERROR
    questions: list[Question] = []
    answer: list[Record] = []
    authority: list[Record] = []
    additional: list[Record] = []

    def edns(self) -> EDNS | None:
        """
        What its OPT record says, or None without one.

        @raise Malformed: the options do not fit into it.
        """
        for record in self.additional:
            if record.type == OPT:
                return EDNS(record.class_, _options(record.data[0]))  # type: ignore[arg-type]
        return None


def _options(data: bytes) -> tuple[tuple[int, bytes], ...]:
    found = []
    at = 0
    while at < len(data):
        if at + 4 > len(data):
            raise Malformed("an EDNS option is cut off")
        code, size = _TWO.unpack_from(data, at)
        at += 4
        if at + size > len(data):
            raise Malformed("an EDNS option is cut off")
        found.append((code, data[at : at + size]))
        at += size
    return tuple(found)


# ---- names ----


def make_name(text: str) -> Name:
    """
    A name from dotted text, with or without a dot at its end.

    @raise BadName: it cannot be one.
    """
    text = text.removesuffix(".")
    if not text:
        return ROOT
    labels = tuple(text.encode("utf-8", "surrogateescape").split(b"."))
    if not all(1 <= len(label) <= LABEL_MAX for label in labels) or sum(map(len, labels)) + len(labels) + 1 > NAME_MAX:
        raise BadName(text)
    return labels


def show_name(name: Name) -> str:
    """A name as text for people, with a dot at its end."""
    return ".".join([label.decode("utf-8", "backslashreplace") for label in name]) + "."


def make_text(text: bytes) -> bytes:
    """The data of a TXT record: one character string, or several if it is long."""
    pieces = [text[at : at + STRING_MAX] for at in range(0, len(text), STRING_MAX)] or [b""]
    return b"".join([bytes((len(piece),)) + piece for piece in pieces])


# ---- reading ----


def read_id(packet: bytes) -> int | None:
    """The id of what may not be a message otherwise, so that it can be refused; None if it is too short for one."""
    return int.from_bytes(packet[:2], "big") if len(packet) >= _HEADER.size else None


def decode(packet: bytes) -> Message:
    """
    A message from its bytes. The time that it takes is bounded by their number.

    @raise Malformed: they are none.
    """
    try:
        return _decode(packet)
    except (error, IndexError) as reason:
        raise Malformed("the message is cut off") from reason


def _decode(packet: bytes) -> Message:
    id, flags, *counts = _HEADER.unpack_from(packet)
    if counts[0] * _QUESTION_MIN + sum(counts[1:]) * _RECORD_MIN > len(packet) - _HEADER.size:
        raise Malformed("the message is too short for what it says to hold")
    at = _HEADER.size
    questions = []
    for _ in range(counts[0]):
        name, at = _read_name(packet, at)
        kind, class_ = _TWO.unpack_from(packet, at)
        at += 4
        questions.append(Question(name, kind, class_))
    sections: list[list[Record]] = []
    for count in counts[1:]:
        records: list[Record] = []
        for _ in range(count):
            record, at = _read_record(packet, at)
            records.append(record)
        sections.append(records)
    return Message(
        id=id,
        response=bool(flags & _QR),
        opcode=flags >> 11 & 15,
        authoritative=bool(flags & _AA),
        truncated=bool(flags & _TC),
        recursion_desired=bool(flags & _RD),
        recursion_available=bool(flags & _RA),
        checking_disabled=bool(flags & _CD),
        rcode=flags & 15,
        questions=questions,
        answer=sections[0],
        authority=sections[1],
        additional=sections[2],
    )


def _read_name(packet: bytes, at: int) -> tuple[Name, int]:
    """
    The name that begins here, and where it ends. A pointer must lead back before everything that was read of this name,
    so that no loop is possible.
    """
    labels: list[bytes] = []
    size = 1
    end = 0
    low = at
    while True:
        length = packet[at]
        if length > LABEL_MAX:
            if length < 0xC0:
                raise Malformed("a label of an unknown kind")
            target = (length & 0x3F) << 8 | packet[at + 1]
            end = end or at + 2
            if target >= low:
                raise Malformed("a name's pointer does not lead back")
            at = low = target
            continue
        at += 1
        if not length:
            return tuple(labels), end or at
        size += length + 1
        if size > NAME_MAX:
            raise Malformed("a name is too long")
        label = packet[at : at + length]
        if len(label) < length:
            raise Malformed("a name is cut off")
        labels.append(label)
        at += length


#: Records with names in them: how many bytes before the names, how many names, how many bytes after.
_WITH_NAMES = {NS: (0, 1, 0), CNAME: (0, 1, 0), PTR: (0, 1, 0), MX: (2, 1, 0), SRV: (6, 1, 0), SOA: (0, 2, 20)}


def _read_record(packet: bytes, at: int) -> tuple[Record, int]:
    name, at = _read_name(packet, at)
    kind, class_, ttl, size = _FIXED.unpack_from(packet, at)
    at += _FIXED.size
    end = at + size
    if end > len(packet):
        raise Malformed("a record is cut off")
    shape = _WITH_NAMES.get(kind)
    if shape is None:
        return Record(name, kind, ttl, (packet[at:end],), class_), end
    before, names, after = shape
    parts: list[Part] = [packet[at : at + before]] if before else []
    at += before
    for _ in range(names):
        inner, at = _read_name(packet, at)
        parts.append(inner)
    if after:
        parts.append(packet[at : at + after])
        at += after
    if at != end:
        raise Malformed("a record is longer or shorter than it says")
    return Record(name, kind, ttl, tuple(parts), class_), end


# ---- writing ----


def encode(message: Message, compress: bool = True) -> bytes:
    """
    A message as bytes, of whatever length.

    @param compress: write a name that was written before as a pointer.
    """
    flags = (
        (_QR if message.response else 0)
        | message.opcode << 11
        | (_AA if message.authoritative else 0)
        | (_TC if message.truncated else 0)
        | (_RD if message.recursion_desired else 0)
        | (_RA if message.recursion_available else 0)
        | (_CD if message.checking_disabled else 0)
        | message.rcode
    )
    sections = (message.answer, message.authority, message.additional)
    out = bytearray(_HEADER.pack(message.id, flags, len(message.questions), *map(len, sections)))
    places: dict[Name, int] | None = {} if compress else None
    for name, kind, class_ in message.questions:
        _write_name(out, name, places, True)
        out += _TWO.pack(kind, class_)
    for section in sections:
        for record in section:
            _write_record(out, record, places)
    return bytes(out)


def _write_record(out: bytearray, record: Record, places: dict[Name, int] | None) -> None:
    _write_name(out, record.name, places, True)
    start = len(out) + _FIXED.size
    out += _FIXED.pack(record.type, record.class_, record.ttl, 0)
    for part in record.data:
        if type(part) is tuple:
            # RFC 2782 forbids a compressed target; others may point to it all the same.
            _write_name(out, part, places, record.type != SRV)
        else:
            out += part  # type: ignore[arg-type]
    out[start - 2 : start] = pack("!H", len(out) - start)


def _write_name(out: bytearray, name: Name, places: dict[Name, int] | None, compress: bool) -> None:
    if places is None:
        for label in name:
            out.append(len(label))
            out += label
        out.append(0)
        return
    for number in range(len(name)):
        rest = name[number:] if number else name
        place = places.get(rest)
        if place is None:
            if len(out) <= _POINTER_MAX:
                places[rest] = len(out)
        elif compress:
            out += pack("!H", 0xC000 | place)
            return
        label = name[number]
        out.append(len(label))
        out += label
    out.append(0)
