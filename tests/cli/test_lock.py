"""txconsul lock: what it does to the store, and when it gives up; by a clock that only counts."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.cli.invoking import FakeAgent, answer, invoke
from txconsul.cli.api import Answer, Client, Request, TransportFailed
from txconsul.cli.lock_session import create_session, keep_alive, watch_lock
from txconsul.cli.locks import Clock, LockError, Mutex, Semaphore
from txconsul.cli.settings import Settings

MUTEX = 3304740253564472344
SEMAPHORE = 16210313421097356768


def entry(key: str, flags: int, session: str = "", value: bytes = b"", index: int = 5) -> dict[str, Any]:
    """A key as the agent shows it."""
    shown = {"Key": key, "Flags": flags, "Value": b64encode(value).decode(), "ModifyIndex": index}
    return {**shown, **({"Session": session} if session else {})}


def holders(*sessions: str, limit: int = 2) -> dict[str, Any]:
    """A semaphore's C{.lock}."""
    value = json.dumps({"Limit": limit, "Holders": dict.fromkeys(sessions, True)}).encode()
    return entry("p/.lock", SEMAPHORE, value=value)


class LockCase(SynchronousTestCase):
    """
    @ivar script: the answers to come, each with the request that it belongs to.
    @ivar waits: seconds that were waited.
    """

    def setUp(self) -> None:
        """A clock at which each question takes four seconds."""
        self.now = 0.0
        self.waits: list[float] = []
        self.script: list[tuple[str, Answer | Exception]] = []
        self.clock = Clock(lambda: self.now, self.waits.append)

    def client(self, *script: tuple[str, Any]) -> Client:
        """An agent that is asked just this, in this order; JSON answers have the index 9."""
        self.script = [
            (asked, one if isinstance(one, Answer | Exception) else answer(json.dumps(one), X_Consul_Index="9"))
            for asked, one in script
        ]
        return Client(Settings(), self._exchange)

    def _exchange(self, request: Request) -> Answer:
        self.now += 4
        expected, found = self.script.pop(0)
        self.assertEqual(f"{request.method} {request.target}", expected)
        if isinstance(found, Exception):
            raise found
        return found

    def tearDown(self) -> None:
        """All was asked."""
        self.assertEqual(self.script, [])


ABSENT = answer("", 404, X_Consul_Index="9")
READ = "GET /v1/kv/p/.lock?wait=15000ms"
ACQUIRE = f"PUT /v1/kv/p/.lock?acquire=s&flags={MUTEX}"


class MutexTests(LockCase):
    """L{Mutex}."""

    def acquire(self, client: Client, seconds: float | None = None) -> bool:
        """Whether it is had."""
        return Mutex("p").acquire(client, "s", seconds, self.clock)

    def test_free(self) -> None:
        """A lock that nobody has is acquired."""
        self.assertTrue(self.acquire(self.client((READ, answer("", 404)), (ACQUIRE, True))))

    def test_taken(self) -> None:
        """One that somebody has is waited for."""
        client = self.client(
            (READ, [entry("p/.lock", MUTEX, "other")]),
            (f"{READ.replace('?', '?index=9&')}", [entry("p/.lock", MUTEX)]),
            (ACQUIRE, True),
        )
        self.assertTrue(self.acquire(client))

    def test_delayed(self) -> None:
        """One that nobody has and that is not to be had either is tried again after a while."""
        client = self.client(
            (READ, [entry("p/.lock", MUTEX)]),
            (ACQUIRE, False),
            ("GET /v1/kv/p/.lock", [entry("p/.lock", MUTEX)]),
            (READ, [entry("p/.lock", MUTEX)]),
            (ACQUIRE, True),
        )
        self.assertTrue(self.acquire(client))
        self.assertEqual(self.waits, [5])

    def test_raced(self) -> None:
        """One that somebody else was quicker to get is waited for."""
        client = self.client(
            (READ, answer("", 404)),
            (ACQUIRE, False),
            ("GET /v1/kv/p/.lock", [entry("p/.lock", MUTEX, "other")]),
            (READ.replace("?", "?index=9&"), [entry("p/.lock", MUTEX, "s")]),
        )
        self.assertTrue(self.acquire(client))

    def test_timeOut(self) -> None:
        """With a limit the questions wait for what is left of it, and then it is not had."""
        taken = [entry("p/.lock", MUTEX, "other")]
        client = self.client(
            ("GET /v1/kv/p/.lock?wait=6000ms", taken),
            ("GET /v1/kv/p/.lock?index=9&wait=2000ms", taken),
        )
        self.assertFalse(self.acquire(client, 6))

    def test_strange(self) -> None:
        """A key that is no lock is left alone, and what the agent refuses is told."""
        error = self.assertRaises(LockError, self.acquire, self.client((READ, [entry("p/.lock", SEMAPHORE)])))
        self.assertEqual(str(error), "Existing key does not match lock use")
        error = self.assertRaises(LockError, self.acquire, self.client((READ, answer("no", 403))))
        self.assertEqual(str(error), "failed to read lock: Unexpected response code: 403 (no)")
        client = self.client((READ, answer("", 404)), (ACQUIRE, answer("no", 403)))
        error = self.assertRaises(LockError, self.acquire, client)
        self.assertEqual(str(error), "failed to acquire lock: Unexpected response code: 403 (no)")

    def test_cleanUp(self) -> None:
        """The key is removed, unless somebody has the lock or changed it meanwhile."""
        read, delete = "GET /v1/kv/p/.lock", "DELETE /v1/kv/p/.lock?cas=5"
        for script, unused in (
            (((read, answer("", 404)),), True),
            (((read, [entry("p/.lock", MUTEX, "other")]),), False),
            (((read, [entry("p/.lock", MUTEX)]), (delete, True)), True),
            (((read, [entry("p/.lock", MUTEX)]), (delete, False)), False),
        ):
            self.assertEqual(Mutex("p").clean_up(self.client(*script)), unused)

    def test_release(self) -> None:
        """The key is released; the prefix is a clean path."""
        Mutex("p").release(self.client((f"PUT /v1/kv/p/.lock?flags={MUTEX}&release=s", True)), "s")
        self.assertEqual([Mutex(one).key for one in ("", "p/", "p//q")], [".lock", "p/.lock", "p/q/.lock"])


LIST = "GET /v1/kv/p?recurse=&wait=15000ms"
CONTEND = f"PUT /v1/kv/p/s?acquire=s&flags={SEMAPHORE}"
WRITE = f"PUT /v1/kv/p/.lock?cas=5&flags={SEMAPHORE}"


class SemaphoreTests(LockCase):
    """L{Semaphore}."""

    def acquire(self, *script: tuple[str, Any]) -> bool:
        """Whether a slot is had, of two."""
        client = self.client((CONTEND, True), *script)
        return Semaphore("p", 2).acquire(client, "s", None, self.clock)

    def test_free(self) -> None:
        """The first holder writes the list."""
        own = entry("p/s", SEMAPHORE, "s")
        self.assertTrue(self.acquire((LIST, [own]), (WRITE.replace("cas=5", "cas=0"), True)))

    def test_dead(self) -> None:
        """Holders whose contenders are gone count no more; who was slower tries again."""
        alive = [entry("p/s", SEMAPHORE, "s"), entry("p/b", SEMAPHORE, "b")]
        self.assertTrue(
            self.acquire(
                (LIST, [holders("a", "b"), *alive]),
                (WRITE, False),
                (LIST, alive),
                (WRITE.replace("cas=5", "cas=0"), True),
            )
        )

    def test_full(self) -> None:
        """One without a free slot is waited for."""
        alive = [entry(f"p/{one}", SEMAPHORE, one) for one in "abs"]
        self.assertTrue(
            self.acquire(
                (LIST, [holders("a", "b"), *alive]),
                (LIST.replace("?", "?index=9&"), [holders("a"), *alive]),
                (WRITE, True),
            )
        )

    def test_conflicts(self) -> None:
        """Who says another limit, or another use of the key, is refused."""
        error = self.assertRaises(LockError, self.acquire, (LIST, [holders(limit=3)]))
        self.assertEqual(str(error), "semaphore limit conflict (lock: 3, local: 2)")
        error = self.assertRaises(LockError, self.acquire, (LIST, [entry("p/.lock", MUTEX)]))
        self.assertEqual(str(error), "Existing key does not match semaphore use")
        for value in (b"{", b"[]", b'{"Limit": "x", "Holders": {}}', b'{"Limit": 2}'):
            error = self.assertRaises(LockError, self.acquire, (LIST, [entry("p/.lock", SEMAPHORE, value=value)]))
            self.assertTrue(str(error).startswith("lock decoding failed: "))
        self.assertEqual(str(self.assertRaises(LockError, Semaphore, "", 2)), "missing prefix")

    def test_release(self) -> None:
        """A slot is given back, as often as others are quicker, and so is the contender's key."""
        read = "GET /v1/kv/p/.lock"
        client = self.client(
            (read, [holders("s", "b")]),
            (WRITE, False),
            (read, [holders("s")]),
            (WRITE, True),
            ("DELETE /v1/kv/p/s", True),
        )
        Semaphore("p", 2).release(client, "s")

    def test_cleanUp(self) -> None:
        """The list is removed when nobody is on it."""
        everything, delete = "GET /v1/kv/p?recurse=", "DELETE /v1/kv/p/.lock?cas=5"
        for script, unused in (
            (((everything, answer("", 404)),), True),
            (((everything, [holders("b"), entry("p/b", SEMAPHORE, "b")]),), False),
            (((everything, [holders("b")]), (delete, True)), True),
        ):
            self.assertEqual(Semaphore("p", 2).clean_up(self.client(*script)), unused)


class KeepingTests(LockCase):
    """What goes on while the lock is held."""

    def test_session(self) -> None:
        """A session has a name and a time to live."""
        asked: list[bytes] = []

        def exchange(request: Request) -> Answer:
            assert isinstance(request.body, bytes)
            asked.append(request.body)
            return answer('{"ID": "abc"}')

        self.assertEqual(create_session(Client(Settings(), exchange), "n", "delete"), "abc")
        self.assertEqual(json.loads(asked[0]), {"Name": "n", "TTL": "15s", "Behavior": "delete"})
        client = self.client(("PUT /v1/session/create", {}))
        self.assertRaises(LockError, create_session, client, "n", None)

    def until(self, count: int) -> Callable[[float], bool]:
        """A wait that ends the whole after so many times."""

        def wait(seconds: float) -> bool:
            self.waits.append(seconds)
            self.now += seconds
            return len(self.waits) > count

        return wait

    def test_renews(self) -> None:
        """It is renewed at half its time, after a failure each second, and given up when it must have ended."""
        renew = "PUT /v1/session/renew/s"
        broken = TransportFailed("EOF")
        keep_alive(self.client((renew, []), (renew, broken), (renew, [])), "s", self.until(3), self.clock.now)
        self.assertEqual(self.waits, [7.5, 7.5, 1, 7.5])
        self.waits.clear()
        keep_alive(self.client((renew, answer("", 404))), "s", self.until(9), self.clock.now)
        self.waits.clear()
        keep_alive(self.client((renew, broken), (renew, broken)), "s", self.until(9), self.clock.now)
        self.assertEqual(self.waits, [7.5, 1, 1])

    def test_watches(self) -> None:
        """The lock is lost with its session, and when the servers have not answered for a while."""
        first, later = "GET /v1/kv/p/.lock?consistent=", "GET /v1/kv/p/.lock?consistent=&index=9"
        mine, broken = [entry("p/.lock", MUTEX, "s")], TransportFailed("EOF")
        for script, retries in (
            (((first, mine), (later, [entry("p/.lock", MUTEX)])), 3),
            (((first, mine), (later, ABSENT)), 3),
            (((first, mine), (later, answer("no leader", 500)), (first, broken)), 1),
            (((first, answer("no", 403)),), 3),
        ):
            self.assertTrue(watch_lock(self.client(*script), Mutex("p"), "s", retries, lambda _: False))
        self.assertFalse(watch_lock(self.client(), Mutex("p"), "s", 3, lambda _: True))

    def test_watchesSemaphore(self) -> None:
        """A slot is lost with its contender."""
        first = "GET /v1/kv/p?consistent=&recurse="
        later = "GET /v1/kv/p?consistent=&index=9&recurse="
        script = ((first, [holders("s"), entry("p/s", SEMAPHORE, "s")]), (later, [holders("s")]))
        self.assertTrue(watch_lock(self.client(*script), Semaphore("p", 2), "s", 3, lambda _: False))


class CommandTests(SynchronousTestCase):
    """The command's arguments."""

    def test_mistakes(self) -> None:
        """Mistakes are told before anything is done."""
        for words, text in (
            (["-n=0", "p", "x"], "Lock holder limit must be positive"),
            (["p"], "Key prefix and child command must be specified"),
            (["-timeout=-1s", "p", "x"], "Timeout must be positive"),
            (["-try=-1s", "p", "x"], "Timeout must be positive"),
            (["-monitor-retry=-1", "p", "x"], "Number for 'monitor-retry' must be >= 0"),
        ):
            outcome = invoke("lock", *words)
            self.assertEqual((outcome.status, outcome.out, outcome.err), (1, b"", text + "\n"))

    def test_noAgent(self) -> None:
        """What the agent refuses is told."""
        agent = FakeAgent({"GET /v1/agent/self": answer("no", 403)})
        outcome = invoke("lock", "p", "x", agent=agent)
        expected = "Error querying Consul agent: Unexpected response code: 403 (no)\n"
        self.assertEqual((outcome.status, outcome.err), (1, expected))
        agent = FakeAgent({"GET /v1/agent/self": answer("{}"), "PUT /v1/session/create": answer("no leader", 500)})
        outcome = invoke("lock", "p", "x", agent=agent)
        expected = "Lock acquisition failed: failed to create session: Unexpected response code: 500 (no leader)\n"
        self.assertEqual((outcome.status, outcome.err), (1, expected))
        outcome = invoke("lock", "-n=2", "/", "x", agent=FakeAgent({"GET /v1/agent/self": answer("{}")}))
        self.assertEqual((outcome.status, outcome.err), (1, "Lock setup failed: missing prefix\n"))
