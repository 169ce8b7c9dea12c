"""
One hierarchy of errors: whose fault it is, and what the caller sees.

L{RequestRefused} is the asker's, L{PeerMisbehaved} the other side's, L{Unavailable} nobody's (try again) and
L{Corrupt} ours (stop). C{status} is the HTTP status, C{str(error)} the text that clients see.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "BadRequest",
    "CallLost",
    "CallTimedOut",
    "Conflict",
    "Corrupt",
    "DatacenterUnreachable",
    "DiskFailed",
    "DiskFull",
    "Forbidden",
    "GapInLog",
    "InvalidRequest",
    "LeaderNotTracked",
    "LeadershipLost",
    "MethodNotAllowed",
    "NoLeader",
    "NoPathToDatacenter",
    "NotFound",
    "NotReadyForConsistentReads",
    "PeerMisbehaved",
    "PermissionDenied",
    "RemoteError",
    "RequestRefused",
    "RetryElsewhere",
    "RetryLater",
    "TooLarge",
    "TooManyRequests",
    "TxconsulError",
    "Unavailable",
    "UnknownMethod",
    "UnknownService",
    "Unreachable",
    "several",
]


def several(problems: Sequence[str]) -> str:
    """
    Several problems as one text, as the field's Go programs list them.

    >>> several(["a", "b"])
    '2 errors occurred:\\n\\t* a\\n\\t* b\\n\\n'
    """
    head = "1 error occurred:" if len(problems) == 1 else f"{len(problems)} errors occurred:"
    return head + "".join(f"\n\t* {problem}" for problem in problems) + "\n\n"


class TxconsulError(Exception):
    """The base of everything that this program raises on purpose."""

    status = 500
    text = "Internal error"

    def __init__(self, text: str | None = None) -> None:
        super().__init__(self.text if text is None else text)


# ---- the asker's ----


class RequestRefused(TxconsulError):
    """The request cannot be served as it is; asking again will not help."""

    status = 400
    text = "Bad request"


class BadRequest(RequestRefused):
    """A parameter or a body cannot be understood."""


class PermissionDenied(RequestRefused):
    """The token may not do this."""

    status = 403
    text = "Permission denied"


class Forbidden(RequestRefused):
    """The configuration does not allow this, whoever asks."""

    status = 403
    text = "Forbidden"


class NotFound(RequestRefused):
    """What was named does not exist."""

    status = 404
    text = "Not found"


class MethodNotAllowed(RequestRefused):
    """The path is known, the HTTP method is not among its own; C{allowed} lists those."""

    status = 405

    def __init__(self, method: str, allowed: tuple[str, ...]) -> None:
        super().__init__(f"method {method} not allowed")
        self.allowed = allowed


class Conflict(RequestRefused):
    """The state is not what the request supposes."""

    status = 409
    text = "Conflict"


class TooLarge(RequestRefused):
    """The request is larger than a named limit."""

    status = 413
    text = "Request body too large"


class TooManyRequests(RequestRefused):
    """A limit on how often or how many was met."""

    status = 429
    text = "Your IP is issuing too many concurrent connections, please rate limit your calls"


class InvalidRequest(RequestRefused):
    """The request contradicts itself or the state. Consul answers with status 500, and clients know these texts."""

    status = 500


# ---- nobody's: try again ----


class Unavailable(TxconsulError):
    """The request may succeed later, elsewhere or both."""


class NoLeader(Unavailable):
    """The group has no leader now. The request was not proposed."""

    text = "No cluster leader"


class NoKnownServers(Unavailable):
    """No server of the datacenter is known to this agent."""

    text = "No known Consul servers"


class LeadershipLost(Unavailable):
    """The leader lost its place after it had proposed; whether the write happens is not known."""

    text = "leadership lost while committing log"


class NotReadyForConsistentReads(Unavailable):
    """A new leader has not yet committed an entry of its own term."""

    text = "Not ready to serve consistent reads"


class NoPathToDatacenter(Unavailable):
    """No server of the datacenter that was named is known."""

    text = "No path to datacenter"


class Unreachable(Unavailable):
    """No connection to another server could be made. The request was not sent, so that it may be sent elsewhere."""

    text = "rpc error getting client: failed to get conn"


class CallLost(Unavailable):
    """The connection ended before the answer came. Whether the request was carried out is not known."""

    text = "EOF"


class CallTimedOut(Unavailable):
    """The answer did not come in time. Whether the request was carried out is not known."""

    text = "i/o deadline reached"


class DatacenterUnreachable(Unavailable):
    """Servers of the datacenter that was named are known, but none of them answers."""

    text = "Remote DC has no server currently reachable"


class LeaderNotTracked(Unavailable):
    """The group has a leader, but gossip does not tell who that is."""

    text = "Raft leader not found in server lookup mapping"


class RetryElsewhere(TooManyRequests):
    """A server is asked too often; another one may not be. Nothing was done."""

    text = "rate limit exceeded, try again later or against a different server"


class RetryLater(Unavailable):
    """The leader is asked too often for what only it can do. Nothing was done."""

    status = 503
    text = "rate limit exceeded for operation that can only be performed by the leader, try again later"


class DiskFull(Unavailable):
    """There is no room to make the write durable. Nothing was taken; reads go on."""

    text = "no space left on device: the write was refused, reads go on"


# ---- the other side's ----


class PeerMisbehaved(TxconsulError):
    """The other side broke the protocol."""


class RemoteError(TxconsulError):
    """Another server answered with an error; C{str(error)} is its text as it came."""


# ---- ours: stop ----


class Corrupt(TxconsulError):
    """Bytes that we wrote, or were told to trust, are not what they must be."""

    text = "corrupt data"


class DiskFailed(Corrupt):
    """The disk refused a write or a sync; what it holds is not known any more."""

    text = "the disk failed"


class UnknownMethod(RequestRefused):
    """No endpoint has this name."""

    status = 500

    def __init__(self, method: str) -> None:
        super().__init__(f"rpc: can't find method {method}")


class UnknownService(UnknownMethod):
    """No endpoint's name begins like this."""

    def __init__(self, method: str) -> None:
        RequestRefused.__init__(self, f"rpc: can't find service {method}")


# ---- a mistake of this program, which nobody outside ever sees ----


class GapInLog(ValueError):
    """Entries given to a log that do not follow its newest one."""
