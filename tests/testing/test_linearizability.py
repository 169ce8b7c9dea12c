"""The checker of histories: what it accepts, and the violations planted for it to find."""

from __future__ import annotations

from itertools import permutations
from math import inf
from random import Random
from time import process_time
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txconsul.testing.linearizability import (
    IMPOSSIBLE,
    UNKNOWN,
    History,
    Model,
    Operation,
    Undecided,
    check,
)
from txconsul.testing.models import Appended, Lock, Register


def op(called: float, returned: float, input: Any, output: Any, key: str = "k") -> Operation:
    """An operation; one that never returned has no output."""
    return Operation(key, input, UNKNOWN if returned == inf else output, called, returned)


def by_trying(operations: list[Operation], model: Model) -> bool:
    """Whether there is an order, found by trying all: the definition itself."""
    sure = [one for one in operations if one.returned != inf]
    unsure = [one for one in operations if one.returned == inf]
    for chosen in range(1 << len(unsure)):
        some = sure + [one for place, one in enumerate(unsure) if chosen >> place & 1]
        for order in permutations(some):
            state = model.initial
            for place, one in enumerate(order):
                if any(later.returned < one.called for later in order[place + 1 :]):
                    break
                state = model.step(state, one.input, one.output)
                if state is IMPOSSIBLE:
                    break
            else:
                return True
    return False


def simulated(
    model: Any, count: int, clients: int, rng: Random, keys: int = 5, unknown: float = 0.0
) -> list[Operation]:
    """A history that a single object of each key gave, with clients that overlap."""
    states = {f"k{number}": model.initial for number in range(keys)}
    seen: dict[str, Any] = dict.fromkeys(states)
    busy: dict[int, tuple[int, Any]] = {}
    history, value = History(), 0
    while count or busy:
        client = rng.randrange(clients)
        if client in busy:
            number, (key, input, output) = busy.pop(client)
            history.returned(number, output) if output is not UNKNOWN else history.unknown(number)
            continue
        if not count:
            continue
        count -= 1
        value += 1
        key = rng.choice(sorted(states))
        input = rng.choice([("read",), ("read",), ("write", value), ("cas", seen[key], value), ("delete",)])
        number = history.call(str(client), key, input)
        state = states[key]
        if input[0] == "read":
            output = seen[key] = state
        elif input[0] == "cas":
            output = state == input[1]
        else:
            output = True
        if rng.random() < unknown:
            if rng.random() < 0.5:
                states[key] = model.step(state, input, UNKNOWN)
            output = UNKNOWN
        else:
            states[key] = model.step(state, input, output)
        busy[client] = number, (key, input, output)
    return history.finish()


class RegisterTests(SynchronousTestCase):
    """A key that is read, written, and checked and set."""

    def accepted(self, *operations: Operation) -> None:
        """There is an order."""
        self.assertIsNone(check(operations, Register()))

    def refused(self, *operations: Operation) -> str:
        """There is none. @return: what is said of it."""
        violation = check(operations, Register())
        self.assertIsNotNone(violation)
        return str(violation)

    def test_order(self) -> None:
        """One after the other, everything is as it was written."""
        self.accepted(op(1, 2, ("write", 1), True), op(3, 4, ("read",), 1), op(5, 6, ("read",), 1))
        self.accepted()

    def test_staleRead(self) -> None:
        """A read of what was there before an acknowledged write is found."""
        text = self.refused(op(1, 2, ("write", 1), True), op(3, 4, ("write", 2), True), op(5, 6, ("read",), 1))
        self.assertIn("5-6 : k ('read',) -> 1", text)

    def test_lostWrite(self) -> None:
        """A write that was acknowledged and is gone is found."""
        self.refused(op(1, 2, ("write", 1), True), op(3, 4, ("read",), None))

    def test_doubleCas(self) -> None:
        """Two that both replaced the same value are found, though they overlap."""
        self.refused(op(1, 2, ("write", 1), True), op(3, 6, ("cas", 1, 2), True), op(4, 5, ("cas", 1, 3), True))
        self.accepted(op(1, 2, ("write", 1), True), op(3, 6, ("cas", 1, 2), True), op(4, 5, ("cas", 1, 3), False))

    def test_refusedWrongly(self) -> None:
        """A check that must have held, and was said not to, is found."""
        self.refused(op(1, 2, ("write", 1), True), op(3, 4, ("cas", 1, 2), False))

    def test_overlap(self) -> None:
        """What overlaps may have come in any order, but in the same for all."""
        writes = op(1, 10, ("write", 1), True), op(2, 9, ("write", 2), True)
        self.accepted(*writes, op(3, 4, ("read",), 1), op(5, 6, ("read",), 2))
        self.accepted(*writes, op(3, 4, ("read",), 2), op(5, 6, ("read",), 1))
        self.refused(*writes, op(3, 4, ("read",), 1), op(5, 6, ("read",), 2), op(7, 8, ("read",), 1))
        self.refused(*writes, op(3, 4, ("read",), 2), op(5, 6, ("read",), None))

    def test_unknown(self) -> None:
        """What nobody knows the outcome of may come at any time, late too, or never, but not before it was asked."""
        lost = op(1, inf, ("write", 1), None)
        self.accepted(lost, op(2, 3, ("read",), None))
        self.accepted(lost, op(2, 3, ("read",), None), op(4, 5, ("read",), 1))
        self.refused(lost, op(2, 3, ("read",), 1), op(4, 5, ("read",), None))
        self.refused(op(1, 2, ("read",), 1), op(3, inf, ("write", 1), None))
        self.accepted(op(1, 2, ("write", 1), True), op(3, inf, ("cas", 1, 2), None), op(4, 5, ("read",), 2))
        self.refused(op(1, 2, ("write", 1), True), op(3, inf, ("cas", 9, 2), None), op(4, 5, ("read",), 2))

    def test_keys(self) -> None:
        """Keys have nothing to do with each other; the one that is wrong is named."""
        self.accepted(op(1, 2, ("write", 1), True, "a"), op(3, 4, ("read",), None, "b"))
        text = self.refused(op(1, 2, ("write", 1), True, "a"), op(3, 4, ("read",), 1, "b"))
        self.assertTrue(text.startswith("b: not linearizable"))

    def test_definition(self) -> None:
        """It says what trying all orders says."""
        inputs = st.one_of(
            st.tuples(st.just("read")),
            st.tuples(st.just("delete")),
            st.tuples(st.just("write"), st.integers(1, 3)),
            st.tuples(st.just("cas"), st.sampled_from([None, 1, 2, 3]), st.integers(1, 3)),
        )
        times = st.integers(0, 12)
        count = {True: 0, False: 0}

        @settings(max_examples=400, deadline=None, derandomize=True, database=None)
        @given(st.lists(st.tuples(times, times, inputs, st.sampled_from([None, 1, 2, 3]), st.booleans()), max_size=5))
        def same(drawn: Any) -> None:
            operations = []
            for one, other, input, value, flag in drawn:
                called, returned = min(one, other), max(one, other)
                output = value if input[0] == "read" else flag if input[0] == "cas" else True
                operations.append(op(called, inf if value == 3 and not flag else returned, input, output))
            expected = by_trying(operations, Register())
            count[expected] += 1
            self.assertEqual(check(operations, Register()) is None, expected, operations)

        same()
        self.assertGreater(min(count.values()), 50)


class OtherModelTests(SynchronousTestCase):
    """Lists and locks."""

    def test_appended(self) -> None:
        """A list that lost an element, or has two at one place, is found."""
        first, second = op(1, 2, ("append", (), "a"), True), op(3, 4, ("append", ("a",), "b"), True)
        self.assertIsNone(check([first, second, op(5, 6, ("read",), ["a", "b"])], Appended()))
        self.assertIsNotNone(check([first, second, op(5, 6, ("read",), ["a"])], Appended()))
        self.assertIsNotNone(check([first, op(1, 4, ("append", (), "b"), True)], Appended()))
        unknown = op(1, inf, ("append", (), "b"), None)
        self.assertIsNone(check([unknown, op(2, 3, ("append", (), "a"), False)], Appended()))

    def test_lock(self) -> None:
        """A lock that two hold, or that somebody holds whose session is over, is found."""
        taken = op(1, 2, ("acquire", "s"), True)
        self.assertIsNone(check([taken, op(3, 4, ("acquire", "t"), False), op(5, 6, ("holder",), "s")], Lock()))
        self.assertIsNone(check([taken, op(3, 4, ("acquire", "s"), True)], Lock()))
        self.assertIsNotNone(check([taken, op(3, 4, ("acquire", "t"), True)], Lock()))
        freed = [taken, op(3, 4, ("release", "s"), True), op(5, 6, ("acquire", "t"), True)]
        self.assertIsNone(check(freed, Lock()))
        self.assertIsNotNone(check([taken, op(3, 4, ("release", "t"), True)], Lock()))
        over = [taken, op(3, 4, ("destroy", "s"), True)]
        self.assertIsNone(check([*over, op(5, 6, ("acquire", "t"), True)], Lock()))
        self.assertIsNotNone(check([*over, op(5, 6, ("holder",), "s")], Lock()))
        self.assertIsNotNone(check([*over, op(5, 6, ("acquire", "s"), True)], Lock()))
        lost = op(3, inf, ("destroy", "s"), None)
        self.assertIsNone(check([taken, lost, op(5, 6, ("acquire", "t"), True)], Lock()))
        lost = op(3, inf, ("release", "s"), None)
        self.assertIsNone(check([taken, lost, op(5, 6, ("acquire", "t"), True)], Lock()))
        lost = op(0, inf, ("acquire", "t"), None)
        self.assertIsNone(check([lost, op(5, 6, ("acquire", "s"), False), op(7, 8, ("holder",), "t")], Lock()))


class SizeTests(SynchronousTestCase):
    """Long histories."""

    def test_thousand(self) -> None:
        """A thousand operations of ten clients take less than a second, a tenth of unknown outcome or none."""
        for unknown in (0.0, 0.1):
            for seed in range(5):
                operations = simulated(Register(), 1000, 10, Random(seed), unknown=unknown)
                began = process_time()
                self.assertIsNone(check(operations, Register()))
                self.assertLess(process_time() - began, 1.0)

    def test_planted(self) -> None:
        """One wrong read, or one doubled check-and-set, in a thousand operations is found."""
        found = 0
        for seed in range(30):
            rng = Random(seed)
            operations = simulated(Register(), 1000, 10, rng)
            reads = [
                number for number, one in enumerate(operations) if one.input == ("read",) and one.output is not None
            ]
            casses = [number for number, one in enumerate(operations) if one.input[0] == "cas" and not one.output]
            if seed % 2:
                number = rng.choice(reads)
                wrong = -1 if seed % 3 else operations[reads[0]].output
                operations[number] = operations[number]._replace(output=wrong)
            else:
                number = rng.choice(casses)
                operations[number] = operations[number]._replace(output=True)
            found += check(operations, Register()) is not None
        self.assertGreaterEqual(found, 28)  # a forged answer may be possible by chance

    def test_undecided(self) -> None:
        """A search that takes too long is given up, and says so."""
        operations = [op(1, inf, ("write", number), None) for number in range(30)]
        operations.append(op(2, 3, ("read",), 99))
        self.assertRaises(Undecided, check, operations, Register(), steps_max=1000)


class HistoryTests(SynchronousTestCase):
    """Recording."""

    def test_events(self) -> None:
        """Calls and returns are numbered; what was refused is not there, and what never returned is unknown."""
        history = History()
        first = history.call("c", "k", ("write", 1))
        second = history.call("d", "k", ("write", 2))
        history.returned(second, True)
        third = history.call("d", "k", ("write", 3))
        history.refused(third)
        self.assertEqual(
            history.finish(),
            [
                Operation("k", ("write", 2), True, second, 3, "d"),
                Operation("k", ("write", 1), UNKNOWN, first, inf, "c"),
            ],
        )
        self.assertEqual(str(history.operations[1]), "1-... c: k ('write', 1) -> UNKNOWN")
