"""The small parts of SWIM and Lifeguard: formulas, suspicion, awareness, broadcasts, the order of probes."""

from __future__ import annotations

from collections import Counter
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests import vectors
from txconsul.swim.awareness import Awareness
from txconsul.swim.broadcasts import Broadcasts
from txconsul.swim.probing import Permutation
from txconsul.swim.suspicion import Suspicion, suspicion_timeout
from txconsul.swim.timing import push_pull_interval, suspicion_minimum, transmit_limit


class FormulaTests(SynchronousTestCase):
    """Source: the wire documents, GOSSIP section 4."""

    def test_recorded(self) -> None:
        """Every formula gives memberlist's number."""
        seen = Counter[str]()
        for vector in vectors.load("memberlist_formulas"):
            name, said = vector["name"], vector["decoded"]
            if name.startswith("suspicion-min"):
                got = suspicion_minimum(said["mult"], said["n"], said["interval_ns"] / 1e9)
                self.assertEqual(round(got * 1e9), said["timeout_ns"], name)
            elif name.startswith("suspicion-remaining"):
                total = suspicion_timeout(said["confirmations"], said["k"], said["min_ms"] / 1e3, said["max_ms"] / 1e3)
                self.assertEqual(round(total * 1e9) - said["elapsed_ms"] * 10**6, said["remaining_ns"], name)
            elif name.startswith("retransmit"):
                self.assertEqual(transmit_limit(said["mult"], said["n"]), said["limit"], name)
            elif name.startswith("pushpull-scale"):
                got = push_pull_interval(said["interval_ns"] / 1e9, said["n"])
                self.assertEqual(round(got * 1e9), said["scaled_ns"], name)
            else:
                self.fail(f"{name}: no formula is known for this")
            seen[name.split("-")[0]] += 1
        self.assertEqual(set(seen), {"suspicion", "retransmit", "pushpull"})


class SuspicionTests(SynchronousTestCase):
    """Lifeguard, section IV-B."""

    def test_confirmed(self) -> None:
        """Each new accuser shortens it, down to the minimum; old ones and the first do not count."""
        suspicion = Suspicion("a", 2, 4.0, 24.0, now=100.0)
        self.assertEqual(suspicion.deadline, 124.0)
        self.assertFalse(suspicion.confirm("a"))
        self.assertTrue(suspicion.confirm("b"))
        self.assertEqual(suspicion.deadline, 111.381)
        self.assertFalse(suspicion.confirm("b"))
        self.assertTrue(suspicion.confirm("c"))
        self.assertEqual((suspicion.deadline, suspicion.confirmations), (104.0, 2))
        self.assertFalse(suspicion.confirm("d"))

    def test_nobodyToConfirm(self) -> None:
        """In a pool too small for confirmations it lasts the minimum from the start."""
        suspicion = Suspicion("a", 0, 4.0, 24.0, now=0.0)
        self.assertEqual(suspicion.deadline, 4.0)
        self.assertFalse(suspicion.confirm("b"))


class AwarenessTests(SynchronousTestCase):
    """Lifeguard, section IV-A."""

    def test_bounds(self) -> None:
        """The score stays between 0 and one less than the multiplier, and stretches what others get."""
        awareness = Awareness(8)
        awareness.change(-3)
        self.assertEqual(awareness.scaled(2.0), 2.0)
        awareness.change(20)
        self.assertEqual((awareness.score, awareness.scaled(2.0)), (7, 16.0))
        awareness.change(-1)
        self.assertEqual(awareness.score, 6)

    def test_off(self) -> None:
        """A multiplier of 1 leaves everything as it is."""
        awareness = Awareness(1)
        awareness.change(5)
        self.assertEqual(awareness.scaled(2.0), 2.0)


class BroadcastTests(SynchronousTestCase):
    """What is told, and how often."""

    def test_newestFirst(self) -> None:
        """What was sent least often goes first, the longest that fits before shorter ones, of those the newest."""
        queue = Broadcasts()
        for name in ("a1", "b22", "c22", "d333"):
            queue.queue(name, name.encode())
        self.assertEqual(queue.take(1, 9, 4), [b"d333", b"c22"])
        self.assertEqual(queue.take(1, 9, 4), [b"b22", b"a1"])
        self.assertEqual(queue.take(1, 5, 4), [b"d333"])
        queue.queue("e", b"e")
        self.assertEqual(queue.take(1, 5, 4), [b"e", b"a1"])

    def test_limit(self) -> None:
        """Each is sent so often, then forgotten, and whoever asked is told."""
        queue = Broadcasts()
        queue.queue("", b"x", token="x")
        for _ in range(3):
            self.assertEqual((queue.take(2, 100, 3), len(queue.finished)), ([b"x"], int(_ == 2)))
        self.assertEqual((queue.take(2, 100, 3), queue.finished, len(queue)), ([], ["x"], 0))

    def test_replaced(self) -> None:
        """A message of the same name takes the place of the one before; nameless ones stand beside each other."""
        queue = Broadcasts()
        queue.queue("node", b"suspect", token=1)
        queue.queue("", b"event")
        queue.queue("", b"event")
        queue.take(2, 9, 4)
        queue.queue("node", b"alive", token=2)
        self.assertEqual(queue.finished, [1])
        self.assertEqual(queue.take(2, 100, 4), [b"alive", b"event", b"event"])

    def test_prune(self) -> None:
        """A queue that is too long loses what was sent most, then what is oldest."""
        queue = Broadcasts()
        for number in range(10):
            queue.queue(f"{number}", b"longer"[: 6 - number % 3], token=number)
        queue.take(0, 12, 9)
        queue.prune(5)
        self.assertEqual((len(queue), set(queue.finished)), (5, {6, 9, 0, 1, 2}))
        queue.queue("0", b"again", token="again")
        self.assertEqual(len(queue), 6)

    @settings(max_examples=100, deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 5), st.binary(min_size=1, max_size=20)), max_size=30), st.randoms())
    def test_everyMessageIsSentSoOften(self, messages: list[tuple[int, bytes]], random: Random) -> None:
        """Whatever the room: each message that was not replaced is sent as often as it should, and the room is kept."""
        queue, sent = Broadcasts(), Counter[bytes]()
        last = {name: b"%d %d " % (name, at) + text for at, (name, text) in enumerate(messages)}
        for at, (name, text) in enumerate(messages):
            queue.queue(str(name), b"%d %d " % (name, at) + text)
        while len(queue):
            room = random.randrange(40, 90)
            taken = queue.take(2, room, 3)
            self.assertLessEqual(sum(len(one) + 2 for one in taken), room)
            sent.update(taken)
        self.assertEqual(sent, dict.fromkeys(last.values(), 3))


class PermutationTests(SynchronousTestCase):
    """SWIM, section 4.3."""

    @settings(max_examples=100, deadline=None)
    @given(st.integers(0, 400), st.randoms())
    def test_everyNumberOnce(self, size: int, random: Random) -> None:
        """A round visits everybody exactly once, and ends."""
        order = Permutation(size, random)
        self.assertEqual(sorted(iter(order.next, None)), list(range(size)))
        self.assertIs(order.next(), None)

    def test_spread(self) -> None:
        """Each number comes first, and last, about as often as any other."""
        random = Random(3)
        for size in (5, 16, 33):
            first, last = Counter[int](), Counter[int]()
            for _ in range(size * 200):
                order = list(iter(Permutation(size, random).next, None))
                first[order[0]] += 1
                last[order[-1]] += 1
            for counts in (first, last):
                self.assertGreater(min(counts[one] for one in range(size)), 120)
                self.assertLess(max(counts.values()), 290)
