"""
Answers made to fit: into UDP, with or without EDNS, and into TCP's 64 KiB.

Source: Consul's page on DNS, on C{udp_answer_limit} and C{enable_truncate}; RFC 1035 4.2.1 and RFC 6891 6.2.5 on sizes.
Consul measures a small UDP answer without compression, so that it fits whoever unpacks it, and leaves room for UDP's
own 8 bytes. Where it cuts answers, additional records are only the first one for each target of an SRV record, and it
loses the OPT record; here that is left out only where an answer would have to go for it.
"""

from __future__ import annotations

from txconsul.dns.message import CNAME, OPT, SRV, Message, Name, Record, encode

__all__ = ["SMALL_UDP_BYTES", "answers_worth_making", "encode_for_tcp", "encode_for_udp"]

#: What UDP carries without EDNS.
SMALL_UDP_BYTES = 512
#: What UDP can carry at all, less the headers of IP and UDP.
UDP_BYTES_MAX = 65535 - 68
#: The length before a message in TCP has 16 bits; Consul leaves 12 bytes of room.
TCP_BYTES_MAX = 65523
#: Whatever C{udp_answer_limit} says, a small UDP answer has no more records than this.
SMALL_UDP_ANSWERS_MAX = 8
#: More records, or SRV records, never fit into 64 KiB.
TCP_ANSWERS_MAX, TCP_SRV_ANSWERS_MAX = 4096, 1024
_UDP_HEADER = 8
#: An OPT record without options.
_OPT_BYTES = 11
#: The least that a record with an address takes: a pointer, type, class, TTL, length, four bytes.
_RECORD_BYTES_MIN = 16


def udp_size(size: int | None) -> int:
    """
    The most bytes that a UDP answer may have.

    @param size: as EDNS says it; None without it.
    """
    return min(max(size or 0, SMALL_UDP_BYTES), UDP_BYTES_MAX)


def answers_worth_making(udp: bool, size: int | None) -> int:
    """How many answers to make: one more than could be sent."""
    return 1 + (udp_size(size) // _RECORD_BYTES_MIN if udp else TCP_ANSWERS_MAX)


class _Trimmer:
    """A message whose answers are cut until it fits."""

    def __init__(self, message: Message, compress: bool) -> None:
        self._message = message
        self._compress = compress
        self._all = message.answer
        self._opt = [one for one in message.additional if one.type == OPT]
        self._glue: dict[Name, Record] = {}
        for one in message.additional:
            if one.type != OPT:
                self._glue.setdefault(_lower(one.name), one)

    def keep(self, count: int) -> None:
        """Have so many answers, with what belongs to them."""
        message = self._message
        message.answer = self._all[:count]
        message.additional = self._needed() + self._opt

    def _needed(self) -> list[Record]:
        found: list[Record] = []
        seen: set[Name] = set()
        for one in self._message.answer:
            if one.type != SRV:
                continue
            target: Name = _lower(one.data[1])  # type: ignore[arg-type]
            while target not in seen:
                seen.add(target)
                glue = self._glue.get(target)
                if glue is not None:
                    found.append(glue)
                    if glue.type == CNAME:
                        target = _lower(glue.data[0])  # type: ignore[arg-type]
        return found

    def fit(self, size: int, bytes_max: int) -> None:
        """
        Keep as many answers as fit, but one at least.

        @param size: bytes without the OPT record.
        @param bytes_max: with it; otherwise it goes.
        """
        opt_bytes = sum([_OPT_BYTES + len(one.data[0]) for one in self._opt])
        low, high = 1, len(self._message.answer)
        while low < high:
            middle = (low + high + 1) // 2
            self.keep(middle)
            if self._size() - opt_bytes <= size:
                low = middle
            else:
                high = middle - 1
        self.keep(low)
        if self._size() > bytes_max:
            self._opt = []
            self.keep(low)

    def _size(self) -> int:
        return len(encode(self._message, self._compress))


def _lower(name: Name) -> Name:
    return tuple([label.lower() for label in name])


def encode_for_udp(message: Message, compress: bool, size: int | None, answer_limit: int, truncate: bool) -> bytes:
    """
    The bytes of an answer in UDP.

    @param message: the whole answer; it is changed.
    @param size: as the question's EDNS says it; None without it.
    @param answer_limit: the most records in a small answer.
    @param truncate: say in the message that something was left out.
    """
    bytes_max = udp_size(size)
    measured = compress
    count = len(message.answer)
    limit = min(SMALL_UDP_ANSWERS_MAX, answer_limit)
    trimmer = _Trimmer(message, compress)
    if bytes_max == SMALL_UDP_BYTES and count > limit:
        trimmer.keep(limit)
        measured = False
    encoded = encode(message, measured)
    room = bytes_max - _UDP_HEADER
    if len(message.answer) > 1 and len(encoded) > room:
        message.authority = []
        trimmer = _Trimmer(message, measured)
        trimmer.fit(room, bytes_max)
        encoded = encode(message, measured)
    message.truncated = truncate and len(message.answer) < count
    if measured is not compress or message.truncated:
        encoded = encode(message, compress)
    return encoded if len(encoded) <= bytes_max else _forced(message, compress, bytes_max)


def encode_for_tcp(message: Message, compress: bool, truncate: bool) -> bytes:
    """The bytes of an answer in TCP, without the length before them; see L{encode_for_udp}."""
    count = len(message.answer)
    most = TCP_SRV_ANSWERS_MAX if message.questions and message.questions[0].type == SRV else TCP_ANSWERS_MAX
    del message.answer[most:]
    encoded = encode(message, compress)
    if len(message.answer) > 1 and len(encoded) > TCP_BYTES_MAX:
        message.authority = []
        _Trimmer(message, compress).fit(TCP_BYTES_MAX, TCP_BYTES_MAX)
        message.truncated = truncate and len(message.answer) < count
        encoded = encode(message, compress)
    return encoded if len(encoded) <= TCP_BYTES_MAX else _forced(message, compress, TCP_BYTES_MAX)


def _forced(message: Message, compress: bool, bytes_max: int) -> bytes:
    """
    One answer that is too long with all that goes with it: additional records may be left out, then all may, which the
    message says.
    """
    opt = [one for one in message.additional if one.type == OPT]
    others = [one for one in message.additional if one.type != OPT]
    while others:
        others = others[: len(others) // 2]
        message.additional = others + opt
        encoded = encode(message, compress)
        if len(encoded) <= bytes_max:
            return encoded
    message.answer, message.authority, message.truncated = [], [], True
    return encode(message, compress)
