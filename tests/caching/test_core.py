"""The core of the agent's cache: what is kept, fetched, given and forgotten."""

from __future__ import annotations

import math
from random import Random
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from txconsul.caching.core import Cache, Changed, Fetch, Forget, Give, Refuse
from txconsul.caching.entry import (
    BACKOFF_SECONDS_MAX,
    CONNECTED_SECONDS,
    KEPT_SECONDS,
    FetchLimits,
    Found,
    Kind,
    Waiter,
    Wish,
    backoff,
)

POLLED = Kind("polled")
SIMPLE = Kind("simple", refreshes=False, blocks=False)
BRIEF = Kind("brief", kept_seconds=60.0)
BROKEN = RuntimeError("no servers")


class Source:
    """
    A cache, and whoever is asked by it.

    @ivar fetches: those under way.
    @ivar given: who got what.
    """

    def __init__(self, **more: Any) -> None:
        self.cache = Cache(more.pop("limits", FetchLimits()), Random(1), **more)
        self.fetches: list[Fetch] = []
        self.given: list[tuple[Waiter, Found | Exception]] = []
        self.changed: list[Any] = []
        self.forgotten: list[int] = []

    def carry_out(self) -> None:
        """Do what the cache wishes."""
        for wish in self.cache.take_output():
            if isinstance(wish, Fetch):
                self.fetches.append(wish)
            elif isinstance(wish, Give):
                self.given += [(one, wish.found) for one in wish.waiters]
            elif isinstance(wish, Refuse):
                self.given += [(one, wish.error) for one in wish.waiters]
            elif isinstance(wish, Changed):
                self.changed += wish.watchers
            elif isinstance(wish, Forget):
                self.forgotten.append(wish.number)
                self.fetches = [one for one in self.fetches if one.number != wish.number]

    def ask(self, now: float, key: str = "web", kind: Kind = POLLED, **wish: Any) -> Any:
        """Ask, and carry out what follows."""
        found = self.cache.ask(key, kind, key, Wish(**wish), now)
        self.carry_out()
        return found

    def answer(self, now: float, index: int, value: Any, size: int = 10) -> Fetch:
        """Answer the oldest fetch."""
        fetch = self.fetches.pop(0)
        self.cache.fetched(fetch.entry, fetch.number, index, value, size, now)
        self.carry_out()
        return fetch

    def fail(self, now: float, error: Exception = BROKEN, refused: bool = False) -> None:
        """Do not answer the oldest fetch."""
        fetch = self.fetches.pop(0)
        self.cache.failed(fetch.entry, fetch.number, error, refused, now)
        self.carry_out()

    def wake(self, now: float) -> None:
        """Time passes."""
        self.cache.wake(now)
        self.carry_out()

    def took(self) -> list[Any]:
        """What was given since the last call: values, or errors."""
        given, self.given = self.given, []
        return [found.value if isinstance(found, Found) else found for _, found in given]


class RefreshingTests(SynchronousTestCase):
    """Kinds that are kept current in the background."""

    def test_missThenHit(self) -> None:
        """The first who asks waits for one fetch, and so do those who come meanwhile; later ones find it."""
        source = Source()
        for _ in range(3):
            self.assertIsInstance(source.ask(0.0), Waiter)
        self.assertEqual([(one.entry.request, one.min_index) for one in source.fetches], [("web", 0)])
        source.answer(1.0, 7, "a")
        self.assertEqual(source.took(), ["a", "a", "a"])
        self.assertEqual(source.ask(2.0), Found(7, "a", True, 0.0))
        self.assertEqual(source.cache.counts["miss_new", "polled"], 3)
        self.assertEqual(source.cache.counts["hit", "polled"], 1)

    def test_oneLongPoll(self) -> None:
        """After each answer the source is asked to wait for the next, and what it says then is what is found."""
        source = Source()
        source.ask(0.0)
        source.answer(0.0, 7, "a")
        self.assertEqual([one.min_index for one in source.fetches], [7])
        source.answer(30.0, 9, "b")
        self.assertEqual(source.ask(31.0), Found(9, "b", True, 0.0))
        self.assertEqual([one.min_index for one in source.fetches], [9])

    def test_blocking(self) -> None:
        """Who names the index that is kept waits for a newer one; who names an older one gets it at once."""
        source = Source()
        source.ask(0.0)
        source.answer(0.0, 7, "a")
        source.took()
        self.assertEqual(source.ask(1.0, min_index=6).value, "a")
        waiting = [source.ask(1.0, min_index=7) for _ in range(3)]
        source.answer(2.0, 7, "a")  # the poll's time was up
        self.assertEqual(source.took(), [])
        source.answer(3.0, 8, "b")
        self.assertEqual([one for one, _ in source.given], waiting)
        self.assertEqual([found for _, found in source.given], [Found(8, "b", False, 0.0)] * 3)
        self.assertIs(source.given[0][1], source.given[2][1])
        self.assertEqual(source.cache.counts["miss_block", "polled"], 3)

    def test_indexOfTheFuture(self) -> None:
        """Who names an index beyond waits until it is passed."""
        source = Source()
        source.ask(0.0)
        source.answer(0.0, 7, "a")
        source.took()
        source.ask(0.0, min_index=50)
        source.answer(1.0, 40, "b")
        self.assertEqual(source.took(), [])
        source.answer(2.0, 51, "c")
        self.assertEqual(source.took(), ["c"])

    def test_indexGoesBack(self) -> None:
        """After a restore indexes are smaller; whoever waits is told, since his may never come."""
        source = Source()
        source.ask(0.0)
        source.answer(0.0, 700, "a")
        source.took()
        source.ask(0.0, min_index=700)
        source.answer(1.0, 5, "restored")
        self.assertEqual(source.took(), ["restored"])
        self.assertEqual(source.ask(2.0).index, 5)

    def test_timeUp(self) -> None:
        """Whose time is up gets what there is, and is not answered again; without anything, he gets nothing."""
        source = Source()
        waiter = source.ask(0.0)
        self.assertIsNone(source.cache.time_up(waiter, 5.0))
        source.answer(6.0, 7, "a")
        waiter = source.ask(6.0, min_index=7)
        self.assertEqual(source.cache.time_up(waiter, 9.0), Found(7, "a", False, 0.0))
        gone = source.ask(9.0, min_index=7)
        source.cache.gone(gone)
        source.answer(10.0, 8, "b")
        self.assertEqual(source.took(), [])

    def test_ignoresControl(self) -> None:
        """Ages mean nothing where the value is kept current."""
        source = Source()
        source.ask(0.0)
        source.answer(0.0, 7, "a")
        self.assertTrue(source.ask(1000.0, max_age=1.0, revalidate=True).hit)

    def test_keepsThroughFailure(self) -> None:
        """While servers cannot be reached the value stays; its age is the time since they were lost."""
        source = Source()
        source.ask(0.0)
        source.answer(0.0, 7, "a")
        source.took()
        waiting = source.ask(50.0, min_index=7)
        source.fail(60.0)
        self.assertEqual(source.given, [(waiting, BROKEN)])  # who blocks learns of it
        self.assertEqual(source.ask(60.0).age, 0.0)
        self.assertEqual(source.ask(100.0), Found(7, "a", True, 40.0))
        source.fail(100.0)
        self.assertEqual(source.ask(110.0).age, 50.0)
        source.answer(120.0, 8, "b")
        self.assertEqual(source.ask(130.0), Found(8, "b", True, 0.0))

    def test_connectedAgain(self) -> None:
        """A poll that blocks long enough has reached a server: the age is over though nothing came."""
        source = Source()
        source.ask(0.0)
        source.answer(0.0, 7, "a")
        source.fail(10.0)
        self.assertEqual(source.cache.next_deadline(), 10.0 + CONNECTED_SECONDS)
        source.wake(20.0)
        self.assertEqual(source.ask(20.0).age, 10.0)
        source.wake(10.0 + CONNECTED_SECONDS)
        self.assertEqual(source.ask(50.0).age, 0.0)

    def test_backsOff(self) -> None:
        """After three failures the pauses double, up to a minute and by chance another."""
        source = Source()
        source.ask(0.0)
        source.answer(0.0, 7, "a")
        now, pauses = 0.0, []
        for _ in range(14):
            source.fail(now)
            if not source.fetches:
                due = source.cache.next_deadline()
                assert due is not None
                source.wake(due - 0.001)
                self.assertEqual(source.fetches, [])
                pauses.append(due - now)
                now = due
                source.wake(now)
            self.assertEqual(len(source.fetches), 1)
        self.assertEqual(len(pauses), 11)
        for number, pause in enumerate(pauses):
            least = min(2.0 ** (number + 1), BACKOFF_SECONDS_MAX)
            self.assertTrue(least <= pause <= 2 * least, (number, pause))
        source.answer(now, 8, "b")
        source.fail(now)
        self.assertEqual(len(source.fetches), 1)  # all is forgiven

    def test_askerDoesNotWait(self) -> None:
        """Who needs a fetch during a pause is served by one at once."""
        source = Source()
        source.ask(0.0)
        for _ in range(5):
            if source.fetches:
                source.fail(0.0)
        self.assertEqual(source.fetches, [])
        source.took()
        source.ask(0.1)
        self.assertEqual(len(source.fetches), 1)
        source.answer(0.2, 7, "a")
        self.assertEqual(source.took(), ["a"])

    def test_noIndex(self) -> None:
        """A source that knows no index is asked again after pauses, not in a circle."""
        source = Source()
        source.ask(0.0)
        for _ in range(4):
            source.answer(0.0, 0, "a")
        self.assertEqual((source.fetches, source.ask(0.0).index), ([], 1))

    def test_doesNotWait(self) -> None:
        """A source that answers at once without news is asked again after pauses, too."""
        source = Source()
        source.ask(0.0)
        source.answer(0.0, 7, "a")
        for _ in range(4):
            source.answer(0.1, 7, "a")
        self.assertEqual(source.fetches, [])

    def test_refusal(self) -> None:
        """A source that refuses takes the value away: nobody sees what he may not see any more."""
        source = Source()
        source.ask(0.0)
        source.answer(0.0, 7, "a")
        source.took()
        source.ask(1.0, min_index=7)
        source.cache.watch("web", "somebody")
        denied = PermissionError("denied")
        source.fail(2.0, denied, refused=True)
        self.assertEqual((source.took(), source.changed, source.fetches), ([denied], ["somebody"], []))
        self.assertEqual((len(source.cache), source.cache.next_deadline()), (0, None))
        self.assertIsInstance(source.ask(3.0), Waiter)

    def test_lateAnswer(self) -> None:
        """The answer to a fetch that nobody wants any more changes nothing."""
        source = Source()
        source.ask(0.0, kind=BRIEF)
        source.answer(0.0, 7, "a")
        (late,) = source.fetches
        source.wake(60.0)
        self.assertEqual(source.forgotten, [late.number])
        source.ask(61.0, kind=BRIEF)
        source.cache.fetched(late.entry, late.number, 9, "late", 1, 62.0)
        source.cache.failed(late.entry, late.number, BROKEN, True, 62.0)
        source.carry_out()
        self.assertEqual((source.took(), len(source.cache)), (["a"], 1))


class SimpleTests(SynchronousTestCase):
    """Kinds that are fetched when somebody asks."""

    def setUp(self) -> None:
        """One entry, fetched at 0."""
        self.source = Source()
        self.source.ask(0.0, kind=SIMPLE)
        self.source.answer(0.0, 1, "a")
        self.source.took()

    def test_anyAge(self) -> None:
        """Nothing asked, any age does; nothing goes on in the background."""
        self.assertEqual(self.source.fetches, [])
        self.assertEqual(self.source.ask(7200.0, kind=SIMPLE), Found(1, "a", True, 7200.0))

    def test_maxAge(self) -> None:
        """What is too old for somebody is fetched, for all later ones too."""
        self.assertTrue(self.source.ask(30.0, kind=SIMPLE, max_age=30.0).hit)
        self.assertIsInstance(self.source.ask(31.0, kind=SIMPLE, max_age=30.0), Waiter)
        self.source.answer(32.0, 1, "b")
        self.assertEqual([found for _, found in self.source.given], [Found(1, "b", False, 0.0)])
        self.assertEqual(self.source.ask(33.0, kind=SIMPLE), Found(1, "b", True, 1.0))

    def test_revalidate(self) -> None:
        """Who insists gets it fresh, however young it is; two at once share the fetch."""
        for _ in range(2):
            self.assertIsInstance(self.source.ask(0.0, kind=SIMPLE, revalidate=True), Waiter)
        self.assertEqual(len(self.source.fetches), 1)
        self.source.answer(1.0, 1, "b")
        self.assertEqual(self.source.took(), ["b", "b"])

    def test_indexMeansNothing(self) -> None:
        """Such a source cannot be waited for."""
        self.assertTrue(self.source.ask(1.0, kind=SIMPLE, min_index=99).hit)

    def test_staleIfError(self) -> None:
        """Where the fetch fails, who bears it gets the old value with its age, and the others the error."""
        patient = self.source.ask(65.0, kind=SIMPLE, max_age=30.0, stale_if_error=100.0)
        strict = self.source.ask(65.0, kind=SIMPLE, max_age=30.0)
        too_strict = self.source.ask(65.0, kind=SIMPLE, revalidate=True, stale_if_error=60.0)
        self.source.fail(66.0)
        self.assertEqual(
            self.source.given, [(patient, Found(1, "a", True, 66.0)), (strict, BROKEN), (too_strict, BROKEN)]
        )
        self.assertEqual((self.source.fetches, self.source.ask(67.0, kind=SIMPLE).value), ([], "a"))

    def test_neverFetched(self) -> None:
        """Where there never was a value, nothing can be borne."""
        self.source.ask(0.0, "other", SIMPLE, stale_if_error=100.0)
        self.source.fail(1.0)
        self.assertEqual(self.source.took(), [BROKEN])

    def test_notWatched(self) -> None:
        """Whose value ages unseen cannot be watched."""
        self.assertFalse(self.source.cache.watch("web", "somebody"))


class LimitTests(SynchronousTestCase):
    """How often, how many, how long."""

    def test_rate(self) -> None:
        """A burst at once, then so many a second, whatever changes; who waits gets the first that serves him."""
        source = Source(limits=FetchLimits(0.5, 2))
        source.ask(0.0)
        source.answer(0.0, 7, "a")
        source.answer(0.0, 8, "b")
        self.assertEqual((source.fetches, source.cache.next_deadline()), ([], 2.0))
        source.ask(1.0, min_index=8)
        self.assertEqual(source.fetches, [])
        source.wake(2.0)
        self.assertEqual([one.min_index for one in source.fetches], [8])
        source.took()
        source.answer(2.5, 9, "c")
        self.assertEqual((source.took(), source.fetches), (["c"], []))

    def test_rateChanges(self) -> None:
        """Other limits hold from the next fetch on."""
        source = Source(limits=FetchLimits(0.001, 1))
        source.ask(0.0)
        source.answer(0.0, 7, "a")
        self.assertEqual(source.fetches, [])
        source.cache.limits = FetchLimits(math.inf, 2)
        source.ask(1.0, min_index=7)
        self.assertEqual(len(source.fetches), 1)

    def test_expires(self) -> None:
        """What nobody asks for any more is forgotten, with its poll."""
        source = Source()
        source.ask(0.0)
        source.answer(0.0, 7, "a")
        source.ask(100.0)
        self.assertEqual(source.cache.next_deadline(), 100.0 + KEPT_SECONDS)
        source.wake(KEPT_SECONDS + 1)
        self.assertEqual(len(source.cache), 1)
        source.wake(KEPT_SECONDS + 100)
        self.assertEqual((len(source.cache), source.fetches, source.cache.next_deadline()), (0, [], None))
        self.assertEqual(source.cache.counts["evict_expired", ""], 1)

    def test_eachKindItsTime(self) -> None:
        """How long something is kept is its kind's."""
        source = Source()
        source.ask(0.0, "a", BRIEF)
        source.answer(0.0, 7, "a")
        source.ask(0.0, "b")
        source.wake(60.0)
        self.assertEqual(len(source.cache), 1)

    def test_waitedFor(self) -> None:
        """What somebody waits for is not forgotten."""
        source = Source()
        source.ask(0.0, kind=BRIEF)
        source.answer(0.0, 7, "a")
        source.ask(1.0, kind=BRIEF, min_index=7)
        source.wake(61.0)
        source.answer(62.0, 8, "b")
        self.assertEqual(source.took(), ["a", "b"])

    def test_leastRecentlyUsedGoes(self) -> None:
        """Of too many, the one that was asked for longest ago goes, unless somebody waits for it."""
        source = Source(entries_max=3)
        for number, key in enumerate("abc"):
            source.ask(float(number), key, SIMPLE)
            source.answer(float(number), 1, key)
        source.ask(10.0, "a", SIMPLE, revalidate=True)
        source.ask(11.0, "c", SIMPLE)
        source.ask(12.0, "d", SIMPLE)
        self.assertIsInstance(source.ask(13.0, "a", SIMPLE, max_age=1.0), Waiter)
        self.assertEqual(len(source.cache), 3)
        self.assertIsInstance(source.ask(14.0, "b", SIMPLE), Waiter)

    def test_bytes(self) -> None:
        """Of too many bytes, too, the oldest go; what was made of a value counts, while it is the value."""
        source = Source(bytes_max=100)
        for key in "abc":
            source.ask(0.0, key, SIMPLE)
            source.answer(0.0, 1, key, 40)
        self.assertEqual((len(source.cache), source.cache.size), (2, 80))
        source.ask(1.0, "b", SIMPLE)
        entry = source.cache.ask("c", SIMPLE, "c", Wish(revalidate=True), 1.0)
        assert isinstance(entry, Waiter)
        source.carry_out()
        source.cache.grown(entry.entry, "old", 50, 1.0)
        self.assertEqual(len(source.cache), 2)
        source.cache.grown(entry.entry, entry.entry.value, 50, 1.0)
        self.assertEqual((len(source.cache), source.cache.size), (1, 90))
        source.answer(1.0, 1, "d", 20)
        self.assertEqual(source.cache.size, 20)

    def test_oneTooLarge(self) -> None:
        """A value that is larger than all that is allowed is given, and not kept."""
        source = Source(bytes_max=100)
        source.ask(0.0)
        source.answer(0.0, 7, "large", 1000)
        self.assertEqual((source.took(), len(source.cache), source.cache.size), (["large"], 0, 0))
        self.assertEqual(source.fetches, [])

    def test_allWaitedFor(self) -> None:
        """Where all are waited for, one more is taken: those who wait are few enough."""
        source = Source(entries_max=2)
        for key in "abc":
            source.ask(0.0, key)
        self.assertEqual(len(source.cache), 3)

    def test_clear(self) -> None:
        """At the end who waits gets what there is, or the error; fetches are forgotten."""
        source = Source()
        source.ask(0.0, "a")
        source.answer(0.0, 7, "a")
        source.took()
        source.ask(0.0, "a", min_index=7)
        source.ask(0.0, "b")
        source.cache.clear(BROKEN, 1.0)
        source.carry_out()
        self.assertEqual((source.took(), source.fetches, len(source.cache)), (["a", BROKEN], [], 0))

    def test_backoff(self) -> None:
        """Chance never makes a pause less than its share, and large numbers are a minute like others."""
        self.assertEqual([backoff(number, Random(1)) for number in range(4)], [0.0] * 4)
        self.assertTrue(BACKOFF_SECONDS_MAX <= backoff(10**9, Random(1)) <= 2 * BACKOFF_SECONDS_MAX)


class WatchTests(SynchronousTestCase):
    """Being told, once, that an answer is another."""

    def test_watch(self) -> None:
        """A new index tells; the same does not; nobody is told twice, or after he went."""
        source = Source()
        source.ask(0.0)
        source.answer(0.0, 7, "a")
        self.assertTrue(source.cache.watch("web", "x"))
        self.assertTrue(source.cache.watch("web", "y"))
        source.cache.unwatch("web", "y")
        source.answer(1.0, 7, "a")
        self.assertEqual(source.changed, [])
        source.answer(2.0, 8, "b")
        source.answer(3.0, 9, "c")
        self.assertEqual(source.changed, ["x"])

    def test_asksAgain(self) -> None:
        """Who watches what nobody asks for is told in time; if he asks again it stays, and if he does not, it goes."""
        source = Source()
        source.ask(0.0, kind=BRIEF)
        source.answer(0.0, 7, "a")
        for now in (60.0, 120.0):
            source.cache.watch("web", "x")
            source.wake(now)
            self.assertEqual((source.changed, source.ask(now, kind=BRIEF).hit), (["x"], True))
            source.changed.clear()
        source.cache.watch("web", "x")
        source.wake(180.0)
        source.wake(240.0)
        self.assertEqual((source.changed, len(source.cache)), (["x"], 0))

    def test_nothingThere(self) -> None:
        """What is not kept, or not there yet, cannot be watched."""
        source = Source()
        self.assertFalse(source.cache.watch("web", "x"))
        source.ask(0.0)
        self.assertFalse(source.cache.watch("web", "x"))
        source.cache.unwatch("none", "x")


class RandomTests(SynchronousTestCase):
    """Any sequence of events."""

    def test_everySequence(self) -> None:
        """
        Each who waits is answered once; no entry has two fetches; what is found is what its source said last; at the
        end nothing is left.
        """
        for seed in range(150):
            rng = Random(seed)
            source = Source(
                limits=FetchLimits(rng.choice([math.inf, 3.0]), 2), entries_max=rng.choice([2, 100]), bytes_max=25
            )
            now, index = 0.0, 5
            said: dict[Any, Any] = {}
            waiting: set[Waiter] = set()
            for _ in range(200):
                now += rng.choice([0.0, 0.1, 5.0, 40.0])
                action = rng.random()
                key, kind = rng.choice([("a", POLLED), ("b", POLLED), ("c", BRIEF), ("d", SIMPLE)])
                if action < 0.4:
                    wish = {"min_index": rng.choice([0, index, index - 1])}
                    if kind is SIMPLE:
                        wish = {"max_age": rng.choice([None, 1.0]), "stale_if_error": rng.choice([0.0, 50.0])}
                    found = source.ask(now, key, kind, **wish)
                    if isinstance(found, Waiter):
                        waiting.add(found)
                    else:
                        self.assertIs(found.value, said[key], seed)
                elif action < 0.8 and source.fetches:
                    source.fetches.insert(0, source.fetches.pop(rng.randrange(len(source.fetches))))
                    key = source.fetches[0].entry.key
                    fate = rng.random()
                    if fate < 0.6:
                        index += rng.choice([0, 1])
                        said[key] = object()
                        source.answer(now, index, said[key])
                    else:
                        source.fail(now, refused=fate > 0.9)
                elif action < 0.9 and waiting:
                    waiter = rng.choice(sorted(waiting, key=id))
                    waiting.discard(waiter)
                    source.cache.time_up(waiter, now)
                elif action < 0.95:
                    source.cache.watch(key, "somebody")
                deadline = source.cache.next_deadline()
                if deadline is not None and deadline <= now:
                    source.wake(now)
                    due = source.cache.next_deadline()
                    self.assertTrue(due is None or due > now, seed)
                for waiter, _ in source.given:
                    self.assertIn(waiter, waiting, seed)
                    waiting.discard(waiter)
                source.given.clear()
                entries = [one.entry for one in source.fetches]
                self.assertEqual(len(entries), len(set(entries)), seed)
            source.cache.clear(BROKEN, now)
            source.carry_out()
            self.assertEqual({one for one, _ in source.given}, waiting, seed)
            self.assertEqual((source.fetches, source.cache.next_deadline()), ([], None))
            self.assertEqual((len(source.cache), source.cache.size), (0, 0))
