"""
The check that a program makes within a container, by the API of Docker's daemon: it is created, started, and asked for
its exit code, which means what a script's does.

Source: Consul's documentation of Docker checks; Docker Engine API, "Exec".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from zope.interface import implementer

from txconsul.agent.checks.dialing import CannotDial, Target, dial, split_address
from txconsul.agent.checks.http_client import HTTPClient, Reply
from txconsul.agent.checks.script import verdict
from txconsul.codec.duration import SECOND, format_duration
from txconsul.errors import InvalidRequest, PeerMisbehaved, TxconsulError
from txconsul.interfaces import ICheck, INetwork
from txconsul.records.health import CRITICAL, CheckResult

__all__ = ["DEFAULT_HOST", "Daemon", "DockerCheck", "daemon_of"]

#: Where the daemon listens unless DOCKER_HOST says otherwise.
DEFAULT_HOST = "unix:///var/run/docker.sock"
#: Kept of an answer that is read as JSON; that about an exec is a kilobyte or two.
ANSWER_BYTES_MAX = 64 * 1024
PORT = 2375
#: Between two questions whether the program has ended.
AGAIN_SECONDS = 0.1


class Daemon(NamedTuple):
    """
    @ivar host: for the Host header.
    @ivar base: of all paths.
    """

    target: Target
    host: str
    base: str


def daemon_of(host: str) -> Daemon:
    """
    Where the daemon is.

    @param host: as in C{DOCKER_HOST}: C{unix://PATH} or C{tcp://HOST:PORT}.
    @raise InvalidRequest: it is neither.

    >>> daemon_of("unix:///run/docker.sock").target.path
    '/run/docker.sock'
    """
    kind, separator, rest = host.partition("://")
    if separator and kind == "unix" and rest:
        return Daemon(Target("", 0, None, rest), "docker", "")
    if separator and kind in ("tcp", "http"):
        url = urlsplit(f"http://{rest}")
        try:
            name, port = split_address(url.netloc, PORT)
        except ValueError as error:
            raise InvalidRequest(f"unable to parse docker host `{host}`: {error}") from None
        return Daemon(Target(name, port), url.netloc, url.path.rstrip("/"))
    raise InvalidRequest(f"unable to parse docker host `{host}`")


class _Failed(TxconsulError):
    """The daemon did not do it; the text says what and why."""


class _Created(msgspec.Struct):
    id: str = msgspec.field(name="Id")


class _Inspected(msgspec.Struct):
    running: bool = msgspec.field(name="Running", default=False)
    exit_code: int | None = msgspec.field(name="ExitCode", default=0)


@implementer(ICheck)
class DockerCheck:
    """
    @param container: its id or name.
    @param arguments: the program within the container, and its arguments.
    @param timeout: seconds for all of it. The program itself is Docker's, and is not ended.
    @param output_size_max: bytes of the output that are kept.
    """

    def __init__(
        self,
        network: INetwork,
        daemon: Daemon,
        container: str,
        arguments: Sequence[str],
        timeout: float,
        output_size_max: int,
    ) -> None:
        self._network = network
        self._daemon = daemon
        self._container = container
        self._arguments = arguments
        self._timeout = timeout
        self._output_size_max = output_size_max

    def run(self) -> Deferred[CheckResult]:
        """See L{ICheck}."""
        found: Deferred[CheckResult] = Deferred.fromCoroutine(self._run())
        return found.addTimeout(self._timeout, self._network.clock).addErrback(self._failed)

    def _failed(self, reason: Failure) -> CheckResult:
        if reason.check(DeferredTimeout):
            return CheckResult(
                status=CRITICAL, output=f"Timed out ({format_duration(int(self._timeout * SECOND))}) running check"
            )
        reason.trap(_Failed)
        return CheckResult(status=CRITICAL, output=reason.getErrorMessage())

    async def _run(self) -> CheckResult:
        name = await self._create()
        output = (await self._start(name)).body
        return CheckResult(status=verdict(await self._inspect(name)), output=output.remarked())

    async def _create(self) -> str:
        body = {
            "AttachStdin": False,
            "AttachStdout": True,
            "AttachStderr": True,
            "Tty": False,
            "Cmd": list(self._arguments),
        }
        reply = await self._ask("create", "POST", f"/containers/{quote(self._container, safe='')}/exec", body)
        container = self._container
        if reply.status == 404:
            raise _Failed(f"create exec failed for unknown container {container}")
        if reply.status == 409:
            raise _Failed(f"create exec failed since container {container} is paused or stopped")
        if reply.status != 201:
            status, text = reply.status, reply.body.text()
            raise _Failed(f"create exec failed for container {container} with status {status}: {text}")
        created: _Created = self._parsed("create", reply, _Created)
        return created.id

    async def _start(self, name: str) -> Reply:
        # With a terminal, output and errors come as they are; otherwise they would be framed.
        body = {"Detach": False, "Tty": True}
        reply = await self._ask("start", "POST", f"/exec/{quote(name, safe='')}/start", body, self._output_size_max)
        if reply.status == 409:
            raise _Failed(f"start exec failed since container {self._container} is paused or stopped")
        self._require_ok("start", name, reply)
        return reply

    async def _inspect(self, name: str) -> int | None:
        while True:
            reply = await self._ask("inspect", "GET", f"/exec/{quote(name, safe='')}/json", None)
            self._require_ok("inspect", name, reply)
            found: _Inspected = self._parsed("inspect", reply, _Inspected)
            if not found.running:
                return found.exit_code
            # The output may end a moment before the program has.
            await deferLater(self._network.clock, AGAIN_SECONDS)

    def _require_ok(self, what: str, name: str, reply: Reply) -> None:
        if reply.status == 404:
            raise _Failed(f"{what} exec failed for container {self._container}: invalid exec id {name}")
        if reply.status != 200:
            status, text = reply.status, reply.body.text()
            raise _Failed(f"{what} exec failed for container {self._container} with status {status}: {text}")

    def _parsed(self, what: str, reply: Reply, shape: Any) -> Any:
        try:
            return msgspec.json.decode(reply.body.data, type=shape)
        except msgspec.MsgspecError as error:
            text = f"{what} exec response for container {self._container} cannot be parsed: {error}"
            raise _Failed(text) from None

    async def _ask(self, what: str, method: str, path: str, body: Any, kept: int = ANSWER_BYTES_MAX) -> Reply:
        data = b"" if body is None else msgspec.json.encode(body)
        lines = [f"{method} {self._daemon.base}{path} HTTP/1.1", f"Host: {self._daemon.host}", "Connection: close"]
        if body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(data)}"]
        request = "\r\n".join((*lines, "", "")).encode() + data
        factory = Factory.forProtocol(HTTPClient)
        try:
            client = await dial(self._network, self._daemon.target, factory, self._timeout)
            reply: Reply = await client.ask(request, kept)
        except (CannotDial, PeerMisbehaved) as error:
            raise _Failed(f"{what} exec failed for container {self._container}: {error}") from error
        client.close()
        return reply

    def stop(self) -> None:
        """See L{ICheck}."""
