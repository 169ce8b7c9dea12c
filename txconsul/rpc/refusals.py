"""
Errors on their way between servers. They have no codes: what they are is told by words in them, whoever put others
before.

Source: the wire documents, RPC section 5.
"""

from __future__ import annotations

from txconsul.endpoints.prepared_query import QueryNotFound
from txconsul.errors import (
    BadRequest,
    CallLost,
    DatacenterUnreachable,
    InvalidRequest,
    LeaderNotTracked,
    LeadershipLost,
    NoKnownServers,
    NoLeader,
    NoPathToDatacenter,
    NotReadyForConsistentReads,
    PermissionDenied,
    RetryElsewhere,
    RetryLater,
    TooManyRequests,
    TxconsulError,
)

__all__ = ["HOP", "refusal"]

#: What every server that asked another one puts before its words.
HOP = "rpc error making call: "

#: Words, and what an error with them is. The first that are found count.
_MEANINGS: tuple[tuple[str, type[TxconsulError]], ...] = (
    (PermissionDenied.text, PermissionDenied),
    ("ACL not found", PermissionDenied),  # of the token itself: its bearer may do nothing
    (NoLeader.text, NoLeader),
    (LeadershipLost.text, LeadershipLost),
    (NotReadyForConsistentReads.text, NotReadyForConsistentReads),
    (LeaderNotTracked.text, LeaderNotTracked),
    (NoPathToDatacenter.text, NoPathToDatacenter),
    (DatacenterUnreachable.text, DatacenterUnreachable),
    (NoKnownServers.text, NoKnownServers),
    (RetryElsewhere.text, RetryElsewhere),
    (RetryLater.text, RetryLater),
    ("RPC rate limit exceeded", TooManyRequests),
    (QueryNotFound.text, QueryNotFound),
    ("Invalid key name", BadRequest),
)


#: What is said of a connection that broke between two other servers.
_LOST = ("stream closed", "session shutdown")


def refusal(text: str) -> TxconsulError:
    """
    What a server answered instead of a reply.

    @return: an error of the class that it would have been here, with the text as it is.
    """
    for words, meaning in _MEANINGS:
        if words in text:
            return meaning(text)
    if text.endswith(f": {CallLost.text}") or any(words in text for words in _LOST):
        return CallLost(text)
    return InvalidRequest(text)
