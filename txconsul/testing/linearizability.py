"""
Was what several clients saw at once possible if every operation had taken effect at one moment between its call and
its return?

The search is Wing and Gong's (1993) with Lowe's memory of what was tried (2017), key by key, since a history is
linearizable if it is so for each object (Herlihy and Wing, 1990, theorem 1). Two observations make it fast. An
operation that can change nothing is taken as soon as it fits, and nothing else is tried for it: in any order that works
it can be moved forward to here. And one of which nobody knows whether it took effect is tried only just before another
that needs it: if that one would come to the same without it, it can be left out, and what changes nothing can come
before it. Of several such that do the same, the first that was called serves for all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import inf
from typing import Any, NamedTuple, Protocol

__all__ = ["IMPOSSIBLE", "UNKNOWN", "History", "Model", "Operation", "Undecided", "Violation", "check"]

#: Configurations looked at for one key before the search is given up: some seconds.
STEPS_MAX = 2_000_000


class _Sign:
    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


#: The output of an operation whose outcome nobody knows: it took effect at some time after its call, or never.
UNKNOWN = _Sign("UNKNOWN")
#: What a model says of an output that cannot be.
IMPOSSIBLE = _Sign("IMPOSSIBLE")
#: No prior state: the last operation of an order took effect for certain.
_SURE = _Sign("SURE")


class Operation(NamedTuple):
    """
    @ivar key: of the object; operations of different keys do not touch each other.
    @ivar input: what was asked; hashable.
    @ivar output: what came back, or L{UNKNOWN}.
    @ivar called: when; times or numbers of events, of which only the order counts.
    @ivar returned: when; infinite where the outcome is unknown.
    """

    key: str
    input: Any
    output: Any
    called: float
    returned: float
    client: str = ""

    def __str__(self) -> str:
        until = "..." if self.returned == inf else f"{self.returned:g}"
        return f"{self.called:g}-{until} {self.client}: {self.key} {self.input} -> {self.output}"


class Model(Protocol):
    """
    What one object does, one operation after the other.

    @ivar initial: the state at first. States are hashable, and never changed.
    """

    @property
    def initial(self) -> Any:
        """See above."""

    def step(self, state: Any, input: Any, output: Any) -> Any:
        """
        Do an operation.

        @param output: what it gave, or L{UNKNOWN}.
        @return: the state after it, or L{IMPOSSIBLE} if it cannot have given this in this state.
        """

    def is_idle(self, input: Any, output: Any) -> bool:
        """Whether an operation that gave this changes nothing, whatever the state is: a read, a refused change."""


class Undecided(Exception):
    """The search took too long: nothing can be said."""


class Violation(NamedTuple):
    """
    No order explains what was seen of one key.

    @ivar explained: the longest beginning of an order that was found.
    @ivar stuck: what was under way then, none of which fits.
    @ivar state: the object's then.
    """

    key: str
    explained: list[Operation]
    stuck: list[Operation]
    state: Any

    def __str__(self) -> str:
        lines = [f"{self.key}: not linearizable; an order that explains {len(self.explained)} operations ends with"]
        lines += [f"    {one}" for one in self.explained[-10:]]
        lines += [f"  in state {self.state!r}, which none of these fits:"]
        lines += [f"    {one}" for one in self.stuck]
        return "\n".join(lines)


class History:
    """
    Operations as they are called and return, in the order of events.

    @ivar operations: those that have returned, and L{finish} adds those that have not.
    """

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self._events = 0
        self._open: dict[int, tuple[str, Any, str]] = {}

    def call(self, client: str, key: str, input: Any) -> int:
        """An operation begins. @return: its number."""
        self._events += 1
        self._open[self._events] = (key, input, client)
        return self._events

    def returned(self, number: int, output: Any) -> None:
        """It is over."""
        self._events += 1
        key, input, client = self._open.pop(number)
        self.operations.append(Operation(key, input, output, number, self._events, client))

    def refused(self, number: int) -> None:
        """It certainly took no effect, and never will."""
        del self._open[number]

    def unknown(self, number: int) -> None:
        """Nobody will ever learn what became of it."""
        key, input, client = self._open.pop(number)
        self.operations.append(Operation(key, input, UNKNOWN, number, inf, client))

    def finish(self) -> list[Operation]:
        """Nothing more will return. @return: all operations."""
        for number in list(self._open):
            self.unknown(number)
        return self.operations


def check(operations: Iterable[Operation], model: Model, *, steps_max: int = STEPS_MAX) -> Violation | None:
    """
    Look for an order.

    @return: None if there is one for each key, or for some key the proof that there is none.
    @raise Undecided: the search for one of the keys took more than C{steps_max} steps.
    """
    of_key: defaultdict[str, list[Operation]] = defaultdict(list)
    for operation in operations:
        of_key[operation.key].append(operation)
    for key, some in of_key.items():
        violation = _Search(key, some, model, steps_max).run()
        if violation is not None:
            return violation
    return None


@dataclass(frozen=True)
class _Frame:
    """
    A configuration: what is in the order, and the state after that.

    @ivar count: how many operations are in the order.
    @ivar prior: the state without the last operation, if nobody knows whether that took effect: the next must need it.
    @ivar others: what else can be tried next, each with the state that it leads to.
    """

    state: Any
    done: int
    count: int
    prior: Any
    others: Iterator[tuple[int, Any]]


class _Search:
    """
    Of one key. Operations have numbers from 1, in the order of their calls; a set of them is an int with a bit for
    each. Those of known outcome that are not in the order yet are a linked list that begins and ends with 0.
    """

    def __init__(self, key: str, operations: list[Operation], model: Model, steps_max: int) -> None:
        self._key = key
        self._model = model
        self._steps_left = steps_max
        self._all = [Operation("", None, None, -inf, inf), *sorted(operations, key=lambda one: one.called)]
        self._idle = [number > 0 and model.is_idle(one.input, one.output) for number, one in enumerate(self._all)]
        self._unsure = [
            number for number, one in enumerate(self._all) if number and one.returned == inf and not self._idle[number]
        ]
        self._left = 0
        self._next = [0] * len(self._all)
        self._previous = [0] * len(self._all)
        last = 0
        for number, one in enumerate(self._all):
            if one.returned != inf:
                self._next[last], self._previous[number] = number, last
                last = number
                self._left += 1
        self._previous[0] = last
        self._order: list[int] = []
        self._longest: tuple[int, list[int], Any, list[int]] = (-1, [], None, [])

    def run(self) -> Violation | None:
        """Search, depth first."""
        state, done, prior = self._model.initial, 0, _SURE
        seen: set[tuple[int, Any, Any]] = set()
        frames: list[_Frame] = []
        while True:
            before = done
            done, candidates, bound = self._absorb(state, done)
            if not self._left:
                return None
            if done != before:
                prior = _SURE  # what changes nothing and fits only now needed the last
            if (done, state, prior) not in seen:
                seen.add((done, state, prior))
                self._note(state, candidates)
                others = self._tries(state, done, prior, candidates, bound)
                frames.append(_Frame(state, done, len(self._order), prior, others))
            chosen = None
            while frames:
                self._unwind(frames[-1].count)
                chosen = next(frames[-1].others, None)
                if chosen is not None:
                    break
                frames.pop()
            if chosen is None:
                return self._violation()
            number, after = chosen
            prior = _SURE if self._all[number].returned != inf else frames[-1].state
            state, done = after, frames[-1].done | 1 << number
            self._take(number)

    def _step(self, state: Any, number: int) -> Any:
        self._steps_left -= 1
        if self._steps_left < 0:
            raise Undecided(f"{self._key}: {len(self._all) - 1} operations, too many of which overlap")
        operation = self._all[number]
        return self._model.step(state, operation.input, operation.output)

    def _candidates(self) -> tuple[list[int], float]:
        """
        Which operations may come next: those that were called before any other that is not in the order returned.

        @return: them, and when the first of those returned.
        """
        found, bound = [], inf
        number = self._next[0]
        while number and self._all[number].called <= bound:
            found.append(number)
            bound = min(bound, self._all[number].returned)
            number = self._next[number]
        return found, bound

    def _absorb(self, state: Any, done: int) -> tuple[int, list[int], float]:
        """Take everything that changes nothing, where it fits. @return: what is done then, and the candidates."""
        while True:
            candidates, bound = self._candidates()
            idle = [one for one in candidates if self._idle[one] and self._step(state, one) is not IMPOSSIBLE]
            if not idle:
                return done, candidates, bound
            for number in idle:
                self._take(number)
                done |= 1 << number

    def _tries(
        self, state: Any, done: int, prior: Any, candidates: list[int], bound: float
    ) -> Iterator[tuple[int, Any]]:
        unsure = self._distinct(one for one in self._unsure if self._all[one].called <= bound and not done >> one & 1)
        for some, is_sure in ((candidates, True), (unsure, False)):
            for number in some:
                after = self._step(state, number)
                if after is IMPOSSIBLE or not (is_sure or after != state):
                    continue
                if prior is _SURE or self._step(prior, number) != after:
                    yield number, after

    def _distinct(self, numbers: Iterable[int]) -> Iterator[int]:
        """The first of each kind."""
        known = set()
        for number in numbers:
            input = self._all[number].input
            if input not in known:
                known.add(input)
                yield number

    def _take(self, number: int) -> None:
        """It is the next in the order."""
        self._order.append(number)
        if self._all[number].returned != inf:
            before, after = self._previous[number], self._next[number]
            self._next[before], self._previous[after] = after, before
            self._left -= 1

    def _unwind(self, count: int) -> None:
        """Only so many are in the order."""
        while len(self._order) > count:
            number = self._order.pop()
            if self._all[number].returned != inf:
                self._next[self._previous[number]] = self._previous[self._next[number]] = number
                self._left += 1

    def _note(self, state: Any, candidates: list[int]) -> None:
        """Keep how far an order came, for the report."""
        if len(self._all) - self._left > self._longest[0]:
            self._longest = len(self._all) - self._left, self._order.copy(), state, candidates

    def _violation(self) -> Violation:
        _, order, state, stuck = self._longest
        return Violation(self._key, [self._all[one] for one in order], [self._all[one] for one in stuck], state)
