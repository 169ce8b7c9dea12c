"""
Packets: the layers around messages, from the outermost in: label, encryption, checksum, compression, compound.

L{Wrapping} is what a pool has agreed on, label and keys, and opens and seals with it. It is the same for packets and,
but for the framing (L{txconsul.swim.stream}), for streams. Source: the wire documents, GOSSIP section 2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple
from zlib import crc32

from txconsul.codec import gomsgpack
from txconsul.records.base import Record
from txconsul.swim import lzw
from txconsul.swim.keyring import NONCE_BYTES, OVERHEAD_BYTES, Keyring, NotDecrypted
from txconsul.swim.messages import BadGossip, ErrorMessage, Kind, Message, read_message, read_record

__all__ = [
    "COMPOUND_OVERHEAD_BYTES",
    "LABEL_BYTES_MAX",
    "Opened",
    "Wrapping",
    "compound",
    "compressed",
    "with_checksum",
]

LABEL_BYTES_MAX = 255
#: What a packet may hold when it is unpacked. Members send packets of at most 64 KiB; compressed ones hold a few times
#: that. A bomb of one packet is worth no more.
UNPACKED_BYTES_MAX = 1 << 20
#: Layers within each other: compound, compression and again compound is what is written.
DEPTH_MAX = 8
#: Messages in one packet, nested compounds included.
MESSAGES_MAX = 4096
#: Parts of one compound: their number is one byte.
PARTS_MAX = 255
#: What a compound adds for itself, and for each part.
COMPOUND_OVERHEAD_BYTES = (2, 2)

_CRC_BYTES = 5
_ALGORITHM_LZW = 0


class Compressed(Record, frozen=True):
    """@ivar algo: 0, which is LZW; there is no other."""

    algo: int = _ALGORITHM_LZW
    buf: bytes = b""


class Opened(NamedTuple):
    """
    @ivar messages: what was whole.
    @ivar damage: what was not, each with its reason.
    """

    messages: list[Message]
    damage: list[str]


def compound(messages: list[bytes]) -> bytes:
    """Up to 255 messages, each of at most 65535 bytes, as one."""
    lengths = b"".join([len(message).to_bytes(2, "big") for message in messages])
    return bytes([Kind.COMPOUND, len(messages)]) + lengths + b"".join(messages)


def compressed(data: bytes) -> bytes:
    """A message within a layer of compression."""
    return bytes([Kind.COMPRESS]) + gomsgpack.encode(Compressed(buf=lzw.compress(data)))


def decompressed(fields: object, bytes_max: int) -> bytes:
    """
    What is within a layer of compression.

    @param fields: the layer's unpacked map.
    @raise BadGossip: malformed, of an unknown algorithm, or more than C{bytes_max}.
    """
    layer = read_record(Compressed, fields)
    if layer.algo != _ALGORITHM_LZW:
        raise BadGossip(f"compression algorithm {layer.algo} is not known")
    try:
        return lzw.decompress(layer.buf, bytes_max)
    except lzw.BadCompression as error:
        raise BadGossip(str(error)) from None


def with_checksum(data: bytes) -> bytes:
    """A message behind its CRC-32, which members of protocol 5 and later verify."""
    return bytes([Kind.CRC]) + crc32(data).to_bytes(4, "big") + data


def with_label(label: bytes, data: bytes) -> bytes:
    """Behind the pool's label, if it has one."""
    return bytes([Kind.LABEL, len(label)]) + label + data if label else data


class Wrapping:
    """
    What the members of one pool have agreed on.

    @ivar keyring: the keys, or None in a pool that is not encrypted. It may be changed while it is used.
    """

    def __init__(
        self,
        label: bytes = b"",
        keyring: Keyring | None = None,
        *,
        entropy: Callable[[int], bytes],
        verify_incoming: bool = True,
        verify_outgoing: bool = True,
        skip_inbound_label_check: bool = False,
    ) -> None:
        """
        @param label: the pool's label; what bears another one is refused.
        @param entropy: gives so many bytes that nobody can foresee, for nonces.
        @param verify_incoming: refuse what is not encrypted, if there are keys.
        @param verify_outgoing: encrypt what is sent, if there are keys.
        @param skip_inbound_label_check: something before us took the label away: refuse what still has one.
        @raise ValueError: the label is too long.
        """
        if len(label) > LABEL_BYTES_MAX:
            raise ValueError(f"a label has at most {LABEL_BYTES_MAX} bytes, not {len(label)}")
        self.label = label
        self.keyring = keyring
        self.verify_incoming = verify_incoming
        self.encrypts = verify_outgoing
        self.skip_inbound_label_check = skip_inbound_label_check
        self._entropy = entropy

    @property
    def overhead_bytes(self) -> int:
        """What label and encryption add to a packet."""
        label = 2 + len(self.label) if self.label else 0
        return label + (OVERHEAD_BYTES if self.keyring is not None and self.encrypts else 0)

    def sealed_bytes(self, size: int) -> int:
        """How long C{size} bytes are once they are encrypted."""
        return size + OVERHEAD_BYTES

    # ---- out ----

    def seal(self, data: bytes, *, compress: bool = False, checksum: bool = False) -> bytes:
        """
        One packet.

        @param data: a message, or a compound of some.
        @param compress: try whether it gets shorter so.
        @param checksum: the receiver is known to look at it.
        """
        if compress:
            shorter = compressed(data)
            if len(shorter) < len(data):
                data = shorter
        if checksum:
            data = with_checksum(data)
        if self.keyring is not None and self.encrypts:
            data = self.encrypt(data, self.label)
        return with_label(self.label, data)

    def encrypt(self, data: bytes, associated: bytes) -> bytes:
        """Encrypted with the primary key. There must be one."""
        assert self.keyring is not None
        return self.keyring.seal(data, associated, self._entropy(NONCE_BYTES))

    # ---- in ----

    def open(self, packet: bytes) -> Opened:
        """
        The messages of a packet.

        @raise BadGossip: it is of another pool, or damaged as a whole. What is damaged in part is told in the answer.
        """
        data = self._without_label(packet)
        if self.keyring is not None:
            try:
                data = self.keyring.open(data, self.label)
            except NotDecrypted as error:
                if self.verify_incoming:
                    raise BadGossip(str(error)) from None
        if len(data) >= _CRC_BYTES and data[0] == Kind.CRC:
            if crc32(data[_CRC_BYTES:]) != int.from_bytes(data[1:_CRC_BYTES], "big"):
                raise BadGossip("wrong checksum")
            data = data[_CRC_BYTES:]
        opened = Opened([], [])
        _unpack(data, opened, DEPTH_MAX, UNPACKED_BYTES_MAX)
        return opened

    def _without_label(self, packet: bytes) -> bytes:
        label = b""
        if packet[:1] == b"\xf4":
            size = packet[1] if len(packet) > 1 else 0
            label, packet = packet[2 : 2 + size], packet[2 + size :]
            if not size or len(label) < size:
                raise BadGossip("a label that is empty or cut short")
        if self.skip_inbound_label_check:
            if label:
                raise BadGossip("a label that should have been taken away")
        elif label != self.label:
            raise BadGossip(f"label {label!r} is another pool's")
        return packet


def _unpack(data: bytes, opened: Opened, depth: int, room: int) -> int:
    """
    Put the messages in C{data} into C{opened}.

    @param room: how many bytes may still be unpacked.
    @return: how many are left.
    """
    kind = data[0] if data else -1
    try:
        if len(opened.messages) + len(opened.damage) >= MESSAGES_MAX:
            raise BadGossip("too many messages in a packet")
        if kind == Kind.COMPOUND or kind == Kind.COMPRESS:
            if not depth:
                raise BadGossip("too many layers in a packet")
            inner: Iterable[bytes]
            if kind == Kind.COMPOUND:
                inner = _parts(data, opened.damage)
            else:
                whole = decompressed(gomsgpack.unpack(data[1:]), room)
                room -= len(whole)
                inner = (whole,)
            for part in inner:
                room = _unpack(part, opened, depth - 1, room)
                if len(opened.messages) + len(opened.damage) > MESSAGES_MAX:
                    break  # it was said, once, and the rest is not looked at
        else:
            message = read_message(data)
            if type(message) is ErrorMessage:
                raise BadGossip("an error message outside of a stream")
            opened.messages.append(message)  # type: ignore[arg-type]
    except (BadGossip, gomsgpack.BadMessage) as error:
        opened.damage.append(str(error))
    return room


def _parts(data: bytes, damage: list[str]) -> list[bytes]:
    """The whole parts of a compound. Cut-off ones are told in C{damage}."""
    count = data[1] if len(data) > 1 else 0
    begin = 2 + 2 * count
    if len(data) < max(begin, 2):
        raise BadGossip("a compound without its lengths")
    parts = []
    for number in range(count):
        size = int.from_bytes(data[2 + 2 * number : 4 + 2 * number], "big")
        if begin + size > len(data):
            damage.append(f"a compound of which {count - number} parts are cut off")
            break
        parts.append(data[begin : begin + size])
        begin += size
    return parts
