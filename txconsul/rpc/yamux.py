"""
yamux: many streams on one connection, each with its own flow control. A pure core.

It is fed with the connection's bytes and with what its user wants of a stream; what follows from that, bytes to send
and things to be told, is taken with L{Session.take_output}, once a turn: so the frames of a turn leave together.

Source: the wire documents, RPC section 2; hashicorp/yamux, spec.md.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from struct import Struct
from typing import NamedTuple

from txconsul.rpc.streams import INITIAL_WINDOW, TRANSITIONS, Event, State, Stream

__all__ = [
    "BACKLOG",
    "CLOSE_TIMEOUT",
    "KEEPALIVE_INTERVAL",
    "KEEPALIVE_TIMEOUT",
    "OPEN_TIMEOUT",
    "SESSION_STREAMS_MAX",
    "Broken",
    "Closed",
    "Ended",
    "Flushed",
    "GoneAway",
    "Opened",
    "Received",
    "Send",
    "Session",
    "SessionOver",
]

#: Streams opened by one side which the other has not yet acknowledged; both sides count with the same (yamux's
#: AcceptBacklog), so that more are refused with a reset.
BACKLOG = 256
#: Seconds between two questions whether the other side is there, so that silent middle boxes keep the connection.
KEEPALIVE_INTERVAL = 30.0
#: Seconds in which it has to answer.
KEEPALIVE_TIMEOUT = 10.0
#: Seconds in which a stream has to be acknowledged; a session on which that is not done is stuck.
OPEN_TIMEOUT = 75.0
#: Seconds for which a stream may stay half closed after this side ended: a forgotten one costs no memory for ever.
CLOSE_TIMEOUT = 300.0
#: Streams that the other side may have open. A client agent has one for each call under way, so thousands are ordinary;
#: this many cost some 40 MB at most.
SESSION_STREAMS_MAX = 65536

_HEADER = Struct(">BBHII")
_HEADER_BYTES = 12
_DATA, _WINDOW_UPDATE, _PING, _GO_AWAY = range(4)
_SYN, _ACK, _FIN, _RST = 1, 2, 4, 8
_NORMAL, _PROTOCOL_ERROR, _INTERNAL_ERROR = range(3)
_WINDOW_MAX = 0xFFFFFFFF
_STREAM_ID_MAX = 0xFFFFFFFD


class Send(NamedTuple):
    """Bytes for the connection."""

    data: bytes


class Opened(NamedTuple):
    """The other side opened a stream: L{Session.accept} or L{Session.reset} it."""

    stream: Stream


class Received(NamedTuple):
    """Bytes of a stream. Whoever has done with them calls L{Session.consumed}, or no more will come."""

    stream: Stream
    data: bytes


class Ended(NamedTuple):
    """The other side sends nothing more on a stream."""

    stream: Stream


class Flushed(NamedTuple):
    """What had to wait for a stream's window is sent."""

    stream: Stream


class Broken(NamedTuple):
    """A stream is over before both sides ended it."""

    stream: Stream
    why: str


class GoneAway(NamedTuple):
    """The other side takes no new streams; those which are open go on."""


class Closed(NamedTuple):
    """
    The session is over, and all its streams with it; the connection is to be closed. It is the last output.

    @ivar why: for the log; empty if it was wanted.
    """

    why: str


Output = Send | Opened | Received | Ended | Flushed | Broken | GoneAway | Closed


class SessionOver(Exception):
    """No stream can be opened on this session (any more)."""


class _Misbehaved(Exception):
    """The other side broke the protocol."""


class Session:
    """
    One side of a connection.

    @ivar streams: those which are not over, by number.
    @ivar takes_streams: whether the other side takes new streams.
    @ivar over: nothing happens any more.
    """

    def __init__(self, client: bool, now: float) -> None:
        """@param client: this side opened the connection; its streams have odd numbers."""
        self.streams: dict[int, Stream] = {}
        self.takes_streams = True
        self.over = False
        self._client = client
        self._next_id = 1 if client else 2
        self._buffer = b""
        #: Within a data frame: its stream (None if it is gone) and what is missing of it.
        self._frame_stream: Stream | None = None
        self._frame_left = 0
        self._frame_ends = False
        self._output: list[Output] = []
        self._frames: list[bytes] = []
        self._leaving = False
        #: Opened by the other side and not accepted yet.
        self._pending = 0
        #: Opened here and not acknowledged yet.
        self._unacknowledged = 0
        self._waiting: deque[Stream] = deque()
        #: In the order of their deadlines, which are all equally far away; entries whose cause is gone are skipped.
        self._opening: deque[tuple[float, Stream]] = deque()
        self._closing: deque[tuple[float, Stream]] = deque()
        self._ping_number = 0
        self._ping_due = now + KEEPALIVE_INTERVAL
        self._pong_due: float | None = None

    # ---- what the user wants ----

    def open(self, now: float) -> Stream:
        """
        A new stream; it can be written to at once. While L{BACKLOG} streams are not acknowledged it is announced
        later.

        @raise SessionOver: the other side takes no more, or the numbers are used up.
        """
        if self.over or not self.takes_streams or self._next_id > _STREAM_ID_MAX:
            raise SessionOver("the session takes no new streams")
        stream = Stream(self._next_id)
        self._next_id += 2
        self.streams[stream.id] = stream
        if self._unacknowledged >= BACKLOG:
            self._waiting.append(stream)
        else:
            self._announce(stream, now)
        return stream

    def accept(self, stream: Stream) -> None:
        """Take a stream that the other side opened."""
        if stream.acknowledged:
            return
        self._pending -= 1
        stream.acknowledged = True
        if not stream.over and not self.over:
            self._frames.append(_HEADER.pack(0, _WINDOW_UPDATE, _ACK, stream.id, 0))

    def write(self, stream: Stream, data: bytes) -> None:
        """
        Send on a stream, as much as its window allows now and the rest when it opens; then L{Flushed} is told.
        Nothing happens on a stream that this side ended, or that is over.
        """
        if stream.ending or stream.over or not data or self.over:
            return
        size = len(data)
        if stream.announced and not stream.unsent and size <= stream.send_window:
            stream.send_window -= size
            self._frames += (_HEADER.pack(0, _DATA, 0, stream.id, size), data)
            return
        stream.unsent.append(data)
        if stream.announced:
            self._send_unsent(stream)

    def end(self, stream: Stream, now: float) -> None:
        """Send nothing more on a stream, after what is unsent. It may still receive."""
        if stream.ending or stream.over or self.over:
            return
        stream.ending = True
        self._closing.append((now + CLOSE_TIMEOUT, stream))
        if stream.announced and not stream.unsent:
            self._send_fin(stream)

    def reset(self, stream: Stream, now: float) -> None:
        """Give a stream up at once, both ways; or refuse one that the other side opened."""
        if not stream.acknowledged and not self._own(stream.id):
            self._pending -= 1
            stream.acknowledged = True
        if stream.over or self.over:
            return
        if stream.announced:
            self._frames.append(_HEADER.pack(0, _WINDOW_UPDATE, _RST, stream.id, 0))
        self._drop(stream, Event.SENT_RST, now)

    def consumed(self, stream: Stream, size: int) -> None:
        """So many received bytes are done with: their room is given back when that makes half a window."""
        stream.consumed += size
        if stream.consumed < INITIAL_WINDOW // 2 or stream.over or stream.state is State.REMOTE_ENDED or self.over:
            return
        delta, stream.consumed = stream.consumed, 0
        stream.receive_window += delta
        self._frames.append(_HEADER.pack(0, _WINDOW_UPDATE, 0, stream.id, delta))

    def go_away(self) -> None:
        """Take no new streams, and say so; those which are open go on."""
        if not self._leaving and not self.over:
            self._leaving = True
            self._frames.append(_HEADER.pack(0, _GO_AWAY, 0, 0, _NORMAL))

    def close(self, why: str = "") -> None:
        """End the session: all streams are over."""
        if not self.over:
            self.go_away()
            self._close(why)

    # ---- the shape of a core ----

    def receive(self, data: bytes, now: float) -> None:
        """Take the connection's next bytes, cut anywhere."""
        if self.over:
            return
        try:
            self._receive(data, now)
        except _Misbehaved as error:
            self._leaving = True
            self._frames.append(_HEADER.pack(0, _GO_AWAY, 0, 0, _PROTOCOL_ERROR))
            self._close(str(error))

    def lost(self) -> None:
        """The connection ended."""
        if not self.over:
            self._close("connection lost")
            self._frames.clear()

    def wake(self, now: float) -> None:
        """Ask whether the other side is there, and end what took too long."""
        if self.over:
            return
        if self._pong_due is not None and self._pong_due <= now:
            self._close("no answer to a keepalive ping")
            return
        if self._pong_due is None and self._ping_due <= now:
            self._ping_number = (self._ping_number + 1) & 0xFFFFFFFF
            self._pong_due = now + KEEPALIVE_TIMEOUT
            self._frames.append(_HEADER.pack(0, _PING, _SYN, 0, self._ping_number))
        opening = self._opening
        while opening and (opening[0][0] <= now or _settled(opening[0][1])):
            if not _settled(opening.popleft()[1]):
                self._close("a stream was not acknowledged in time")
                return
        closing = self._closing
        while closing and (closing[0][0] <= now or closing[0][1].over):
            stream = closing.popleft()[1]
            if not stream.over:
                self.reset(stream, now)
                self._output.append(Broken(stream, "the other side did not end the stream in time"))

    def next_deadline(self) -> float | None:
        """When L{wake} is wanted next."""
        if self.over:
            return None
        deadline = self._ping_due if self._pong_due is None else self._pong_due
        opening, closing = self._opening, self._closing
        while opening and _settled(opening[0][1]):
            opening.popleft()
        while closing and closing[0][1].over:
            closing.popleft()
        if opening:
            deadline = min(deadline, opening[0][0])
        if closing:
            deadline = min(deadline, closing[0][0])
        return deadline

    def take_output(self) -> list[Output]:
        """Everything since the last call: what is to be told, then the bytes to send, then L{Closed}."""
        output, self._output = self._output, []
        if self._frames:
            sent = Send(b"".join(self._frames))
            self._frames.clear()
            if output and type(output[-1]) is Closed:
                output.insert(-1, sent)
            else:
                output.append(sent)
        return output

    # ---- frames ----

    def _receive(self, data: bytes, now: float) -> None:
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        position, size = 0, len(data)
        while True:
            if self._frame_left:
                end = min(size, position + self._frame_left)
                if end == position:
                    return
                self._frame_left -= end - position
                if self._frame_stream is not None and not self._frame_stream.over:
                    self._output.append(Received(self._frame_stream, data[position:end]))
                position = end
                if self._frame_left:
                    return
                if self._frame_ends:
                    self._frame_ends = False
                    if self._frame_stream is not None and not self._frame_stream.over:
                        self._fin(self._frame_stream)
                self._frame_stream = None
            if size - position < _HEADER_BYTES:
                self._buffer = data[position:]
                return
            version, kind, flags, id, length = _HEADER.unpack_from(data, position)
            position += _HEADER_BYTES
            if version:
                raise _Misbehaved(f"a frame of version {version}")
            if kind == _DATA:
                self._data(flags, id, length, now)
            elif kind == _WINDOW_UPDATE:
                self._window_update(flags, id, length, now)
            elif kind == _PING:
                self._ping(flags, length, now)
            elif kind == _GO_AWAY:
                self._gone_away(length, now)
                if self.over:
                    return
            else:
                raise _Misbehaved(f"a frame of the unknown type {kind}")

    def _data(self, flags: int, id: int, length: int, now: float) -> None:
        stream = self._stream(flags, id, now)
        self._frame_left = length
        if stream is None:
            return
        if flags & _RST:
            self._rst(stream, now)
        elif length:
            if length > stream.receive_window:
                raise _Misbehaved(f"{length} bytes for a window of {stream.receive_window}")
            if stream.state is State.REMOTE_ENDED:
                raise _Misbehaved("data after the end of a stream")
            stream.receive_window -= length
            self._frame_stream = stream
            self._frame_ends = bool(flags & _FIN)
        elif flags & _FIN:
            self._fin(stream)

    def _window_update(self, flags: int, id: int, length: int, now: float) -> None:
        stream = self._stream(flags, id, now)
        if stream is None:
            return
        if length:
            stream.send_window += length
            if stream.send_window > _WINDOW_MAX:
                raise _Misbehaved("a window of more than 32 bits")
            if stream.unsent and stream.announced:
                self._send_unsent(stream)
        if flags & _RST:
            self._rst(stream, now)
        elif flags & _FIN and not stream.over:
            self._fin(stream)

    def _stream(self, flags: int, id: int, now: float) -> Stream | None:
        """The stream of a frame; None if it is gone, so that the frame means nothing."""
        if flags & _SYN:
            return self._opened(id)
        stream = self.streams.get(id)
        if stream is not None and flags & _ACK and not stream.acknowledged and self._own(id):
            if not stream.announced:
                raise _Misbehaved("a stream was acknowledged before it was opened")
            self._acknowledged(stream, now)
        return stream

    def _opened(self, id: int) -> Stream | None:
        if id in self.streams or not id or self._own(id):
            raise _Misbehaved(f"a stream of the number {id}, which cannot be")
        if self._leaving or self._pending >= BACKLOG or len(self.streams) >= SESSION_STREAMS_MAX:
            self._frames.append(_HEADER.pack(0, _WINDOW_UPDATE, _RST, id, 0))
            return None
        stream = Stream(id)
        stream.announced = True
        self.streams[id] = stream
        self._pending += 1
        self._output.append(Opened(stream))
        return stream

    def _rst(self, stream: Stream, now: float) -> None:
        self._drop(stream, Event.GOT_RST, now)
        self._output.append(Broken(stream, "stream reset"))

    def _fin(self, stream: Stream) -> None:
        state = TRANSITIONS.get((stream.state, Event.GOT_FIN))
        if state is None:
            raise _Misbehaved(f"a second end of a stream ({stream.state.value})")
        stream.state = state
        self._output.append(Ended(stream))
        if state is State.CLOSED:
            del self.streams[stream.id]

    def _ping(self, flags: int, number: int, now: float) -> None:
        if flags & _SYN:
            self._frames.append(_HEADER.pack(0, _PING, _ACK, 0, number))
        elif number == self._ping_number and self._pong_due is not None:
            self._pong_due = None
            self._ping_due = now + KEEPALIVE_INTERVAL

    def _gone_away(self, code: int, now: float) -> None:
        if code == _NORMAL:
            if self.takes_streams:
                self.takes_streams = False
                self._output.append(GoneAway())
                while self._waiting:
                    stream = self._waiting.popleft()
                    if not stream.over:
                        self._drop(stream, Event.GOT_RST, now)
                        self._output.append(Broken(stream, "the other side takes no new streams"))
            return
        self._close(_GO_AWAY_TEXTS.get(code, f"the other side went away for the unknown reason {code}"))

    # ---- streams ----

    def _own(self, id: int) -> bool:
        return bool(id & 1) is self._client

    def _announce(self, stream: Stream, now: float) -> None:
        stream.announced = True
        self._unacknowledged += 1
        self._opening.append((now + OPEN_TIMEOUT, stream))
        self._frames.append(_HEADER.pack(0, _WINDOW_UPDATE, _SYN, stream.id, 0))
        if stream.unsent or stream.ending:
            self._send_unsent(stream)

    def _acknowledged(self, stream: Stream, now: float) -> None:
        stream.acknowledged = True
        self._unacknowledged -= 1
        self._announce_waiting(now)

    def _announce_waiting(self, now: float) -> None:
        while self._waiting and self._unacknowledged < BACKLOG:
            waiting = self._waiting.popleft()
            if not waiting.over:
                self._announce(waiting, now)

    def _send_unsent(self, stream: Stream) -> None:
        unsent, frames = stream.unsent, self._frames
        waited = bool(unsent)
        while unsent and stream.send_window:
            data = unsent.popleft()
            if len(data) > stream.send_window:
                unsent.appendleft(data[stream.send_window :])
                data = data[: stream.send_window]
            stream.send_window -= len(data)
            frames += (_HEADER.pack(0, _DATA, 0, stream.id, len(data)), data)
        if unsent:
            return
        if stream.ending:
            self._send_fin(stream)
        if waited:
            self._output.append(Flushed(stream))

    def _send_fin(self, stream: Stream) -> None:
        self._frames.append(_HEADER.pack(0, _WINDOW_UPDATE, _FIN, stream.id, 0))
        stream.state = TRANSITIONS[stream.state, Event.SENT_FIN]
        if stream.state is State.CLOSED:
            del self.streams[stream.id]

    def _drop(self, stream: Stream, event: Event, now: float) -> None:
        stream.state = TRANSITIONS[stream.state, event]
        stream.unsent.clear()
        del self.streams[stream.id]
        if stream.announced and not stream.acknowledged and self._own(stream.id):
            # Its acknowledgement, if it comes, will find no stream.
            self._unacknowledged -= 1
            self._announce_waiting(now)

    def _close(self, why: str) -> None:
        self.over = True
        self.takes_streams = False
        for stream in self.streams.values():
            stream.state = State.RESET
            stream.unsent.clear()
            self._output.append(Broken(stream, why or "session closed"))
        self.streams.clear()
        self._waiting.clear()
        self._opening.clear()
        self._closing.clear()
        self._buffer = b""
        self._output.append(Closed(why))


_GO_AWAY_TEXTS: Mapping[int, str] = {
    _PROTOCOL_ERROR: "the other side says that this one broke the protocol",
    _INTERNAL_ERROR: "the other side had an internal error",
}


def _settled(stream: Stream) -> bool:
    return stream.acknowledged or stream.over
