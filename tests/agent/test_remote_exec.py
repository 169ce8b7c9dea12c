"""Commands that an agent runs for others: what it asks for, what it writes, and what it makes of trouble."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.endpoints.serving import Served
from txconsul.agent.checks.programs import CannotStart, starter
from txconsul.agent.remote_exec import COMMANDS_MAX, RemoteExec
from txconsul.agent.remote_output import FLUSH_SECONDS, HELD_BYTES_MAX, PIECE_BYTES_MAX, Pieces
from txconsul.records.catalog import RegisterRequest
from txconsul.records.event import UserEvent
from txconsul.records.kv import DirEntry, KeyRequest, KVSRequest
from txconsul.records.session import Session, SessionRequest

SECOND = 1_000_000_000


class FakeProgram:
    """A program that does what a test says."""

    def __init__(self, words: Sequence[str], pieces: Pieces) -> None:
        self.words = list(words)
        self.pieces = pieces
        self.ended: Deferred[int | None] = Deferred()
        self.held = False

    def hold(self, held: bool) -> None:
        """Remember it."""
        self.held = held


class CommandTests(SynchronousTestCase):
    """Against a door that commits at once."""

    def setUp(self) -> None:
        self.served = Served()
        self.programs: list[FakeProgram] = []
        self.problem: CannotStart | None = None
        self.commands = RemoteExec(self.served.door, "dc1", "n1", self.start, self.served.clock)
        self.commands.startService()
        self.served.call("Catalog.Register", RegisterRequest(datacenter="dc1", node="n1", address="10.0.0.1"))
        session = Session(node="n1", behavior="delete", node_checks=())
        made = self.served.call("Session.Apply", SessionRequest(op="create", session=session))
        self.session: str = self.successResultOf(made)

    def start(self, words: Sequence[str], pieces: Pieces) -> Any:
        """Start nothing."""
        if self.problem is not None:
            raise self.problem
        self.programs.append(FakeProgram(words, pieces))
        return self.programs[-1]

    def put(self, key: str, value: bytes) -> None:
        """Write a key."""
        entry = DirEntry(key=key.encode(), value=value)
        self.served.call("KVS.Apply", KVSRequest(op="set", dir_ent=entry))

    def value(self, name: str) -> bytes | None:
        """What the agent wrote; None where there is no such key."""
        found = self.served.call("KVS.Get", KeyRequest(key=f"p/{self.session}/n1/{name}".encode()))
        return None if found.value is None else found.value.value or b""

    def ask(self, spec: Any, prefix: str = "p") -> None:
        """Somebody asks for a command."""
        self.put(f"p/{self.session}/job", json.dumps(spec).encode())
        self.commands.run(UserEvent(payload=json.dumps({"Prefix": prefix, "Session": self.session}).encode()))

    def test_followed(self) -> None:
        """That it begins, what it writes, that it is at work, and how it ends, are keys of the session."""
        self.ask({"Args": ["a", "b c"], "Wait": 2 * SECOND})
        (program,) = self.programs
        self.assertEqual((program.words, self.value("ack"), self.value("exit")), (["a", "b c"], b"", None))
        program.pieces.add(b"x" * PIECE_BYTES_MAX + b"y")
        self.assertEqual(self.value("out/00000"), b"x" * PIECE_BYTES_MAX)
        self.served.clock.advance(FLUSH_SECONDS)
        self.assertEqual(self.value("out/00001"), b"y")
        self.served.clock.advance(2)
        self.assertEqual(self.value("out/00002"), b"")
        program.pieces.add(b"end")
        program.ended.callback(3)
        self.assertEqual((self.value("out/00003"), self.value("exit")), (b"end", b"3"))
        self.assertEqual(self.served.clock.getDelayedCalls(), [])

    def test_kinds(self) -> None:
        """A line is the shell's; a script is a file for as long as it runs, which its owner may run."""
        self.patch(os, "environ", {"SHELL": "/bin/other"})
        self.ask({"Command": "echo $HOME"})
        self.assertEqual(self.programs[-1].words, ["/bin/other", "-c", "echo $HOME"])
        self.ask({"Script": "IyEvYmluL3NoCg=="})
        shell, _, path = self.programs[-1].words
        self.assertEqual((shell, os.stat(path).st_mode & 0o777), ("/bin/other", 0o750))
        with open(path, "rb") as file:
            self.assertEqual(file.read(), b"#!/bin/sh\n")
        self.programs[-1].ended.callback(None)
        self.assertFalse(os.path.exists(path))
        self.assertEqual(self.value("exit"), b"-1")

    def test_cannotStart(self) -> None:
        """What cannot be started has ended with 255."""
        self.problem = CannotStart("no such program")
        self.ask({"Command": "x"})
        self.assertEqual((self.value("ack"), self.value("exit")), (b"", b"255"))

    def test_notForThisAgent(self) -> None:
        """Events without a command behind them, and what is no JSON, start nothing."""
        for payload in (b"", b"{", b"[]", b"{}", b'{"Prefix": "q", "Session": "x"}', b'{"Prefix": 5}', b"\xff"):
            self.commands.run(UserEvent(payload=payload))
        self.ask([1])
        self.ask({"Wait": "x"})
        self.assertEqual(self.programs, [])

    def test_sessionEnds(self) -> None:
        """When nobody waits any more, the program goes on, and nothing of it is kept."""
        self.ask({"Command": "x"})
        self.served.call("Session.Apply", SessionRequest(op="destroy", session=Session(id=self.session)))
        (program,) = self.programs
        program.pieces.add(b"x" * 10 * HELD_BYTES_MAX)
        self.assertFalse(program.held)
        self.assertEqual(self.served.clock.getDelayedCalls(), [])
        program.ended.callback(0)
        self.assertIsNone(self.value("exit"))

    def test_tooMany(self) -> None:
        """So many run at a time; when the agent stops, none is followed any more."""
        for _ in range(COMMANDS_MAX + 1):
            self.ask({"Command": "x", "Wait": SECOND})
        self.assertEqual(len(self.programs), COMMANDS_MAX)
        self.programs[0].ended.callback(0)
        self.ask({"Command": "x", "Wait": SECOND})
        self.assertEqual(len(self.programs), COMMANDS_MAX + 1)
        self.commands.stopService()
        self.assertEqual(self.served.clock.getDelayedCalls(), [])
        for program in self.programs[1:]:
            program.ended.callback(0)


class PiecesTests(SynchronousTestCase):
    """Output as it is cut up."""

    def test_holding(self) -> None:
        """Who writes faster than can be stored is held until enough is taken."""
        pieces, held = Pieces(Clock()), []
        pieces.hold = held.append
        pieces.add(b"x" * HELD_BYTES_MAX)
        self.assertEqual(held, [])
        pieces.add(b"x")
        self.assertEqual(held, [True])
        self.successResultOf(Deferred.fromCoroutine(pieces.next(1)))
        self.assertEqual(held, [True, False])

    @settings(max_examples=100)
    @given(st.lists(st.integers(0, 9000), max_size=8), st.booleans())
    def test_nothingIsLost(self, sizes: list[int], late: bool) -> None:
        """However it comes, all of it comes out in order, in pieces that are not too long."""
        clock = Clock()
        pieces, out = Pieces(clock), b""
        data = iter(bytes(range(256)) * 300)
        written = b""
        for size in sizes:
            chunk = bytes([next(data) for _ in range(size)])
            written += chunk
            pieces.add(chunk)
            if late:
                asked = Deferred.fromCoroutine(pieces.next(1))
                clock.advance(1)
                out += self.successResultOf(asked) or b""
        pieces.end(0)
        while (piece := self.successResultOf(Deferred.fromCoroutine(pieces.next(1)))) is not None:
            self.assertLessEqual(len(piece), PIECE_BYTES_MAX)
            out += piece
        self.assertEqual(out, written)


class ProgramTests(TestCase):
    """A real program."""

    @inlineCallbacks
    def test_held(self) -> Any:
        """A program that writes much waits while nobody takes it, and all of it comes in the end."""
        real: Any = reactor
        pieces = Pieces(real)
        program = starter(real)(["/bin/sh", "-c", "head -c 1000000 /dev/zero; echo err >&2; exit 5"], pieces)
        pieces.hold = program.hold
        program.ended.addCallback(pieces.end)
        while pieces.size <= HELD_BYTES_MAX:
            yield deferLater(real, 0.01, lambda: None)
        size = pieces.size
        yield deferLater(real, 0.05, lambda: None)
        self.assertEqual(pieces.size, size)
        self.assertLess(size, 1_000_000)
        total = b""
        while (piece := (yield Deferred.fromCoroutine(pieces.next(5)))) is not None:
            total += piece
        code = yield program.ended
        self.assertEqual((len(total), total[-4:], code), (1_000_004, b"err\n", 5))
