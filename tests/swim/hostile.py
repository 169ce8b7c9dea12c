"""
Packets and streams of a hostile member: valid ones, with mistakes in their fields, lengths and layers, sealed again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import msgpack

from txconsul.codec import gomsgpack
from txconsul.serf import keyquery
from txconsul.serf import messages as serf
from txconsul.serf.messages import write, write_relay
from txconsul.serf.tags import write_tags
from txconsul.swim import lzw
from txconsul.swim.keyring import Keyring
from txconsul.swim.messages import (
    Ack,
    Alive,
    Dead,
    ErrorMessage,
    IndirectPing,
    Kind,
    Nack,
    NodeState,
    Ping,
    PushPullHeader,
    Suspect,
    UserHeader,
    write_message,
)
from txconsul.swim.packet import Compressed, Wrapping, compound, compressed, with_checksum, with_label

__all__ = ["PEERS", "TARGET", "Attacker"]

TARGET = "target"
PEERS = tuple(f"peer-{number}" for number in range(8))
VSN = bytes.fromhex("010502020504")
#: Numbers at which something ends.
NUMBERS = (0, 1, 2, 3, 127, 255, 256, 65535, 65536, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1, -1, -(2**63))
VALUES: tuple[Any, ...] = (None, b"", b"\0", b"x" * 600, b"\xff\xfe", True, 1.5, float("nan"), [], {}, [[]], {b"a": 1})
#: A megabyte and more of one byte, in a packet: what is within a layer of compression may have as much as it likes.
_BOMBS = tuple(lzw.compress(bytes(size)) for size in (1 << 16, 1 << 20, 3 << 20))
_SQUEEZED = 1500

_packer = msgpack.Packer(use_bin_type=False, autoreset=True)


class Attacker:
    """
    Makes what is sent. It knows the pool's label and keys, and so gets as far in as anybody.

    @ivar asked: numbers of pings that the target has sent: answers to them are looked for.
    @ivar queries: what the target has asked all: the same.
    """

    def __init__(
        self, random: Random, label: bytes, keys: Sequence[bytes], times: Callable[[], tuple[int, int, int]]
    ) -> None:
        """@param times: where the target's clocks of members, events and queries are."""
        self.asked: deque[int] = deque([1], 16)
        self.queries: deque[serf.Query] = deque(maxlen=4)
        self._random = random
        self._label = label
        self._wrapping = Wrapping(label, Keyring(keys) if keys else None, entropy=random.randbytes)
        self._stranger = Wrapping(label, Keyring([random.randbytes(16)]), entropy=random.randbytes)
        self._sent: deque[bytes] = deque([b""], 64)
        self._times = times

    # ---- whole packets and streams ----

    def packet(self) -> bytes:
        """A packet."""
        random = self._random
        chance = random.random()
        if chance < 0.03:
            return random.choice(self._sent)  # a replay
        if chance < 0.05:
            return random.randbytes(random.choice((0, 1, 2, 40, 1400)))
        data = self._layers(self._message(), 0)
        if random.random() < 0.4:
            data = with_checksum(data)
            if random.random() < 0.05:
                data = data[:1] + random.randbytes(4) + data[5:]
        packet = self._sealed(data, self._label)
        if random.random() < 0.05:
            packet = self._mangled(packet)
        self._sent.append(packet)
        return packet

    def stream(self) -> bytes:
        """What is said on one stream."""
        random = self._random
        data = self._request()
        if random.random() < 0.3:
            data = self._squeezed(data)
        if random.random() < 0.1:
            data = self._mangled(data)
        wrapping = self._stranger if random.random() < 0.03 else self._wrapping
        if wrapping.keyring is not None and random.random() < 0.97:
            size = wrapping.sealed_bytes(len(data))
            if random.random() < 0.05:
                size = random.choice((0, 1, size - 1, size + 1, 20 << 20, (20 << 20) + 1, 2**32 - 1))
            head = bytes([Kind.ENCRYPT]) + size.to_bytes(4, "big")
            data = head + wrapping.encrypt(data, head + self._label)
        data = with_label(self._label, data)
        return self._mangled(data) if random.random() < 0.05 else data

    def _sealed(self, data: bytes, label: bytes) -> bytes:
        random = self._random
        wrapping = self._stranger if random.random() < 0.03 else self._wrapping
        if wrapping.keyring is not None and random.random() < 0.98:
            data = wrapping.encrypt(data, label)
        if random.random() < 0.03:
            label = random.choice((b"", b"other", b"x" * 255))
        return with_label(label, data)

    # ---- layers ----

    def _layers(self, data: bytes, depth: int) -> bytes:
        """Compression and compounds around a message, deeper than anybody writes them now and then."""
        random = self._random
        while random.random() < (0.35 if depth < 12 else 0.0):
            data = self._squeezed(data) if random.random() < 0.4 else self._compound(data)
            depth += 1
            if len(data) > 40_000:
                break
        return data

    def _squeezed(self, data: bytes) -> bytes:
        random = self._random
        chance = random.random()
        if len(data) > _SQUEEZED and chance < 0.95:
            return data  # compressing would take most of the time
        if chance < 0.9:
            return compressed(data)
        if chance < 0.93:
            return bytes([Kind.COMPRESS]) + gomsgpack.encode(Compressed(buf=random.choice(_BOMBS)))
        if chance < 0.96:
            return bytes([Kind.COMPRESS]) + gomsgpack.encode(Compressed(buf=self._mangled(lzw.compress(data))))
        return self._edited(compressed(data))

    def _compound(self, data: bytes) -> bytes:
        random = self._random
        count = random.choice((0, 1, 2, 3, 254)) if random.random() < 0.2 else random.randrange(3)
        if count == 254:
            parts = [data[:65535]] if len(data) > 100 else [data] * 200
            return compound(parts + [bytes([Kind.COMPOUND, 0])] * (255 - len(parts)))
        whole = compound([data[:65535], *[self._message()[:65535] for _ in range(count)]])
        if random.random() < 0.15:  # lying lengths
            at = random.randrange(1, 4)
            whole = whole[:at] + bytes([random.choice((0, 1, 255, random.randrange(256)))]) + whole[at + 1 :]
        return whole

    def _mangled(self, packet: bytes) -> bytes:
        """Some bytes changed, taken away or put in."""
        random, data = self._random, bytearray(packet)
        for _ in range(random.choice((1, 1, 2, 5))):
            at = random.randrange(len(data) + 1)
            kind = random.randrange(4)
            if kind < 2 and at < len(data):
                data[at] = random.choice((0, 1, 0x80, 0xFF, data[at] ^ 1 << random.randrange(8)))
            elif kind == 2:
                del data[at : at + random.choice((1, 2, 9, 1000))]
            else:
                data[at:at] = random.randbytes(random.randrange(1, 9))
        return bytes(data)

    def _edited(self, message: bytes) -> bytes:
        """A field of another value, another type, another name; or one less, or one more."""
        random = self._random
        try:
            fields, rest = gomsgpack.unpack_first(message[1:])
        except gomsgpack.BadMessage:
            return message
        if not isinstance(fields, dict) or not fields:
            return message
        name = random.choice(list(fields))
        kind = random.randrange(10)
        if kind == 0:
            del fields[name]
        elif kind == 1:
            fields[random.choice((b"Node", b"x" * 300, 7, b""))] = fields.pop(name)
        elif kind == 2 and isinstance(fields[name], bytes):
            fields[name] = self._mangled(fields[name])
        elif kind == 3 and isinstance(fields[name], bytes):
            fields[name] = random.choice((fields[name] * 40, fields[name][:-1], fields[name] + b"\xff"))
        elif kind < 7:
            fields[name] = random.choice(NUMBERS)
        else:
            fields[name] = random.choice(VALUES)
        data = message[:1] + bytes(_packer.pack(fields)) + rest
        return data if random.random() < 0.9 else self._lying(data)

    def _lying(self, message: bytes) -> bytes:
        """A length within a message says what is not so."""
        random = self._random
        lie = random.choice((b"\xdb\xff\xff\xff\xff", b"\xdd\x7f\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\x91" * 2000))
        at = random.randrange(1, len(message) + 1)
        return message[:at] + lie + message[at:]

    # ---- messages ----

    def _message(self) -> bytes:
        random = self._random
        make: Callable[[], bytes] = random.choice(self._KINDS).__get__(self)
        message = make()
        chance = random.random()
        if chance < 0.2:
            return self._edited(message)
        return self._mangled(message) if chance < 0.25 else message

    def _name(self) -> str:
        random = self._random
        chance = random.random()
        if chance < 0.8:
            return random.choice((TARGET, *PEERS))
        if chance < 0.98:
            return f"made-up-{random.randrange(1 << 20)}"
        return random.choice(("", "\udcff\udcfe", "x" * 512, "x" * 513, "\N{SNOWMAN}" * 300))

    def _number(self) -> int:
        random = self._random
        return random.choice((0, 2**32 - 1, 2**31)) if random.random() < 0.02 else random.randrange(200)

    def _when(self, clock: int = 0) -> int:
        """A Lamport time; mostly one that goes on."""
        random = self._random
        chance = random.random()
        if chance < 0.001:
            return random.choice((0, 2**63, 2**64 - 1))
        time = self._times()[clock] + random.randrange(2) - random.randrange(40) * (chance > 0.8)
        return min(max(0, time), 2**64 - 1)

    def _address(self) -> bytes:
        random = self._random
        if random.random() < 0.9:
            return bytes([10, 0, 0, random.randrange(10)])
        return random.choice(
            (bytes(4), b"\xff" * 4, random.randbytes(16), bytes(10) + b"\xff\xff\x0a\0\0\1", b"", b"123")
        )

    def _ping(self) -> bytes:
        return write_message(Ping(node=self._name(), seq_no=self._number(), source_addr=self._address()))

    def _indirect(self) -> bytes:
        return write_message(
            IndirectPing(
                nack=self._random.random() < 0.5,
                node=self._name(),
                port=self._number(),
                seq_no=self._number(),
                target=self._address(),
            )
        )

    def ack(self, number: int) -> bytes:
        """An answer to a ping, with a coordinate that may be one."""
        random = self._random
        position = {b"Adjustment": 0.0, b"Error": random.choice((1.5, 0.0, -1.0, float("inf")))}
        position |= {b"Height": 1e-5, b"Vec": [random.gauss(0, 1e-2) for _ in range(random.choice((8, 8, 8, 0, 9)))]}
        payload = b"\x01" + bytes(_packer.pack(position))
        if random.random() < 0.3:
            payload = self._edited(payload)
        return write_message(Ack(payload=payload, seq_no=number))

    def _ack(self) -> bytes:
        return self.ack(self._random.choice(self.asked))

    def _nack(self) -> bytes:
        return write_message(Nack(seq_no=self._random.choice(self.asked)))

    def _suspect(self) -> bytes:
        return write_message(Suspect(from_=self._name(), incarnation=self._number(), node=self._name()))

    def _dead(self) -> bytes:
        name = self._name()
        from_ = name if self._random.random() < 0.3 else self._name()
        return write_message(Dead(from_=from_, incarnation=self._number(), node=name))

    def _meta(self) -> bytes:
        random = self._random
        meta = write_tags(
            {"role": "web", "rc_tm": random.choice(("1s", "9999h", "x", "")), "a": "b" * random.randrange(90)}
        )
        return self._mangled(meta) if random.random() < 0.2 else meta

    def _vsn(self) -> bytes:
        random = self._random
        return VSN if random.random() < 0.8 else random.choice((b"", b"\1", b"\1\5\2", random.randbytes(6), b"\1" * 7))

    def _alive(self) -> bytes:
        said = Alive(
            addr=self._address(),
            incarnation=self._number(),
            meta=self._meta(),
            node=self._name(),
            port=self._number(),
            vsn=self._vsn(),
        )
        return write_message(said)

    def _error(self) -> bytes:
        return write_message(ErrorMessage(error="made up"))

    def _unknown(self) -> bytes:
        return bytes([self._random.randrange(256)]) + gomsgpack.pack({"Node": TARGET})

    def _serf(self) -> bytes:
        raw = self._serf_message()
        if self._random.random() < 0.2:
            raw = self._edited(raw)
        return bytes([Kind.USER]) + raw

    def _serf_message(self, depth: int = 0) -> bytes:
        random = self._random
        kind = random.randrange(10)
        if kind == 0:
            return write(serf.LeaveIntent(l_time=self._when(), node=self._name(), prune=random.random() < 0.2))
        if kind == 1:
            return write(serf.JoinIntent(l_time=self._when(), node=self._name()))
        if kind == 2:
            payload = random.randbytes(random.choice((0, 5, 500, 9000)))
            return write(serf.UserEvent(l_time=self._when(1), name=random.choice(("deploy", "")), payload=payload))
        if kind < 6:
            return write(self._query())
        if kind == 6:
            return write(self._response())
        if kind == 7:
            return write(serf.ConflictResponse(addr=self._address(), name=self._name()))
        if kind == 8 and not depth:
            to = serf.Destination(ip=self._address(), port=random.choice((7946, 0, 65535, 65536, -1)))
            return write_relay(serf.RelayHeader(dest_addr=to, dest_name=self._name()), self._serf_message(1))
        return self._state()

    def _query(self) -> serf.Query:
        random = self._random
        names = (
            keyquery.INSTALL,
            keyquery.USE,
            keyquery.REMOVE,
            keyquery.LIST,
            "_serf_conflict",
            "_serf_ping",
            "_serf_x",
        )
        name = random.choice((*names, "who", "who"))
        payload = self._name().encode("utf-8", "surrogateescape")
        if name in names[:3]:
            payload = write(serf.KeyRequest(key=random.randbytes(random.choice((15, 16, 24, 32)))))
        pattern = random.choice(("web", ".*", "(", "(a*)*b", "(a{1,1000}){1,1000}"))
        filters = (b"\0" + gomsgpack.pack([self._name()]), b"\1" + gomsgpack.pack({"Expr": pattern, "Tag": "role"}))
        return serf.Query(
            addr=self._address(),
            filters=random.choice((None, None, filters[:1], filters[1:], filters, (b"",), (b"\2",))),
            flags=random.randrange(4),
            id=random.getrandbits(31),
            l_time=self._when(2),
            name=name,
            payload=payload,
            port=random.choice((7946, 0, 65535)),
            relay_factor=random.choice((0, 0, 1, 3, 255)),
            source_node=self._name(),
            timeout=random.choice((0, 10**9, 2**63 - 1)),
        )

    def _response(self) -> serf.QueryResponse:
        """An answer to what the target has asked, or to what it has not."""
        random = self._random
        id, l_time, name = self._number(), self._when(2), random.choice(("_serf_conflict", keyquery.LIST))
        if self.queries and random.random() < 0.8:
            query = random.choice(self.queries)
            id, l_time, name = query.id, query.l_time, query.name
        answers = (
            serf.ConflictResponse(addr=self._address(), name=TARGET, port=7946, tags={"role": "web"}),
            serf.KeyResponse(keys=("a2V5",) * random.randrange(3), primary_key="a2V5", result=True),
            serf.KeyResponse(message=self._name(), result=random.random() < 0.5),
        )
        fitting = answers[:1] if name == "_serf_conflict" else answers[1:]
        payload = write(random.choice(fitting if random.random() < 0.8 else answers))
        chance = random.random()
        if chance < 0.3:
            payload = self._edited(payload)
        elif chance < 0.4:
            payload = self._mangled(payload)
        flags = random.choice((0, 0, 0, 1, 2))
        return serf.QueryResponse(flags=flags, from_=self._name(), id=id, l_time=l_time, payload=payload)

    def _state(self) -> bytes:
        """Serf's part of an exchange of states."""
        random = self._random
        entries = (serf.UserEventsEntry(name="deploy", payload=random.randbytes(20)),)
        slots = [None, serf.UserEvents(events=entries, l_time=self._when(1)), serf.UserEvents(l_time=self._when(1))]
        times = {self._name(): self._when() for _ in range(3)}
        state = serf.PushPullState(
            event_l_time=self._when(1),
            events=tuple(random.choice(slots) for _ in range(4)),
            l_time=self._when(),
            left_members=(self._name(),),
            query_l_time=self._when(2),
            status_l_times=times,
        )
        raw = write(state)
        return self._edited(raw) if random.random() < 0.3 else raw

    def _request(self) -> bytes:
        """What a stream says, without its layers."""
        random = self._random
        kind = random.randrange(8)
        if kind == 0:
            return self._message()
        if kind == 1:
            raw = self._serf_message()
            size = len(raw) if random.random() < 0.7 else random.choice(NUMBERS[:-5])
            return bytes([Kind.USER]) + gomsgpack.encode(UserHeader(user_msg_len=size)) + raw
        if kind == 2:
            return random.choice((self._ping(), self._ack(), self._error()))
        nodes, state = [self._node() for _ in range(random.randrange(6))], self._state()
        count = len(nodes) if random.random() < 0.9 else random.choice(NUMBERS[:-5])
        size = len(state) if random.random() < 0.9 else random.choice(NUMBERS[:-5])
        header = bytes([Kind.PUSH_PULL]) + gomsgpack.encode(
            PushPullHeader(join=random.random() < 0.5, nodes=count, user_state_len=size)
        )
        if random.random() < 0.1:
            header = self._edited(header)
        return header + b"".join(nodes) + state

    def _node(self) -> bytes:
        random = self._random
        node = gomsgpack.encode(
            NodeState(
                addr=self._address(),
                incarnation=self._number(),
                meta=self._meta(),
                name=self._name(),
                port=self._number(),
                state=random.randrange(4),
                vsn=self._vsn(),
            )
        )
        return self._edited(b"\0" + node)[1:] if random.random() < 0.1 else node

    _KINDS: tuple[Callable[[Attacker], bytes], ...] = (
        _ping,
        _indirect,
        _ack,
        _ack,
        _nack,
        _suspect,
        _dead,
        _alive,
        _alive,
    )
    _KINDS += (_error, _unknown, _serf, _serf, _serf, _serf)
