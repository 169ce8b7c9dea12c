"""
Where messages end in a stream of msgpack without framing, whatever way its bytes come cut.

Nothing is made of the values: an incomplete message costs its own bytes, whatever it promises to become, and the bytes
of a whole one are handed on as they came.
"""

from __future__ import annotations

import msgpack

from txconsul.codec.gomsgpack import MESSAGE_BYTES_MAX, BadMessage

__all__ = ["Edges"]

#: Bytes that a scanner begins with; it grows with what it is given.
_READ_BYTES = 4096
#: Bytes held at once beyond which a scanner that had to take them is not used again, as it keeps its room.
_ROOM_KEPT_MAX = 1 << 16
#: Scanners without a stream. An idle stream has none, and one that comes to life takes the next that is here: there are
#: thousands of streams, and few at a time within a message.
_spare: list[msgpack.Unpacker] = []
_SPARE_MAX = 32


def _scanner() -> msgpack.Unpacker:
    if _spare:
        return _spare.pop()
    return msgpack.Unpacker(
        raw=True,
        strict_map_key=False,
        read_size=_READ_BYTES,
        # What a message may be is another matter. Beside one there may be what follows it, a window's worth.
        max_buffer_size=MESSAGE_BYTES_MAX + (1 << 20),
    )


class Edges:
    """
    Cuts a stream into messages.

    @ivar held: bytes that are here and were not yet handed out.
    """

    def __init__(self, bytes_max: int) -> None:
        """@param bytes_max: the largest message; a larger one is refused as soon as that much of it is here."""
        self.bytes_max = bytes_max
        self._data: bytes | bytearray = b""
        #: Where the next message begins in that.
        self._begin = 0
        self._scanner: msgpack.Unpacker | None = None
        #: What the scanner told where that begins.
        self._base = 0

    @property
    def held(self) -> int:
        """Bytes that wait for the end of their message, or to be taken."""
        return len(self._data) - self._begin

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        scanner = self._scanner
        fresh = scanner is None
        if scanner is None:
            scanner = self._scanner = _scanner()
            self._base = scanner.tell()
        try:
            scanner.feed(data)
        except msgpack.BufferFull:
            raise BadMessage(f"a message of more than {self.bytes_max} bytes") from None
        if fresh:
            self._data = data
            return
        if type(self._data) is bytes:
            self._data = bytearray(memoryview(self._data)[self._begin :])
            self._base += self._begin
            self._begin = 0
        elif self._begin:
            del self._data[: self._begin]  # type: ignore[union-attr]
            self._base += self._begin
            self._begin = 0
        self._data += data

    def next(self) -> bytes | None:
        """
        The next whole message's bytes; None if the rest is not here yet.

        @raise BadMessage: it is malformed or too large. The stream cannot be read any further.
        """
        scanner = self._scanner
        if scanner is None:
            return None
        try:
            scanner.skip()
        except msgpack.OutOfData:
            if self.held > self.bytes_max:
                raise BadMessage(f"a message of more than {self.bytes_max} bytes") from None
            return None
        except (ValueError, msgpack.UnpackException, TypeError, RecursionError, OverflowError) as error:
            raise BadMessage(f"malformed msgpack: {error or type(error).__name__}") from None
        begin, end = self._begin, scanner.tell() - self._base
        if end - begin > self.bytes_max:
            raise BadMessage(f"a message of more than {self.bytes_max} bytes")
        self._begin = end
        data = self._data
        found = data[begin:end] if type(data) is bytes else bytes(memoryview(data)[begin:end])
        if end == len(data):
            self._release()
            if end <= _ROOM_KEPT_MAX and len(_spare) < _SPARE_MAX:
                _spare.append(scanner)
        return found

    def rest(self) -> bytes:
        """What is held. From here on the stream is none of messages: nothing more may be fed."""
        rest = bytes(memoryview(self._data)[self._begin :])
        self._release()
        return rest

    def _release(self) -> None:
        self._scanner = None
        self._data = b""
        self._begin = self._base = 0
