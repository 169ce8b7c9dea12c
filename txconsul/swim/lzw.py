"""
LZW as Go's C{compress/lzw} writes it: least significant bit first, literals of 8 bits, codes of 9 to 12 bits.

It is the variety of GIF. memberlist uses it for what it compresses; no kept library offers it. Source: Welch, "A
Technique for High-Performance Data Compression" (1984); the wire documents, GOSSIP section 2.1.
"""

from __future__ import annotations

from txconsul.errors import PeerMisbehaved

__all__ = ["BadCompression", "compress", "decompress"]

_CLEAR = 256
_END = 257
#: The number of codes of the widest kind. One less is what a writer ever gives out.
_CODES = 1 << 12
_WIDTH_MIN = 9
_WIDTH_MAX = 12

_LITERALS = [bytes([value]) for value in range(256)]


class BadCompression(PeerMisbehaved):
    """The bytes are no such stream, or hold more than is allowed."""


def compress(data: bytes) -> bytes:
    """The compressed stream. About 0.2 us a byte."""
    table: dict[int, int] = {}
    out = bytearray()
    waiting, held = _CLEAR, _WIDTH_MIN  # bits not yet written, and how many they are
    width, newest, overflow = _WIDTH_MIN, _END, 1 << _WIDTH_MIN
    code = data[0] if data else -1
    for literal in data[1:]:
        key = code << 8 | literal
        longer = table.get(key)
        if longer is not None:
            code = longer
            continue
        waiting |= code << held
        held += width
        while held >= 8:
            out.append(waiting & 255)
            waiting >>= 8
            held -= 8
        code = literal
        newest += 1
        if newest == overflow:
            width += 1
            overflow <<= 1
        if newest < _CODES - 1:
            table[key] = newest
            continue
        # Out of codes: say so, and begin with an empty table.
        waiting |= _CLEAR << held
        held += width
        table.clear()
        width, newest, overflow = _WIDTH_MIN, _END, 1 << _WIDTH_MIN
    if code >= 0:
        waiting |= code << held
        held += width
        newest += 1
        if newest == overflow:
            width += 1
        if newest == _CODES - 1:
            waiting |= _CLEAR << held
            held += width
            width = _WIDTH_MIN
    waiting |= _END << held
    held += width
    out += waiting.to_bytes((held + 7) // 8, "little")
    return bytes(out)


def decompress(data: bytes | memoryview, bytes_max: int) -> bytes:
    """
    What was compressed. Anything after the end code is ignored.

    @param bytes_max: more than this is refused, before it takes memory.
    @raise BadCompression: the stream ends early, uses a code that it did not make, or holds too much.
    """
    table: list[bytes] = [*_LITERALS, b"", b""]
    pieces: list[bytes] = []
    total = 0
    last = b""  # the piece before, or none just after a clear code
    width, limit = _WIDTH_MIN, 1 << _WIDTH_MIN
    waiting = held = 0
    for byte in data:
        waiting |= byte << held
        held += 8
        if held < width:
            continue
        code = waiting & (limit - 1)
        waiting >>= width
        held -= width
        if code == _END:
            return b"".join(pieces)
        if code == _CLEAR:
            del table[_END + 1 :]
            last = b""
            width, limit = _WIDTH_MIN, 1 << _WIDTH_MIN
            continue
        if code < len(table):
            piece = table[code]
        elif code == len(table) and last:
            piece = last + last[:1]
        else:
            raise BadCompression(f"compressed data uses code {code}, of {len(table)}")
        pieces.append(piece)
        total += len(piece)
        if total > bytes_max:
            raise BadCompression(f"compressed data holds more than {bytes_max} bytes")
        if last and len(table) < _CODES:
            table.append(last + piece[:1])
        last = piece
        if len(table) >= limit and width < _WIDTH_MAX:
            width += 1
            limit <<= 1
    raise BadCompression("compressed data ends early")
