"""
Runs commands for whoever asks by C{consul exec}: off unless C{disable_remote_exec} is false.

A user event names a session and a prefix of keys. What is to be done stands under them, and so does, from each agent
that is meant, first that it has heard, then the output in pieces, and the exit code in the end. All these keys are
held by the session: when that ends, the writes are refused, and nobody wants the rest.

Source: Consul's documentation of C{consul exec}.
"""

from __future__ import annotations

import os
import posixpath
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from txconsul.agent.checks.programs import CannotStart, Program, Start
from txconsul.agent.remote_output import FLUSH_SECONDS, Pieces
from txconsul.codec import json
from txconsul.codec.duration import SECOND
from txconsul.errors import TxconsulError
from txconsul.interfaces import ICaller
from txconsul.records.event import UserEvent
from txconsul.records.kv import DirEntry, KeyRequest, KVSRequest
from txconsul.records.query import Context, QueryOptions
from txconsul.records.remote_exec import ACK, EXIT, JOB, OUTPUT, CommandEvent, CommandSpec

__all__ = ["COMMANDS_MAX", "FAILED", "RemoteExec"]

#: What is told where a command could not be run or followed to its end.
FAILED = 255
#: Commands at a time: events cost those nothing who send them.
COMMANDS_MAX = 64
_SCRIPT_MODE = 0o750


class _NotWanted(Exception):
    """A key could not be written: nobody waits for the rest. The text says why."""


class RemoteExec(Service):
    """Commands that run here. When the agent stops they go on, but nobody hears of them any more."""

    name = "remote exec"
    _log = Logger("txconsul.agent")

    def __init__(self, door: ICaller, datacenter: str, node: str, start: Start, clock: IReactorTime) -> None:
        """@param node: the agent's name."""
        self._door = door
        self._datacenter = datacenter
        self._node = node
        self._start = start
        self._clock = clock
        self._running: set[Deferred[None]] = set()

    def stopService(self) -> None:
        """Follow no command any more."""
        super().stopService()
        for running in list(self._running):
            running.cancel()

    def run(self, event: UserEvent) -> None:
        """Somebody asks for a command."""
        self._log.debug("received remote exec event: id={id}", id=event.id)
        if len(self._running) >= COMMANDS_MAX:
            self._log.error("remote exec is refused: {count} commands run already", count=COMMANDS_MAX)
            return
        try:
            asked = json.decode(CommandEvent, event.payload or b"")
        except json.BadJSON as error:
            self._log.error("failed to decode remote exec event: error={error}", error=error)
            return
        running = Deferred.fromCoroutine(self._serve(asked))
        self._running.add(running)
        running.addErrback(self._failed)
        running.addCallback(lambda _: self._running.discard(running))

    def _failed(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self._log.failure("remote exec failed", failure)

    # ---- one command ----

    async def _serve(self, asked: CommandEvent) -> None:
        try:
            spec = await self._spec(asked)
            if spec is None:
                return
            await self._write(asked, ACK, None)
        except (TxconsulError, _NotWanted) as error:
            self._log.error("remote exec job is not taken: error={error}", error=error)
            return
        code = await self._follow(asked, spec)
        try:
            await self._write(asked, EXIT, str(code).encode())
        except (TxconsulError, _NotWanted) as error:
            self._log.error("failed to write exit code for remote exec job: error={error}", error=error)

    async def _spec(self, asked: CommandEvent) -> CommandSpec | None:
        """What is to be done: read from any server, and if that does not know it yet, from the leader."""
        for stale in (True, False):
            request = KeyRequest(
                datacenter=self._datacenter,
                key=_key(asked.prefix, asked.session, JOB),
                options=QueryOptions(allow_stale=stale),
            )
            answer = await self._ask("KVS.Get", request)
            if answer.value is not None:
                return json.decode(CommandSpec, answer.value.value or b"")
        self._log.debug("remote exec aborted, job spec missing")
        return None

    async def _follow(self, asked: CommandEvent, spec: CommandSpec) -> int:
        """Run it to its end. @return: its exit code."""
        script = ""
        try:
            script = _spill(spec.script) if spec.script else ""
            words = list(spec.args or ()) or _shell(script or spec.command)
            self._log.info("remote exec: {words}", words=ascii(words))
            pieces = Pieces(self._clock)
            program = self._start(words, pieces)
            return await self._upload(asked, spec, program, pieces)
        except (CannotStart, OSError, ValueError) as error:
            self._log.debug("failed to start remote exec: error={error}", error=error)
            return FAILED
        finally:
            if script:
                with suppress(OSError):
                    os.unlink(script)

    async def _upload(self, asked: CommandEvent, spec: CommandSpec, program: Program, pieces: Pieces) -> int:
        pieces.hold = program.hold
        program.ended.addCallback(pieces.end)
        number = 0
        try:
            while (piece := await pieces.next(max(spec.wait / SECOND, FLUSH_SECONDS))) is not None:
                await self._write(asked, f"{OUTPUT}/{number:05x}", piece)
                number += 1
        except (TxconsulError, _NotWanted) as error:
            self._log.error("failed to write output for remote exec job: error={error}", error=error)
            return FAILED
        finally:
            pieces.discard()
        code = await program.ended
        return -1 if code is None else code

    async def _write(self, asked: CommandEvent, name: str, value: bytes | None) -> None:
        """@raise _NotWanted: the session does not hold the key, or is over."""
        entry = DirEntry(key=_key(asked.prefix, asked.session, self._node, name), value=value, session=asked.session)
        request = KVSRequest(datacenter=self._datacenter, op="lock", dir_ent=entry)
        if await self._ask("KVS.Apply", request) is not True:
            raise _NotWanted("write failed")

    def _ask(self, method: str, request: Any) -> Deferred[Any]:
        return maybeDeferred(self._door.call, method, request, Context(source="remote exec"))


def _key(*parts: str) -> bytes:
    """A key of some parts, without empty ones and dots."""
    joined = posixpath.normpath("/".join([part for part in parts if part]))
    return joined.encode("utf-8", "surrogateescape")


def _shell(line: str) -> Sequence[str]:
    return [os.environ.get("SHELL") or "/bin/sh", "-c", line]


def _spill(script: bytes) -> str:
    """A script as a file that this user may run. @return: its path."""
    descriptor, path = tempfile.mkstemp(prefix="rexec")
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, _SCRIPT_MODE)
        file.write(script)
    return path
