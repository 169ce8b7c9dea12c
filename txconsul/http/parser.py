"""
Reads HTTP/1.1 requests out of bytes; can do no I/O.

Rule 1: a head is looked at only when it is complete, so it is the same request (or the same refusal) however
the bytes were cut up, and a slow sender costs no repeated work.
Rule 2: what two programs could read differently is refused, never guessed: bare line feeds, folded lines,
two lengths, a length beside C{Transfer-Encoding}.

The request line is ours, since Consul answers unknown methods itself; the header lines are httptools' (llhttp).
Programs send the same header lines again and again, so what was read from them is remembered by their bytes.

Sources: RFC 9112 (syntax, framing), RFC 9110 (Expect, Host); Go's net/http for statuses and texts, which clients of
Consul see.
Departures from Go: bare line feeds, folded header lines, C{Transfer-Encoding} together with C{Content-Length} or in
HTTP/1.0, and C{CONNECT} are refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import httptools
from msgspec import Struct

from txconsul.http.request import BodyRefused, BodySink, BodyTooLarge, Request, RequestUnreadable

__all__ = [
    "CHUNK_LINE_BYTES_MAX",
    "HEADERS_MAX",
    "HEADER_BYTES_MAX_DEFAULT",
    "HEADER_BYTES_SLACK",
    "RequestReader",
    "Rules",
]

#: Consul's C{http_config.max_header_bytes} when it is unset, 0 or negative: Go's DefaultMaxHeaderBytes.
HEADER_BYTES_MAX_DEFAULT = 1 << 20
#: Go reads this much beyond the limit before it answers 431; clients near the limit would notice.
HEADER_BYTES_SLACK = 4096
#: Header lines a request. Real clients send some ten; without a limit a MiB of tiny lines becomes tens of MiB of
#: objects.
HEADERS_MAX = 1000
#: A chunk's size line. Chunk extensions are unused in practice; sixteen hexadecimal digits and some room.
CHUNK_LINE_BYTES_MAX = 256
#: Chunks that may be as small as they like; those beyond must have so many bytes each on average. Taking a chunk apart
#: costs as much as a kilobyte of body, and nobody sends half a million of one byte.
TINY_CHUNKS_MAX = 4096
CHUNK_BYTES_MIN = 32
#: All trailers after a chunked body together; they are skipped.
TRAILER_BYTES_MAX = 4096
#: What all unfinished requests of a listener may hold in memory. Beyond it, whoever holds more than an equal share is
#: refused as it grows: a thousand slow senders of large bodies cannot take the process's memory, and small requests
#: pass.
HELD_BYTES_MAX = 32 << 20
#: Header blocks remembered, and the largest remembered: together at most about a MiB.
REMEMBERED_BLOCKS_MAX = 256
REMEMBERED_BLOCK_BYTES_MAX = 2048

_CHUNKED = -1
_CLOSE, _KEEP_ALIVE, _EXPECT_CONTINUE, _EXPECT_OTHER, _HOST, _HOSTS = 1, 2, 4, 8, 16, 32

_match_request_line = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([^\x00-\x20\x7f]+) HTTP/1\.([01])\r\n").match
_match_other_version = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+ [^\x00-\x20\x7f]+ HTTP/\d+\.\d+\r\n").match
_match_chunk_line = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;[\t\x20-\x7e\x80-\xff]*)?\r\n").match
_match_trailer = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n").fullmatch
_search_bare_line_feed = re.compile(rb"(?<!\r)\n").search


class _Block(Struct, gc=False):
    """What a block of header lines says: C{length} is that of the body (-1: chunked), C{flags} the bits above."""

    headers: dict[bytes, bytes]
    length: int
    flags: int


class _BlockParser:
    """Receives httptools' callbacks for one block of header lines."""

    __slots__ = ("flags", "headers", "length", "lines")

    def __init__(self) -> None:
        self.headers: dict[bytes, bytes] = {}
        self.length = 0
        self.flags = 0
        self.lines = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        self.lines += 1
        if self.lines > HEADERS_MAX:
            raise RequestUnreadable(431)
        name = name.lower()
        value = value.strip(b" \t")
        if name == b"host":
            self.flags |= _HOSTS if self.flags & _HOST else _HOST
        elif name == b"content-length":
            self.length = int(value)
        elif name == b"transfer-encoding":
            if value.lower() != b"chunked":
                raise RequestUnreadable(501, "Unsupported transfer encoding")
            self.length = _CHUNKED
        elif name == b"connection":
            for option in value.lower().split(b","):
                option = option.strip(b" \t")
                if option == b"close":
                    self.flags |= _CLOSE
                elif option == b"keep-alive":
                    self.flags |= _KEEP_ALIVE
        elif name == b"expect" and value:
            self.flags |= _EXPECT_CONTINUE if value.lower() == b"100-continue" else _EXPECT_OTHER
        self.headers.setdefault(name, value)


def _parse_block(block: bytes) -> _Block:
    """
    Read the header lines and the empty line after them.

    @raise RequestUnreadable: they are malformed, too many, or frame the body in a way that is not served.
    """
    if _search_bare_line_feed(block) is not None:
        raise RequestUnreadable(400)  # before anything else is said of it, as where it comes in parts
    found = _BlockParser()
    try:
        httptools.HttpRequestParser(found).feed_data(b"GET / HTTP/1.1\r\n" + block)
    except httptools.HttpParserUpgrade:
        pass  # an offer to change the protocol, which the server may leave unanswered (RFC 9110 7.8)
    except httptools.HttpParserError as error:
        # httptools passes on what a callback raised as the context of its own error.
        refusal = error.__context__
        raise refusal if isinstance(refusal, RequestUnreadable) else RequestUnreadable(400) from None
    return _Block(found.headers, found.length, found.flags)


class Rules:
    """
    What all connections of a listener share: limits, and how the application wants bodies.

    @param header_bytes_max: Consul's C{http_config.max_header_bytes}; 0 or less means the default.
    @param take_body: asked when the head of a request with a body is complete; gives the limit in bytes and the sink
        for the body, or None to hold it in memory. What it raises refuses the body.

    @ivar held: bytes that unfinished requests hold in memory.
    @ivar unfinished: how many they are.
    """

    __slots__ = ("_blocks", "head_bytes_max", "held", "take_body", "unfinished")

    def __init__(self, header_bytes_max: int, take_body: Callable[[Request], tuple[int, BodySink | None]]) -> None:
        limit = header_bytes_max if header_bytes_max > 0 else HEADER_BYTES_MAX_DEFAULT
        self.head_bytes_max = limit + HEADER_BYTES_SLACK
        self.take_body = take_body
        self._blocks: dict[bytes, _Block] = {}
        self.held = 0
        self.unfinished = 0

    def block(self, lines: bytes) -> _Block:
        """The meaning of these header lines. @raise RequestUnreadable: see L{_parse_block}."""
        known = self._blocks.get(lines)
        if known is None:
            known = _parse_block(lines)
            if len(lines) <= REMEMBERED_BLOCK_BYTES_MAX:
                if len(self._blocks) >= REMEMBERED_BLOCKS_MAX:
                    del self._blocks[next(iter(self._blocks))]
                self._blocks[lines] = known
        return known


class _Body:
    """
    A body on its way in: counts, limits, and takes chunks apart (RFC 9112 7.1).

    C{left} is what is missing of the whole body, or of the chunk; C{taken} what has come.
    """

    __slots__ = ("_chunks", "_held", "_limit", "_phase", "_sink", "_trailers", "left", "taken")

    LENGTH, SIZE, DATA, DATA_END, TRAILER, DONE = range(6)

    def __init__(self, length: int, limit: int, sink: BodySink | None) -> None:
        self._phase = self.SIZE if length == _CHUNKED else self.LENGTH
        self.left = 0 if length == _CHUNKED else length
        self._limit = limit
        self._sink = sink
        self._held: bytes | bytearray = b""
        self.taken = 0
        self._trailers = 0
        self._chunks = 0

    def take(self, data: bytes | bytearray, at: int) -> tuple[int, bool, object]:
        """
        Go on reading at C{at}.

        @return: where reading stopped, whether the body is complete, and what the sink wants waited for.
        @raise RequestUnreadable: malformed chunks.
        @raise BodyTooLarge: over the limit.
        @raise Exception: whatever the sink raises.
        """
        size = len(data)
        while at < size or self._phase == self.DONE:
            phase = self._phase
            if phase == self.LENGTH or phase == self.DATA:
                end = min(size, at + self.left)
                self.left -= end - at
                wait = self._keep(data, at, end)
                at = end
                if self.left == 0:
                    self._phase = self.DONE if phase == self.LENGTH else self.DATA_END
                if wait is not None:
                    return at, False, wait
            elif phase == self.DONE:
                return at, True, None
            else:
                end = data.find(b"\n", at, at + CHUNK_LINE_BYTES_MAX) + 1
                if end == 0:
                    if size - at >= CHUNK_LINE_BYTES_MAX:
                        raise RequestUnreadable(400)
                    break
                self._line(bytes(data[at:end]))
                at = end
        return at, self._phase == self.DONE, None

    def _line(self, line: bytes) -> None:
        """One line between the chunks' data."""
        if self._phase == self.SIZE:
            match = _match_chunk_line(line)
            if match is None:
                raise RequestUnreadable(400)
            self.left = int(match[1], 16)
            self._chunks += 1
            if self._chunks > TINY_CHUNKS_MAX + self.taken // CHUNK_BYTES_MIN:
                raise RequestUnreadable(400, "too many chunks")
            if self.taken + self.left > self._limit:
                raise BodyTooLarge(self.taken + self.left, self._limit)
            self._phase = self.DATA if self.left else self.TRAILER
        elif self._phase == self.DATA_END:
            if line != b"\r\n":
                raise RequestUnreadable(400)
            self._phase = self.SIZE
        else:
            self._trailers += len(line)
            if self._trailers > TRAILER_BYTES_MAX or line[-2:] != b"\r\n":
                raise RequestUnreadable(400)
            if line == b"\r\n":
                self._phase = self.DONE
            elif _match_trailer(line) is None:
                raise RequestUnreadable(400)

    def _keep(self, data: bytes | bytearray, start: int, end: int) -> object:
        self.taken += end - start
        piece = bytes(data[start:end])
        if self._sink is not None:
            return self._sink.write(piece)
        if not self._held:
            self._held = piece
        elif isinstance(self._held, bytearray):
            self._held += piece
        else:
            # One growing buffer rather than a list: a list of tiny pieces would take many times the body's size.
            self._held = bytearray(self._held) + piece
        return None

    def whole(self) -> bytes:
        """The body, complete, where no sink took it."""
        return bytes(self._held)


class RequestReader:
    """
    Bytes in, requests out, for one connection.

    L{receive} takes bytes and gives the first request that they complete; L{next} gives each further one. Bytes that
    belong to later requests wait here, so the caller decides how far it reads ahead. After anything was raised the
    reader is spent.

    @ivar empty: no byte waits here, and no request is half read.
    @ivar expecting: the client waits for C{100 Continue} before it sends its body; the caller sets it back.
    @ivar waiting: what a sink wants waited for; the caller sets it back to None and calls L{next}.
    """

    __slots__ = (
        "_at",
        "_body",
        "_client",
        "_counted",
        "_data",
        "_line_seen",
        "_request",
        "_rules",
        "_scanned",
        "empty",
        "expecting",
        "waiting",
    )

    def __init__(self, client: str, rules: Rules) -> None:
        self._client = client
        self._rules = rules
        self._data: bytes | bytearray = b""
        self._at = 0
        self._scanned = 0
        self._counted = 0
        self._line_seen = False
        self._request: Request | None = None
        self._body: _Body | None = None
        self.empty = True
        self.expecting = False
        self.waiting: object = None

    @property
    def held(self) -> int:
        """Bytes that wait for L{next}."""
        return len(self._data) - self._at

    @property
    def in_body(self) -> bool:
        """A head is complete and its body is not."""
        return self._request is not None

    def receive(self, data: bytes) -> Request | None:
        """
        Take bytes as they came, and give the first request that they complete.

        @raise RequestUnreadable: they are no request.
        @raise BodyRefused: the body is too large, or its sink failed.
        """
        self.hold(data)
        return self.next()

    def hold(self, data: bytes) -> None:
        """Take bytes as they came, for L{next} to read."""
        held = self._data
        if not held:
            self._data = data
            self._at = 0
            self.empty = False
        else:
            if not isinstance(held, bytearray):
                held = self._data = bytearray(held[self._at :])
                self._at = 0
            held += data

    def next(self) -> Request | None:
        """The next request that is complete, or None: more bytes are needed. Raises as L{receive}."""
        if self._request is not None:
            return self._continue_body(self._request)
        data = self._data
        at = self._at
        end = data.find(b"\r\n\r\n", self._scanned or at)
        if end < 0 or data[at] == 13:
            return self._unfinished()
        end += 4
        if end - at > self._rules.head_bytes_max:
            raise RequestUnreadable(431)
        if data.__class__ is not bytes:
            # The head came in parts.
            data = self._data = bytes(data)
            self._scanned = 0
            self._line_seen = False
            self._release()
        match = _match_request_line(data, at)
        if match is None:
            raise self._bad_line(data, at)
        method, target, minor = match.groups()
        block = self._rules.block(data[match.end() : end])
        if end == len(data):
            self._data = b""
            self.empty = True
        self._at = end
        flags = block.flags
        if minor == b"1":
            request = Request(method, target, block.headers, self._client, 11, not flags & _CLOSE)
            if flags & (_HOST | _HOSTS) != _HOST:
                raise RequestUnreadable(
                    400, "too many Host headers" if flags & _HOST else "missing required Host header"
                )
        else:
            request = Request(
                method, target, block.headers, self._client, 10, flags & (_KEEP_ALIVE | _CLOSE) == _KEEP_ALIVE
            )
        if target[0] != 47 or method == b"CONNECT":
            self._normalise(request)
        if block.length or flags & (_EXPECT_CONTINUE | _EXPECT_OTHER):
            return self._begin_body(request, block)
        return request

    def make_last(self) -> None:
        """The request whose body is being read is the last one of its connection."""
        if self._request is not None:
            self._request.keep_alive = False

    def abandon(self) -> None:
        """Nothing more is read: let go of everything, and tell the sink of a half read body, once."""
        request, self._request = self._request, None
        self._data = b""
        self._body = None
        self.empty = True
        self._release()
        if request is not None and request.sink is not None:
            request.sink.abandon()

    def _count(self, size: int) -> None:
        """This many bytes are held for an unfinished request. @raise RequestUnreadable: they are too many."""
        rules = self._rules
        if not self._counted:
            rules.unfinished += 1
        rules.held += size - self._counted
        self._counted = size
        if rules.held > HELD_BYTES_MAX and size > HELD_BYTES_MAX // rules.unfinished:
            raise RequestUnreadable(503, "too many unfinished requests")

    def _release(self) -> None:
        if self._counted:
            self._rules.held -= self._counted
            self._rules.unfinished -= 1
            self._counted = 0

    def _unfinished(self) -> Request | None:
        """There is no whole head; the rest is kept, and looked at once for what can never become one."""
        data, at = self._data, self._at
        while data[at : at + 2] == b"\r\n":
            at += 2  # empty lines before a request are skipped (RFC 9112 2.2)
        if at >= len(data):
            self._data = b""
            self._at = self._scanned = 0
            self.empty = True
            return None
        if at != self._at:
            self._at = at
            self._scanned = 0
            return self.next()
        if not isinstance(data, bytearray) or at:
            data = self._data = bytearray(data[at:])
            self._at = 0
        begin = max(self._scanned - 1, 0)
        if not self._line_seen and data.find(b"\n", begin) >= 0:
            line = bytes(data)
            if _match_request_line(line) is None:
                raise self._bad_line(line, 0)
            self._line_seen = True
        if _search_bare_line_feed(data, begin) is not None:
            raise RequestUnreadable(400)
        if len(data) > self._rules.head_bytes_max:
            raise RequestUnreadable(431)
        self._scanned = max(len(data) - 3, 1)
        self._count(len(data))
        return None

    @staticmethod
    def _bad_line(data: bytes | bytearray, at: int) -> RequestUnreadable:
        if _match_other_version(data, at) is not None:
            return RequestUnreadable(505, "unsupported protocol version")
        return RequestUnreadable(400)

    @staticmethod
    def _normalise(request: Request) -> None:
        """Absolute targets become a path; those that name no resource are refused (RFC 9112 3.2)."""
        if request.method == b"CONNECT":
            raise RequestUnreadable(405)
        target = request.target
        if target == b"*" and request.method == b"OPTIONS":
            return
        scheme, found, rest = target.partition(b"://")
        if not found or scheme.lower() not in (b"http", b"https"):
            raise RequestUnreadable(400)
        authority = re.split(rb"[/?]", rest, maxsplit=1)[0]
        path = rest[len(authority) :]
        if not authority:
            raise RequestUnreadable(400)
        request.target = path if path.startswith(b"/") else b"/" + path

    def _begin_body(self, request: Request, block: _Block) -> Request | None:
        if block.flags & _EXPECT_OTHER:
            raise RequestUnreadable(417)
        length = block.length
        if length == 0:
            return request
        if length == _CHUNKED and request.version == 10:
            raise RequestUnreadable(400)
        try:
            limit, request.sink = self._rules.take_body(request)
            if length > limit:
                raise BodyTooLarge(length, limit)
        except Exception as error:  # the application's refusal, whatever it is, is answered by the application
            self._request = request
            self.abandon()
            raise BodyRefused(request, error) from error
        self._request = request
        self._body = _Body(length, limit, request.sink)
        if self.empty:
            self.empty = False
            self._at = 0
            self.expecting = bool(block.flags & _EXPECT_CONTINUE) and request.version == 11
        return self._continue_body(request)

    def _continue_body(self, request: Request) -> Request | None:
        body = self._body
        if self.waiting is not None or body is None:
            return None
        data = self._data
        try:
            at, done, self.waiting = body.take(data, self._at)
        except RequestUnreadable:
            self.abandon()
            raise
        except Exception as error:  # TooLarge, or whatever the sink raised: answered by the application
            self.abandon()
            raise BodyRefused(request, error) from error
        if at == len(data):
            self._data = b""
            self._at = 0
        elif isinstance(data, bytearray):
            del data[:at]
            self._at = 0
        else:
            self._at = at
        if not done:
            if request.sink is None:
                self._count(body.taken + 1)
            return None
        self._release()
        self._request = self._body = None
        self.expecting = False
        self.empty = not self._data
        if self._data:
            self._data = bytes(self._data)
        if request.sink is None:
            request.body = body.whole()
        return request
