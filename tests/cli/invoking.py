"""Run commands without a process or a socket."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO

from txconsul.cli.api import Answer, Client, Request, TransportFailed
from txconsul.cli.dispatch import dispatch
from txconsul.cli.settings import Settings

__all__ = ["FakeAgent", "Outcome", "answer", "invoke"]


def answer(body: bytes | str = b"", status: int = 200, **headers: str) -> Answer:
    """What an agent says; header names with underscores for dashes."""
    data = body.encode() if isinstance(body, str) else body
    return Answer(status, {name.lower().replace("_", "-"): value for name, value in headers.items()}, BytesIO(data))


@dataclass
class Outcome:
    """How a command ended."""

    status: int
    out: bytes
    err: str


@dataclass
class FakeAgent:
    """
    Answers requests by their method and target, and keeps them.

    @ivar answers: C{"GET /v1/kv/a"} to an answer, or to a function of the request, or to an exception.
    @ivar settings: those that the last command spoke with.
    """

    answers: dict[str, Answer | Exception | Callable[[Request], Answer]] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    settings: Settings | None = None

    def connect(self, settings: Settings) -> Client:
        self.settings = settings
        return Client(settings, self._exchange)

    def _exchange(self, request: Request) -> Answer:
        self.requests.append(request)
        body = request.body or b""
        self.bodies.append(body if isinstance(body, bytes) else b"".join(body))
        found = self.answers.get(f"{request.method} {request.target}")
        if found is None:
            raise TransportFailed(f"no answer prepared for {request.method} {request.target}")
        if isinstance(found, Exception):
            raise found
        return found if isinstance(found, Answer) else found(request)


def invoke(
    *words: str, agent: FakeAgent | None = None, stdin: bytes = b"", environment: dict[str, str] | None = None
) -> Outcome:
    """Run the command line C{txconsul WORDS...}."""
    out, err = BytesIO(), BytesIO()
    status = dispatch(words, environment or {}, BytesIO(stdin), out, err, (agent or FakeAgent()).connect)
    return Outcome(status, out.getvalue(), err.getvalue().decode("utf-8", "replace"))
