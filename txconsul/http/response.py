"""
What the application answers with, and its way into bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from msgspec import Struct

from txconsul.http.request import RequestUnreadable

__all__ = ["Response", "plain", "reason_phrase", "status_line", "unreadable"]

_PLAIN = b"Content-Type: text/plain; charset=utf-8\r\n"


class Response(Struct):
    """
    One answer.

    @ivar status: the HTTP status.
    @ivar head: further header lines, ready made, each ending in CRLF. Not among them: C{Date}, C{Content-Length},
        C{Transfer-Encoding} and C{Connection}, which the connection writes.
    @ivar body: all of it; or an iterator of pieces, each C{bytes} or a L{Deferred} of C{bytes}. The next piece is asked
        for when the client has taken those before it. C{close()}, where the iterator has it, is called if the
        client is gone or the request was C{HEAD}. An iterator that raises, or gives other than C{length} bytes, breaks
        the connection off, so that the client knows.
    @ivar length: of what an iterator gives altogether, in bytes, where known; else the body is chunked.
    @ivar close: the connection ends with this answer.
    """

    status: int
    head: bytes = b""
    body: bytes | Iterator[Any] = b""
    length: int | None = None
    close: bool = False


def reason_phrase(status: int) -> str:
    """The words after the status, C{""} for one that nobody named."""
    try:
        return HTTPStatus(status).phrase if status != 413 else "Request Entity Too Large"
    except ValueError:
        return ""


def status_line(status: int) -> bytes:
    """The first line of an answer, CRLF included."""
    return f"HTTP/1.1 {status} {reason_phrase(status)}\r\n".encode("ascii")


def plain(status: int, text: str, close: bool = False) -> Response:
    """An answer for people to read."""
    return Response(status, _PLAIN, text.encode("utf-8"), None, close)


def unreadable(error: RequestUnreadable) -> Response:
    """The last answer of a connection, in Go's text: status and phrase, and sometimes a reason."""
    text = f"{error.status} {reason_phrase(error.status)}"
    if error.status == 501:
        text = str(error)
    elif str(error):
        text += f": {error}"
    return plain(error.status, text, close=True)
