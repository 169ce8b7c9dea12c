"""
The check that a gRPC server says it is serving, by gRPC's own health service.

Source: Consul's documentation of gRPC checks; gRPC's "Health Checking Protocol" and "gRPC over HTTP2".
"""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure
from zope.interface import implementer

from txconsul.agent.checks.dialing import CannotDial, Secure, Target, dial, split_address
from txconsul.agent.checks.http2 import HTTP2Client, Response
from txconsul.agent.checks.tcp import LOOPBACK
from txconsul.errors import PeerMisbehaved, TxconsulError
from txconsul.interfaces import ICheck, INetwork
from txconsul.records.health import CRITICAL, PASSING, CheckResult

__all__ = ["GRPCCheck", "health_request", "serving_status"]

PATH = b"/grpc.health.v1.Health/Check"
#: By their numbers.
CODES = (
    *("OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound", "AlreadyExists"),
    *("PermissionDenied", "ResourceExhausted", "FailedPrecondition", "Aborted", "OutOfRange", "Unimplemented"),
    *("Internal", "Unavailable", "DataLoss", "Unauthenticated"),
)
STATUSES = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")
SERVING = "SERVING"
#: What an HTTP status means to gRPC where no gRPC status came with it.
_BY_HTTP_STATUS = {
    b"400": "Internal",
    b"401": "Unauthenticated",
    b"403": "PermissionDenied",
    b"404": "Unimplemented",
    b"429": "Unavailable",
    b"502": "Unavailable",
    b"503": "Unavailable",
    b"504": "Unavailable",
}
#: Compressed or not, and the length.
_PREFIX_BYTES = 5
#: Protocol Buffers' ways to write a value, and the bytes of those of fixed length.
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED = {_FIXED64: 8, _FIXED32: 4}
_VARINT_BYTES_MAX = 10


class RPCFailed(TxconsulError):
    """A call did not give what it should, in gRPC's words."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(f"rpc error: code = {code} desc = {description}")


def health_request(service: str) -> bytes:
    """
    The question, in its frame.

    @param service: empty for the whole server.

    >>> health_request("pay")
    b'\\x00\\x00\\x00\\x00\\x05\\n\\x03pay'
    """
    name = service.encode()
    message = b"\x0a" + _varint(len(name)) + name if name else b""
    return b"\0" + len(message).to_bytes(4, "big") + message


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def serving_status(body: bytes) -> str:
    """
    The status in a framed answer.

    @raise ValueError: it is none.

    >>> serving_status(bytes([0, 0, 0, 0, 2, 8, 1]))
    'SERVING'
    """
    if len(body) < _PREFIX_BYTES or len(body) != _PREFIX_BYTES + int.from_bytes(body[1:5], "big"):
        raise ValueError("the message is cut off")
    if body[0]:
        raise ValueError("the message is compressed")
    status, at = 0, _PREFIX_BYTES
    while at < len(body):
        key, at = _read_varint(body, at)
        kind = key & 7
        if kind == _VARINT:
            number, at = _read_varint(body, at)
            if key >> 3 == 1:
                status = number
        elif kind == _BYTES:
            length, at = _read_varint(body, at)
            at += length
        elif kind in _FIXED:
            at += _FIXED[kind]
        else:
            raise ValueError(f"a field is of the unknown kind {kind}")
    if at > len(body):
        raise ValueError("a field is cut off")
    return STATUSES[status] if status < len(STATUSES) else str(status)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    number = 0
    for shift, byte in enumerate(data[at : at + _VARINT_BYTES_MAX]):
        number |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return number, at + shift + 1
    raise ValueError("a number is cut off")


@implementer(ICheck)
class GRPCCheck:
    """
    @param target: C{host:port}, or C{host:port/service}.
    @param timeout: seconds for all of it.
    """

    def __init__(self, network: INetwork, target: str, timeout: float, secure: Secure | None = None) -> None:
        self._network = network
        self._target = target
        self._address, _, self._service = target.partition("/")
        self._timeout = timeout
        self._secure = secure

    def run(self) -> Deferred[CheckResult]:
        """See L{ICheck}."""
        found: Deferred[CheckResult] = Deferred.fromCoroutine(self._run())
        return found.addTimeout(self._timeout, self._network.clock).addErrback(self._failed)

    def _failed(self, reason: Failure) -> CheckResult:
        if reason.check(DeferredTimeout):
            text = str(RPCFailed("DeadlineExceeded", "context deadline exceeded"))
        else:
            reason.trap(RPCFailed)
            text = reason.getErrorMessage()
        return CheckResult(status=CRITICAL, output=text)

    async def _run(self) -> CheckResult:
        client = await self._dialled()
        try:
            response = await client.ask(self._headers(), health_request(self._service))
        except PeerMisbehaved as error:
            raise RPCFailed("Unavailable", f"connection error: {error}") from error
        finally:
            client.close()
        status = _status_of(response)
        if status != SERVING:
            return CheckResult(status=CRITICAL, output=f"gRPC {self._target} serving status: {status}")
        return CheckResult(status=PASSING, output=f"gRPC check {self._target}: success")

    async def _dialled(self) -> HTTP2Client:
        try:
            host, port = split_address(self._address)
            target = Target(host or LOOPBACK, port, self._secure)
            factory = Factory.forProtocol(HTTP2Client)
            client: HTTP2Client = await dial(self._network, target, factory, self._timeout)
        except (CannotDial, ValueError) as error:
            why = f'connection error: desc = "transport: Error while dialing: {error}"'
            raise RPCFailed("Unavailable", why) from error
        except PeerMisbehaved as error:
            why = f'connection error: desc = "transport: authentication handshake failed: {error}"'
            raise RPCFailed("Unavailable", why) from error
        return client

    def _headers(self) -> list[tuple[bytes, bytes]]:
        authority = (self._secure.name("") if self._secure is not None else "") or self._address
        return [
            (b":method", b"POST"),
            (b":scheme", b"http" if self._secure is None else b"https"),
            (b":path", PATH),
            (b":authority", authority.encode()),
            (b"te", b"trailers"),
            (b"content-type", b"application/grpc"),
            (b"user-agent", b"txconsul"),
            (b"grpc-timeout", b"%dm" % max(int(self._timeout * 1000), 1)),
        ]

    def stop(self) -> None:
        """See L{ICheck}."""


def _status_of(response: Response) -> str:
    """@raise RPCFailed: the answer is no status."""
    headers = response.headers
    given = headers.get(b"grpc-status")
    if given is None:
        status = headers.get(b":status", b"")
        code = _BY_HTTP_STATUS.get(status, "Unknown")
        raise RPCFailed(code, f"unexpected HTTP status code received from server: {status.decode('ascii', 'replace')}")
    if given != b"0":
        number = int(given) if given.isdigit() else 2
        code = CODES[number] if number < len(CODES) else f"Code({number})"
        raise RPCFailed(code, unquote_to_bytes(headers.get(b"grpc-message", b"")).decode("utf-8", "replace"))
    try:
        return serving_status(response.body)
    except ValueError as error:
        raise RPCFailed("Internal", f"grpc: failed to unmarshal the received message: {error}") from error
