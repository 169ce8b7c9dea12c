"""
What a node remembers of its pool over a restart: who was there, and the clocks, as lines of Serf's snapshot file.

The file is appended to, and now and then rewritten (compacted): L{Snapshot} says with what; whoever drives it does the
writing. Lines are C{alive: NAME ADDR:PORT}, C{not-alive: NAME}, C{clock: N}, C{event-clock: N}, C{query-clock: N},
C{leave}, C{coordinate: JSON} (of old versions; ignored) and C{#} comments.

Source: the wire documents, GOSSIP section 5 (snapshot file).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_address

from txconsul.serf.lamport import LTIME_MAX
from txconsul.serf.members import Member
from txconsul.serf.outputs import EventKind, MemberEvent, UserEventCame
from txconsul.swim.members import Address

__all__ = ["COMPACT_MIN_BYTES", "LINE_BYTES_MAX", "Snapshot"]

#: A file that is smaller is not worth rewriting.
COMPACT_MIN_BYTES = 128 * 1024
#: What a member's line is taken to have; the file may have twice as much for each.
_MEMBER_BYTES = 128
#: No line that is meant has more: a name comes in a packet's message, of at most 64 KiB.
LINE_BYTES_MAX = 128 * 1024
#: So many problems are told of one by one; a file of rubbish has one a line.
_PROBLEMS_MAX = 10
#: So much of a line that is not understood is shown.
_SHOWN_BYTES = 80

_ALIVE, _NOT_ALIVE = b"alive: ", b"not-alive: "
_CLOCK, _EVENT_CLOCK, _QUERY_CLOCK = b"clock: ", b"event-clock: ", b"query-clock: "
_CLOCKS = (_CLOCK, _EVENT_CLOCK, _QUERY_CLOCK)
_LEAVE = b"leave"
_IGNORED = (b"#", b"coordinate: ")


class Snapshot:
    """
    The state that the file's lines add up to.

    Every method that returns bytes returns the lines that are to be appended, in order.
    """

    def __init__(self, *, rejoin_after_leave: bool = False, compact_min: int = COMPACT_MIN_BYTES) -> None:
        """
        @param rejoin_after_leave: a node that left comes back to its pool when it starts again.
        @param compact_min: bytes, as C{COMPACT_MIN_BYTES}.
        """
        self._rejoins = rejoin_after_leave
        self._compact_min = compact_min
        self._members: dict[str, Address] = {}
        self._times = dict.fromkeys(_CLOCKS, 0)
        self._size = 0
        self._compacted_size = 0
        self._damaged = False
        self._left = False

    @property
    def members(self) -> Mapping[str, Address]:
        """Who is alive, this node perhaps included, and where."""
        return self._members

    @property
    def clocks(self) -> tuple[int, int, int]:
        """The last times that were seen: of members, events and queries."""
        return self._times[_CLOCK], self._times[_EVENT_CLOCK], self._times[_QUERY_CLOCK]

    # ---- reading ----

    def replay(self, lines: Iterable[bytes]) -> list[str]:
        """
        Remember what a file says. A line that is not understood is skipped: the rest is better than nothing.

        @param lines: with their newlines, in pieces of at most C{LINE_BYTES_MAX} bytes. What has no newline was not
            written to its end, or is longer than any line: it does not count.
        @return: what was skipped, for an operator.
        """
        problems: list[str] = []
        skipped = 0
        in_piece = False
        for number, line in enumerate(lines, 1):
            self._size += len(line)
            continued, in_piece = in_piece, not line.endswith(b"\n")
            if continued:
                continue
            problem = "it does not end" if in_piece else self._replay(line[:-1])
            if problem:
                skipped += 1
                if skipped <= _PROBLEMS_MAX:
                    shown = line[:_SHOWN_BYTES].decode("utf-8", "backslashreplace").rstrip("\n")
                    problems.append(f"line {number} is skipped: {problem}: {shown!r}")
        if skipped > _PROBLEMS_MAX:
            problems.append(f"{skipped - _PROBLEMS_MAX} more lines are skipped")
        self._damaged = skipped > 0
        return problems

    def _replay(self, line: bytes) -> str:
        """@return: why the line is not understood; empty if it is."""
        if line.startswith(_ALIVE):
            name, space, place = line[len(_ALIVE) :].rpartition(b" ")
            address = _read_address(place)
            if not space or address is None:
                return "it has no address"
            self._members[_text(name)] = address
        elif line.startswith(_NOT_ALIVE):
            self._members.pop(_text(line[len(_NOT_ALIVE) :]), None)
        elif line.startswith(_CLOCKS):
            name, _, digits = line.partition(b" ")
            time = _read_time(digits)
            if time is None:
                return "it has no time"
            self._times[name + b" "] = time
        elif line == _LEAVE:
            if not self._rejoins:
                self._members.clear()
                self._times = dict.fromkeys(_CLOCKS, 0)
        elif not line.startswith(_IGNORED):
            return "it is not known"
        return ""

    # ---- writing ----

    def hear(self, event: MemberEvent | UserEventCame) -> bytes:
        """
        Something happened in the pool. After L{leave} nothing is remembered.

        A member whose name has a newline would be read as lines of its own: it is not remembered.
        """
        if self._left:
            return b""
        if isinstance(event, UserEventCame):
            return self._grown(self._passed(_EVENT_CLOCK, event.l_time))
        name, known = event.member.name, self._members.get(event.member.name)
        here = event.kind is EventKind.JOIN or (event.kind is EventKind.UPDATE and known is not None)
        if here and _can_be_written(event.member):
            address = _address(event.member)
            if address == known:
                return b""
            self._members[name] = address
            return self._grown(_alive(name, address))
        if known is None or event.kind is EventKind.UPDATE:
            return b""
        del self._members[name]
        return self._grown(_NOT_ALIVE + _bytes(name) + b"\n")

    def tick(self, l_time: int, query_l_time: int) -> bytes:
        """The clocks went on. @param l_time: the last time seen by the clock of members; the other of queries."""
        if self._left:
            return b""
        return self._grown(self._passed(_CLOCK, l_time) + self._passed(_QUERY_CLOCK, query_l_time))

    def leave(self) -> bytes:
        """This node leaves, and does not mean to come back, unless it rejoins after leaving."""
        if self._left:
            return b""
        self._left = True
        if not self._rejoins:
            self._members.clear()
        return self._grown(_LEAVE + b"\n")

    def _passed(self, clock: bytes, time: int) -> bytes:
        if not self._times[clock] < time < LTIME_MAX:
            return b""
        self._times[clock] = time
        return b"%s%d\n" % (clock, time)

    def _grown(self, lines: bytes) -> bytes:
        self._size += len(lines)
        return lines

    # ---- compacting ----

    @property
    def is_due(self) -> bool:
        """Whether the file is to be replaced by L{contents}: it is too large, or what was read of it is damaged."""
        most = max(self._compact_min, 2 * _MEMBER_BYTES * len(self._members), 2 * self._compacted_size)
        return self._damaged or self._size > most

    def contents(self) -> bytes:
        """The whole file, as short as it can be; from now on it is what the file has."""
        lines = [_alive(name, address) for name, address in self._members.items()]
        lines += [b"%s%d\n" % (clock, time) for clock, time in self._times.items()]
        if self._left:
            lines.append(_LEAVE + b"\n")
        whole = b"".join(lines)
        self._size = self._compacted_size = len(whole)
        self._damaged = False
        return whole


def _alive(name: str, address: Address) -> bytes:
    """A member's line."""
    addr, port = address
    host = ip_address(addr)
    quoted = f"[{host}]" if host.version == 6 else str(host)
    return b"%s%s %s:%d\n" % (_ALIVE, _bytes(name), quoted.encode(), port)


def _can_be_written(member: Member) -> bool:
    """Whether a line can hold this member."""
    return "\n" not in member.name and len(member.addr) in (4, 16)


def _address(member: Member) -> Address:
    """Where a member is; IPv4 within IPv6 as IPv4, as Go writes it."""
    host = ip_address(member.addr)
    mapped = getattr(host, "ipv4_mapped", None)
    return (mapped or host).packed, member.port


def _read_address(text: bytes) -> Address | None:
    host, _, port = text.rpartition(b":")
    if host[:1] == b"[" and host[-1:] == b"]":
        host = host[1:-1]
    if not port.isdigit() or len(port) > 5 or int(port) >= 1 << 16:
        return None
    try:
        address = ip_address(host.decode("ascii").partition("%")[0])
    except ValueError:
        return None
    return address.packed, int(port)


def _read_time(digits: bytes) -> int | None:
    """A time; the last one there is would make the node deaf to all that follow."""
    if not digits.isdigit() or len(digits) > len(str(LTIME_MAX)):
        return None
    time = int(digits)
    return time if time < LTIME_MAX else None


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
