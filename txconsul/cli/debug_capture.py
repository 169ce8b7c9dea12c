"""What C{txconsul debug} asks of an agent, and the files that it makes of it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from txconsul.cli.api import Answer, ApiError, Client
from txconsul.cli.call import Call
from txconsul.cli.columns import table
from txconsul.cli.gotext import file_error
from txconsul.cli.interrupting import Interrupted
from txconsul.codec.duration import SECOND

if TYPE_CHECKING:
    from txconsul.cli.debug import Recording

__all__ = ["capture_peers", "capture_static", "capture_streams"]

#: What is asked once: target, path and parameters.
_STATIC: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("host", "/v1/agent/host", {}),
    ("agent", "/v1/agent/self", {}),
    ("members", "/v1/agent/members", {"wan": "1"}),
)
#: What is asked once and goes on telling: target, file, path and parameters.
_STREAMS: tuple[tuple[str, str, str, dict[str, str]], ...] = (
    ("logs", "consul.log", "/v1/agent/monitor", {"loglevel": "TRACE"}),
    ("metrics", "metrics.json", "/v1/agent/metrics/stream", {}),
)
#: Seconds for the last bytes of a stream that was ended.
_LAST_SECONDS = 2.0


def capture_static(call: Call, client: Client, recording: Recording) -> None:
    """Ask what does not change. What cannot be had is told and left out."""
    problems = []
    for target, path, params in _STATIC:
        if target not in recording.targets:
            continue
        try:
            found = client.call("GET", path, params).json()
            with open(recording.path(f"{target}.json"), "w", encoding="utf-8") as file:
                json.dump(found, file, indent="\t", ensure_ascii=False)
        except ApiError as error:
            problems.append(f"{target}: {error}")
        except OSError as error:
            problems.append(file_error(error, recording.path(f"{target}.json")))
    for problem in problems:
        call.complain(f"Static capture failed: {problem}")


def capture_streams(call: Call, recording: Recording, wait: Callable[[float], object]) -> None:
    """
    Record what the agent goes on telling, for the recording's duration or until a signal.

    @param wait: waits so many seconds.
    """
    streams = [
        _Stream(call.client(), recording.path(name), path, params)
        for target, name, path, params in _STREAMS
        if target in recording.targets
    ]
    call.say(f"==> Beginning capture interval {_now()} (0)")
    problem = ""
    try:
        for one in streams:
            one.start()
        for count, seconds in enumerate(_intervals(recording)):
            call.say(f"==> Capture successful {_now()} ({count})")
            wait(seconds)
    except Interrupted:
        problem = "stopping collection due to shutdown signal"
    for one in streams:
        one.end()
        problem = problem or one.problem
    if problem:
        call.complain(f"==> Error encountered during collection: {problem}")


def _intervals(recording: Recording) -> Iterator[float]:
    """Seconds: whole intervals, and what is left of the duration."""
    left = recording.duration
    while left > 0:
        yield min(recording.interval, left) / SECOND
        left -= recording.interval


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S +0000 UTC", time.gmtime())


class _Stream(threading.Thread):
    """
    Copies what an agent goes on telling into a file.

    @ivar problem: why it could not, or an empty text.
    """

    def __init__(self, client: Client, name: str, path: str, params: dict[str, str]) -> None:
        super().__init__(daemon=True)
        self._client = client
        self._name = name
        self._path = path
        self._params = params
        self._answer: Answer | None = None
        self._ended = False
        self.problem = ""

    def run(self) -> None:
        """In a thread of its own."""
        try:
            answer = self._client.call("GET", self._path, self._params)
            self._answer = answer
            with open(self._name, "wb") as file:
                for piece in answer.pieces():
                    file.write(piece)
        except ApiError as error:
            if not self._ended:
                self.problem = str(error)
        except OSError as error:
            self.problem = file_error(error, self._name)

    def end(self) -> None:
        """Copy no more."""
        self._ended = True
        if self._answer is not None:
            self._answer.interrupt()
        self.join(_LAST_SECONDS)


def capture_peers(call: Call, client: Client, recording: Recording) -> None:
    """Who votes, and how far behind each is, as a table for people; Consul calls the file JSON all the same."""
    try:
        servers = client.call("GET", "/v1/operator/raft/configuration").fields().get("Servers")
    except ApiError as error:
        call.complain(f"Raft list peers capture failed: Failed to retrieve raft configuration: {error}")
        return
    servers = [one for one in servers if isinstance(one, dict)] if isinstance(servers, list) else []
    newest = next((_last(one) for one in servers if one.get("Leader")), 0)
    header = ["Node", "ID", "Address", "State", "Voter", "RaftProtocol", "Commit Index", "Trails Leader By"]
    try:
        with open(recording.path("listpeers.json"), "w", encoding="utf-8") as file:
            file.write(table([header, *(_row(one, newest) for one in servers)]))
    except OSError as error:
        reason = file_error(error, recording.path("listpeers.json"))
        call.complain(f"Raft list peers capture failed: failed to create listpeers file: {reason}")


def _last(server: dict[str, Any]) -> int:
    found = server.get("LastIndex")
    return found if isinstance(found, int) else 0


def _row(server: dict[str, Any], newest: int) -> list[str]:
    leads, behind = bool(server.get("Leader")), newest - _last(server)
    return [
        *(str(server.get(name, "")) for name in ("Node", "ID", "Address")),
        "leader" if leads else "follower",
        str(bool(server.get("Voter"))).lower(),
        str(server.get("ProtocolVersion") or "<=1"),
        str(_last(server)),
        "-" if leads else f"{behind} commit{'' if behind == 1 else 's'}",
    ]
