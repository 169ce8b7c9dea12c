"""
What clients of simulated agents do, over HTTP, one request after the other, and what they note of it.

A request that was refused took no effect; one that broke off, or was answered by an error that says nothing of it, has
an unknown outcome. Values are never written twice, so that each tells which request it came from.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from random import Random
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, ConnectingCancelledError
from twisted.internet.task import deferLater

from txconsul.simulation.invariants import Broken
from txconsul.testing.asking import Answer
from txconsul.testing.linearizability import History, Model
from txconsul.testing.models import Appended, Lock, Register

if TYPE_CHECKING:
    from txconsul.simulation.agents import AgentsWorld

__all__ = [
    "PATIENCE_SECONDS",
    "WORKLOADS",
    "Appending",
    "Locking",
    "Lost",
    "Refused",
    "Registers",
    "Serving",
    "Workload",
]

#: How long a client waits for an answer before it goes on: longer than a request waits for a leader.
PATIENCE_SECONDS = 10.0
#: What an answer says of a request that never began, whatever came before in the text.
REFUSALS = (b"No cluster leader",)


class Refused(Exception):
    """The request took no effect."""


class Lost(Exception):
    """Nobody knows what became of the request."""


class Workload:
    """
    One client, and what it saw.

    @ivar name: of the kind.
    @ivar model: what its keys do.
    @ivar keys: few, so that clients meet.
    @ivar answered: how many of its requests were answered by what was asked for.
    """

    name = ""
    model: Model
    keys: tuple[str, ...] = ()

    def __init__(self, world: AgentsWorld, number: int, rng: Random, history: History) -> None:
        """@param history: of all clients of this kind."""
        self.client = f"{self.name}{number}"
        self.answered = 0
        self.history = history
        self._world = world
        self._rng = rng
        self._stopped = False

    def start(self, pause: float) -> None:
        """@param pause: seconds between two requests, on average."""
        Deferred.fromCoroutine(self._run(pause)).addErrback(self._world.failed)

    def stop(self) -> None:
        """Ask nothing more."""
        self._stopped = True

    async def _run(self, pause: float) -> None:
        while not self._stopped:
            await deferLater(self._world.clock, self._rng.expovariate(1 / pause))
            if self._stopped:
                return
            try:
                await self.step()
            except (Refused, Lost):
                continue
            self.answered += 1

    async def step(self) -> None:
        """One request, or a few that belong together."""
        raise AssertionError("a workload without work")

    async def look(self, key: str) -> None:
        """Read a key at the end, when all is well."""
        raise AssertionError("a workload that sees nothing")

    # ---- asking ----

    async def _ask(self, method: str, target: str, body: Any = b"") -> Answer:
        """
        Ask one of the agents.

        @raise Refused: it took no effect.
        @raise Lost: it is not known whether it did.
        """
        world = self._world
        agent = world.any_agent(self._rng)
        asking = agent.request(method, target, body)
        asking.addTimeout(PATIENCE_SECONDS, world.clock)
        try:
            answer = await asking
        except (ConnectError, ConnectingCancelledError) as error:
            world.tell(f"{self.client}> {agent.name} {method} {target}: no connection, {type(error).__name__}")
            raise Refused from None
        except Exception as error:
            world.tell(f"{self.client}> {agent.name} {method} {target}: {type(error).__name__}")
            raise Lost from None
        world.tell(f"{self.client}> {agent.name} {method} {target} {body!r}: {answer.status} {answer.body[:60]!r}")
        if answer.status >= 500 or answer.status == 429:
            if any(text in answer.body for text in REFUSALS) or answer.status == 429:
                raise Refused
            raise Lost
        return answer

    async def _noted(self, key: str, input: Any, method: str, target: str, body: Any = b"") -> Any:
        """
        A change, which is noted.

        @return: the answer's JSON.
        """
        number = self.history.call(self.client, key, input)
        try:
            answer = await self._ask(method, target, body)
        except Refused:
            self.history.refused(number)
            raise
        except Lost:
            self.history.unknown(number)
            raise
        if answer.status != 200:
            raise Broken("answers_are_known", f"{method} {target} gave {answer.status} {answer.body!r}", (self.client,))
        output = answer.json()
        self.history.returned(number, output)
        return output

    async def _read(self, key: str, target: str, understand: Any) -> Any:
        """A read, which is noted. @return: what C{understand} makes of the answer."""
        number = self.history.call(self.client, key, ("read",))
        try:
            answer = await self._ask("GET", target)
        except (Refused, Lost):
            self.history.refused(number)
            raise
        output, more = understand(answer)
        self.history.returned(number, output)
        return more

    def _mode(self) -> str:
        return self._rng.choice(("consistent", "default"))


def _entry(answer: Answer) -> dict[str, Any] | None:
    found: list[dict[str, Any]] = [] if answer.status == 404 else answer.json()
    return found[0] if found else None


def _value(entry: dict[str, Any] | None) -> str | None:
    return None if entry is None else b64decode(entry["Value"] or "").decode()


class Registers(Workload):
    """Keys that are read, written, deleted, and replaced if they are as they were seen."""

    name = "registers"
    model: Model = Register()
    keys = ("r0", "r1", "r2")

    def __init__(self, world: AgentsWorld, number: int, rng: Random, history: History) -> None:
        super().__init__(world, number, rng, history)
        self._seen: dict[str, tuple[str | None, int]] = {}

    async def step(self) -> None:
        """See L{Workload}."""
        rng, key = self._rng, self._rng.choice(self.keys)
        what = rng.random()
        if what < 0.4:
            await self._get(key, self._mode())
        elif what < 0.5:
            await self._stale(key)
        elif what < 0.75:
            value = self._world.next_value()
            await self._noted(key, ("write", value), "PUT", f"/v1/kv/{key}", value)
        elif what < 0.8:
            await self._noted(key, ("delete",), "DELETE", f"/v1/kv/{key}")
        else:
            expected, index = self._seen.get(key, (None, 0))
            value = self._world.next_value()
            await self._noted(key, ("cas", expected, value), "PUT", f"/v1/kv/{key}?cas={index}", value)

    async def _get(self, key: str, mode: str) -> None:
        def understand(answer: Answer) -> Any:
            entry = _entry(answer)
            self._seen[key] = _value(entry), 0 if entry is None else entry["ModifyIndex"]
            return _value(entry), None

        await self._read(key, f"/v1/kv/{key}?{mode}", understand)

    async def _stale(self, key: str) -> None:
        """What a stale read gives is old, but not made up, nor of the future."""
        known = self._world.values_given
        answer = await self._ask("GET", f"/v1/kv/{key}?stale")
        value = _value(_entry(answer))
        if value is not None and not value <= self._world.value(self._world.values_given):
            raise Broken("stale_reads_were_written", f"{key} was {value!r}, after {known}", (self.client,))

    async def look(self, key: str) -> None:
        """See L{Workload}."""
        await self._get(key, "consistent")


class Appending(Workload):
    """Lists that grow by transactions: set it anew, if it is as it was seen."""

    name = "appending"
    model: Model = Appended()
    keys = ("l0", "l1")

    async def step(self) -> None:
        """See L{Workload}."""
        key = self._rng.choice(self.keys)
        seen, index = await self._get(key, self._mode())
        if self._rng.random() < 0.3:
            return
        element = self._world.next_value()
        check = (
            {"Verb": "check-index", "Key": key, "Index": index} if index else {"Verb": "check-not-exists", "Key": key}
        )
        text = b64encode(",".join([*seen, element]).encode()).decode()
        number = self.history.call(self.client, key, ("append", seen, element))
        try:
            answer = await self._ask(
                "PUT", "/v1/txn", [{"KV": check}, {"KV": {"Verb": "set", "Key": key, "Value": text}}]
            )
        except Refused:
            self.history.refused(number)
            raise
        except Lost:
            self.history.unknown(number)
            raise
        if answer.status not in (200, 409):
            raise Broken("answers_are_known", f"a transaction gave {answer.status} {answer.body!r}", (self.client,))
        self.history.returned(number, answer.status == 200)

    async def _get(self, key: str, mode: str) -> tuple[tuple[str, ...], int]:
        def understand(answer: Answer) -> Any:
            entry = _entry(answer)
            elements = tuple((_value(entry) or "").split(",")) if entry is not None else ()
            return elements, (elements, 0 if entry is None else entry["ModifyIndex"])

        found: tuple[tuple[str, ...], int] = await self._read(key, f"/v1/kv/{key}?{mode}", understand)
        return found

    async def look(self, key: str) -> None:
        """See L{Workload}."""
        await self._get(key, "consistent")


class Locking(Workload):
    """Locks that sessions take, give back, and lose with their end."""

    name = "locking"
    model: Model = Lock()
    keys = ("k0", "k1")

    def __init__(self, world: AgentsWorld, number: int, rng: Random, history: History) -> None:
        super().__init__(world, number, rng, history)
        self._sessions: dict[str, str] = {}

    async def step(self) -> None:
        """See L{Workload}."""
        rng, key = self._rng, self._rng.choice(self.keys)
        session = self._sessions.get(key)
        if session is None:
            # A session serves for one lock only, so that what happens to it is of one key. No check ends it, nor is it
            # of a server, with which it would end when that is taken out of the group.
            await self._ask("PUT", "/v1/catalog/register", {"Node": "locker", "Address": "192.0.2.2"})
            settings = {"LockDelay": "0s", "NodeChecks": [], "Name": self.client, "Node": "locker"}
            self._sessions[key] = (await self._ask("PUT", "/v1/session/create", settings)).json()["ID"]
            return
        what = rng.random()
        if what < 0.35:
            await self._noted(key, ("acquire", session), "PUT", f"/v1/kv/{key}?acquire={session}", self.client)
        elif what < 0.6:
            await self._noted(key, ("release", session), "PUT", f"/v1/kv/{key}?release={session}", self.client)
        elif what < 0.7:
            del self._sessions[key]
            await self._noted(key, ("destroy", session), "PUT", f"/v1/session/destroy/{session}")
        else:
            await self._holder(key, self._mode())

    async def _holder(self, key: str, mode: str) -> None:
        number = self.history.call(self.client, key, ("holder",))
        try:
            answer = await self._ask("GET", f"/v1/kv/{key}?{mode}")
        except (Refused, Lost):
            self.history.refused(number)
            raise
        self.history.returned(number, (_entry(answer) or {}).get("Session", ""))

    async def look(self, key: str) -> None:
        """See L{Workload}."""
        await self._holder(key, "consistent")


class Serving(Workload):
    """Services in the catalog that change, and watchers of their health."""

    name = "serving"
    model: Model = Register()
    keys = ("s0", "s1")

    def __init__(self, world: AgentsWorld, number: int, rng: Random, history: History) -> None:
        super().__init__(world, number, rng, history)
        self._index: dict[str, int] = {}

    async def step(self) -> None:
        """See L{Workload}."""
        key = self._rng.choice(self.keys)
        if self._rng.random() < 0.4:
            value = self._world.next_value()
            service = {"ID": key, "Service": key, "Meta": {"value": value}}
            await self._noted(
                key,
                ("write", value),
                "PUT",
                "/v1/catalog/register",
                {"Node": f"node-{key}", "Address": "192.0.2.1", "SkipNodeUpdate": False, "Service": service},
            )
        else:
            await self._watch(key, self._index.get(key, 0))

    async def _watch(self, key: str, index: int) -> None:
        def understand(answer: Answer) -> Any:
            found = answer.json()
            self._index[key] = answer.index
            return (found[0]["Service"]["Meta"]["value"] if found else None), None

        wait = f"&index={index}&wait=2s" if index else ""
        await self._read(key, f"/v1/health/service/{key}?{self._mode()}{wait}", understand)

    async def look(self, key: str) -> None:
        """See L{Workload}."""
        await self._watch(key, 0)


#: The kinds that there are.
WORKLOADS: tuple[type[Workload], ...] = (Registers, Appending, Locking, Serving)
