"""
Writers on keep-alive connections, for the plug-pulling test: one thread, many requests in flight, and a book of what
was sent, what was acknowledged, and therefore of what must be found afterwards.
"""

from __future__ import annotations

import base64
import json
import select
import socket
import time
from abc import abstractmethod
from collections import deque
from random import Random
from typing import Any

__all__ = ["Locker", "Writer", "run_until"]

#: Requests that a writer keeps in flight.
IN_FLIGHT = 4
#: Keys that a writer writes to in turn.
KEYS = 8
_RECEIVE_BYTES = 1 << 16


class _Client:
    """One connection: requests out, answers in, in their order."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.link: socket.socket | None = None
        self._input = b""
        self._output = b""

    def connect(self, path: str) -> None:
        """Begin anew on a fresh connection."""
        self.link = socket.socket(socket.AF_UNIX)
        self.link.connect(path)
        self.link.setblocking(False)
        self._input = self._output = b""
        self.begin()

    def fileno(self) -> int:
        """For select."""
        assert self.link is not None
        return self.link.fileno()

    def request(self, method: str, path: str, body: bytes = b"") -> None:
        """Queue a request."""
        self._output += b"%b %b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (
            method.encode(),
            path.encode(),
            len(body),
            body,
        )

    def flush(self) -> None:
        """Send what the socket takes."""
        assert self.link is not None
        if self._output:
            try:
                self._output = self._output[self.link.send(self._output) :]
            except BlockingIOError:
                pass
            except OSError:  # the agent is gone; what it said before is still to be read
                self._output = b""

    def receive(self) -> bool:
        """
        Take the answers that are there.

        @return: whether the connection is still open.
        """
        assert self.link is not None
        try:
            data = self.link.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self._input += data
        while (end := self._input.find(b"\r\n\r\n")) >= 0:
            head = self._input[:end].decode("ascii")
            length = next(
                int(line.partition(":")[2]) for line in head.split("\r\n") if line.lower().startswith("content-length:")
            )
            if len(self._input) < end + 4 + length:
                break
            body = self._input[end + 4 : end + 4 + length]
            self._input = self._input[end + 4 + length :]
            self.answered(int(head.split()[1]), body)
        return bool(data)

    def close(self) -> None:
        """Give the connection up."""
        if self.link is not None:
            self.link.close()
            self.link = None

    @abstractmethod
    def begin(self) -> None:
        """A fresh connection is there; nothing of an earlier one is in flight."""

    @abstractmethod
    def more(self) -> None:
        """Queue what is to be sent now."""

    @abstractmethod
    def answered(self, status: int, body: bytes) -> None:
        """The answer to the oldest request in flight."""


class Writer(_Client):
    """
    Writes a counter to its keys in turn, with many requests in flight.

    @ivar sent: for each key the counters that were written to it, in order.
    @ivar acknowledged: the largest counter that is known to be durable; 0 if none is.
    """

    def __init__(self, name: str, rng: Random) -> None:
        super().__init__(name)
        self._rng = rng
        self._counter = 0
        self._in_flight: deque[int] = deque()
        self.sent: dict[str, list[int]] = {}
        self.acknowledged = 0
        self.total = 0

    def begin(self) -> None:
        """See L{_Client.begin}."""
        self._in_flight.clear()

    def more(self) -> None:
        """Fill up what is in flight."""
        while len(self._in_flight) < IN_FLIGHT:
            self._counter += 1
            key = f"plug/{self.name}/{self._rng.randrange(KEYS)}"
            self.request("PUT", f"/v1/kv/{key}", b"%d" % self._counter + b" " * self._rng.randrange(200))
            self.sent.setdefault(key, []).append(self._counter)
            self._in_flight.append(self._counter)

    def answered(self, status: int, body: bytes) -> None:
        """See L{_Client.answered}."""
        if status != 200 or body.strip() != b"true":
            raise AssertionError(f"a write was answered with {status} {body!r}")
        self.acknowledged = self._in_flight.popleft()
        self.total += 1

    def judge(self, found: dict[str, int]) -> list[str]:
        """
        Compare what is found with what must be there: a beginning of all that was sent, in the order in which it was
        sent, no shorter than what was acknowledged. What was lost is forgotten, for the next round.

        @param found: the counter in each key.
        @return: what is wrong.
        """
        wrong = []
        newest = max((found.get(key, 0) for key in self.sent), default=0)
        if newest < self.acknowledged:
            wrong.append(f"{self.name}: write {self.acknowledged} was acknowledged, the newest found is {newest}")
        for key, counters in self.sent.items():
            expected = max((one for one in counters if one <= newest), default=0)
            if found.get(key, 0) != expected:
                wrong.append(f"{key}: found {found.get(key, 0)}, expected {expected} (newest {newest})")
            self.sent[key] = [expected] if expected else []
        return wrong


class Locker(_Client):
    """
    Goes round: create a session, take a lock with it, write two keys in one transaction, release, destroy.

    @ivar step: how many steps were acknowledged in this round, of L{STEPS}.
    """

    STEPS = ("create", "acquire", "txn", "release", "destroy")

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.round = 0
        self.step = 0
        self.session = ""
        self._waiting = False
        self._destroyed = ""
        self.acknowledged_txn = 0
        self.total = 0

    @property
    def lock(self) -> str:
        """The key that is locked."""
        return f"lock/{self.name}"

    @property
    def pair(self) -> tuple[str, str]:
        """The keys that are written together."""
        return f"txn/{self.name}/a", f"txn/{self.name}/b"

    def begin(self) -> None:
        """See L{_Client.begin}. Sessions of earlier rounds that may be left were destroyed by L{judge}'s caller."""
        self.round += 1
        self.step = 0
        self.session = ""
        self._waiting = False

    def more(self) -> None:
        """The next step, once the one before is acknowledged."""
        if self._waiting:
            return
        self._waiting = True
        step = self.STEPS[self.step]
        if step == "create":
            self.request("PUT", "/v1/session/create", json.dumps({"Name": self.name, "LockDelay": "0s"}).encode())
        elif step in ("acquire", "release"):
            self.request("PUT", f"/v1/kv/{self.lock}?{step}={self.session}", b"%d" % self.round)
        elif step == "txn":
            encoded = base64.b64encode(b"%d" % self.round).decode()
            operations = [{"KV": {"Verb": "set", "Key": key, "Value": encoded}} for key in self.pair]
            self.request("PUT", "/v1/txn", json.dumps(operations).encode())
        else:
            self.request("PUT", f"/v1/session/destroy/{self.session}")

    def answered(self, status: int, body: bytes) -> None:
        """See L{_Client.answered}."""
        step = self.STEPS[self.step]
        if status != 200 or (step in ("acquire", "release", "destroy") and body.strip() != b"true"):
            raise AssertionError(f"{self.name}: {step} was answered with {status} {body!r}")
        if step == "create":
            self.session = json.loads(body)["ID"]
        elif step == "txn":
            self.acknowledged_txn = self.round
        self._waiting = False
        self.total += 1
        self.step += 1
        if self.step == len(self.STEPS):
            self._destroyed = self.session
            self.begin()

    def judge(self, values: dict[str, int], lock: dict[str, Any] | None, sessions: set[str]) -> list[str]:
        """
        Compare what is found with what must be there.

        @param values: the counters of the L{pair}, where they exist.
        @param lock: the entry of the L{lock}.
        @param sessions: the sessions of this name.
        @return: what is wrong.
        """
        wrong = []
        first, second = (values.get(key, 0) for key in self.pair)
        if first != second:
            wrong.append(f"{self.name}: half a transaction: {first} and {second}")
        if not self.acknowledged_txn <= first <= self.round:
            wrong.append(f"{self.name}: transaction {self.acknowledged_txn} was acknowledged, found {first}")
        if self._destroyed in sessions:
            wrong.append(f"{self.name}: session {self._destroyed} was destroyed, and is back")
        if not self.session:
            return wrong
        # What was acknowledged last must be seen, unless the next step was taken too.
        holder = (lock or {}).get("Session")
        took = lock is not None and int(lock["counter"]) == self.round
        if self.step < 4 and self.session not in sessions:
            wrong.append(f"{self.name}: session {self.session} is gone after {self.step} steps")
        if self.step == 2 and not (took and holder == self.session):
            wrong.append(f"{self.name}: the lock is not held: {lock}")
        if self.step >= 4 and holder is not None:
            wrong.append(f"{self.name}: the lock is still held: {lock}")
        return wrong


def run_until(clients: list[Writer | Locker], seconds: float, then: Any) -> None:
    """
    Let the clients work for some time, call C{then}, and take the answers that come until their connections end.

    @param then: ends the agent.
    """
    until = time.monotonic() + seconds
    open_ = list(clients)
    while (left := until - time.monotonic()) > 0 and open_:
        for client in open_:
            client.more()
            client.flush()
        readable, _, _ = select.select(open_, [], [], left)
        for client in readable:
            if not client.receive():
                raise AssertionError("the agent closed a connection by itself")
    then()
    for client in open_:
        assert client.link is not None
        client.link.setblocking(True)
        while client.receive():
            pass
        client.close()
