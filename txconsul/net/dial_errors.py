"""Why a connection did not come about, in the words that Go's programs have for it."""

from __future__ import annotations

import os

from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.error import ConnectError, ConnectionRefusedError, DNSLookupError, TimeoutError
from twisted.python.failure import Failure

__all__ = ["dial_error"]


def dial_error(reason: Failure, target: str, host: str = "") -> str | None:
    """
    What there is to tell.

    @param target: where to: C{tcp 10.0.0.1:8301}.
    @param host: the name that may not be known.
    @return: None where the failure is none of a connection.
    """
    if reason.check(ConnectionRefusedError):
        why = "connect: connection refused"
    elif reason.check(TimeoutError, DeferredTimeout):
        why = "i/o timeout"
    elif reason.check(DNSLookupError):
        why = f"lookup {host}: no such host"
    elif reason.check(ConnectError, OSError):
        number = getattr(reason.value, "osError", None) or getattr(reason.value, "errno", None)
        why = f"connect: {_words(number)}" if isinstance(number, int) else reason.getErrorMessage()
    else:
        return None
    return f"dial {target}: {why}"


def _words(number: int) -> str:
    text = os.strerror(number)
    return text[:1].lower() + text[1:]
