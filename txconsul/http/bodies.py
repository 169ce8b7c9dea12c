"""
How much of a request's body is taken, and where it goes: asked before the body comes.
"""

from __future__ import annotations

import tempfile
from typing import IO

from twisted.logger import Logger
from twisted.python.failure import Failure

from txconsul.errors import TooLarge, TxconsulError
from txconsul.http.answers import failure
from txconsul.http.request import BodyTooLarge, Request
from txconsul.http.response import Response
from txconsul.http.routes_kv import too_large as value_too_large
from txconsul.http.routes_txn import too_large as txn_too_large
from txconsul.http.settings import HTTPSettings

__all__ = ["Bodies", "Spool"]

#: Bodies of paths that name no limit of their own: Consul's default for values and transactions.
BODY_BYTES_MAX = 512 * 1024
#: A snapshot's archive. It goes to a temporary file, so that only the disk bounds it; this keeps a lying client from
#: filling one altogether.
ARCHIVE_BYTES_MAX = 64 * 1024**3
#: Archives up to this are kept in memory.
SPOOL_MEMORY_BYTES = 1 << 20

_KV = b"/v1/kv/"
_TXN = b"/v1/txn"
_SNAPSHOT = b"/v1/snapshot"


class Spool:
    """A L{txconsul.http.request.BodySink} that keeps a body in a temporary file."""

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(SPOOL_MEMORY_BYTES)  # noqa: SIM115

    def write(self, data: bytes) -> None:
        """Take the next piece."""
        self._file.write(data)

    def abandon(self) -> None:
        """The rest does not come."""
        self._file.close()

    def file(self) -> IO[bytes]:
        """The whole body, from its beginning; whoever asks closes it."""
        self._file.seek(0)
        return self._file


class Bodies:
    """The answers to what L{txconsul.http.server.HTTPFactory} asks before it takes a body."""

    _log = Logger("txconsul.http")

    def __init__(self, settings: HTTPSettings) -> None:
        self._settings = settings

    def limit(self, request: Request) -> int:
        """The longest body, in bytes."""
        path = _path(request)
        if path.startswith(_KV):
            return self._settings.kv_max_value_size
        if path == _TXN:
            return self._settings.txn_max_req_len
        return ARCHIVE_BYTES_MAX if path == _SNAPSHOT else BODY_BYTES_MAX

    def sink(self, request: Request) -> Spool | None:
        """Where the body goes instead of memory."""
        return Spool() if request.method == b"PUT" and _path(request) == _SNAPSHOT else None

    def refused(self, request: Request, reason: Exception) -> Response:
        """The answer to a body that was not taken."""
        if isinstance(reason, TooLarge):
            return failure(self._settings, self._too_large(request, reason))
        if isinstance(reason, TxconsulError):
            return failure(self._settings, reason)
        self._log.failure("A body could not be taken", Failure(reason))
        return failure(self._settings, TxconsulError())

    def _too_large(self, request: Request, reason: TooLarge) -> TooLarge:
        """The refusal in Consul's words, where the length is known."""
        path = _path(request)
        if not isinstance(reason, BodyTooLarge) or not (path.startswith(_KV) or path == _TXN):
            return TooLarge()
        refuse = txn_too_large if path == _TXN else value_too_large
        return refuse(reason.length, reason.limit)


def _path(request: Request) -> bytes:
    return request.target.partition(b"?")[0]
