"""Exact watches."""

from __future__ import annotations

import tracemalloc

from twisted.trial.unittest import SynchronousTestCase

from txconsul.state.watches import Watches, kv_key, kv_prefix, service


class WatchesTests(SynchronousTestCase):
    """Who is woken by what."""

    def setUp(self) -> None:
        self.watches = Watches()
        self.woken: list[str] = []

    def wait(self, name: str, *keys: object) -> object:
        return self.watches.wait(keys, lambda: self.woken.append(name))  # type: ignore[arg-type]

    def test_onlyWhoAskedIsWoken(self) -> None:
        """A key wakes its own waiters and those of its prefixes, nobody else, in the order in which they came."""
        self.wait("key", kv_key(b"a/b"))
        self.wait("other key", kv_key(b"a/bc"))
        self.wait("prefix", kv_prefix(b"a/"))
        self.wait("whole key as prefix", kv_prefix(b"a/b"))
        self.wait("longer prefix", kv_prefix(b"a/bc"))
        self.wait("other prefix", kv_prefix(b"b/"))
        self.wait("everything", kv_prefix(b""))
        self.wait("service", service("a/b"))
        self.watches.wake([kv_key(b"a/b")])
        self.assertEqual(set(self.woken), {"key", "prefix", "whole key as prefix", "everything"})
        self.assertEqual(len(self.watches), 4)

    def test_once(self) -> None:
        """A wait on several keys ends with the first of them."""
        self.wait("both", kv_key(b"a"), kv_prefix(b"b"))
        self.watches.wake([kv_key(b"a"), kv_key(b"b")])
        self.watches.wake([kv_key(b"b1")])
        self.assertEqual(self.woken, ["both"])
        self.assertFalse(self.watches)

    def test_sameKeyTwice(self) -> None:
        """Naming a key twice in one wait is as good as once."""
        wait = self.wait("twice", kv_key(b"a"), kv_key(b"a"))
        self.watches.cancel(wait)  # type: ignore[arg-type]
        self.assertFalse(self.watches)

    def test_cancel(self) -> None:
        """A cancelled wait is not woken and leaves nothing behind; its neighbours stay."""
        first = self.wait("first", kv_key(b"a"), kv_prefix(b"x"))
        self.wait("second", kv_key(b"a"))
        third = self.wait("third", kv_key(b"a"))
        self.watches.cancel(first)  # type: ignore[arg-type]
        self.watches.cancel(third)  # type: ignore[arg-type]
        self.watches.cancel(third)  # type: ignore[arg-type]
        self.watches.wake([kv_key(b"a"), kv_key(b"x1")])
        self.assertEqual(self.woken, ["second"])
        self.assertFalse(self.watches)

    def test_callbackMayWaitAgain(self) -> None:
        """A callback that waits for the same key again is woken by the next write, not by this one."""

        def again() -> None:
            self.woken.append("again")
            if len(self.woken) < 5:
                self.watches.wait([kv_key(b"a")], again)

        self.watches.wait([kv_key(b"a")], again)
        self.watches.wake([kv_key(b"a")])
        self.assertEqual(len(self.woken), 1)
        self.watches.wake([kv_key(b"a")])
        self.assertEqual(len(self.woken), 2)

    def test_callbackMayCancelAnother(self) -> None:
        """Who is cancelled by an earlier callback of the same write is not called back."""
        waits: list[object] = []

        def cancel() -> None:
            self.watches.cancel(waits[1])  # type: ignore[arg-type]

        waits.append(self.watches.wait([kv_key(b"a")], cancel))
        waits.append(self.wait("second", kv_key(b"a")))
        self.watches.wake([kv_key(b"a")])
        self.assertEqual(self.woken, [])
        self.assertFalse(self.watches)

    def test_wakeAll(self) -> None:
        """After a restore everybody is woken, once."""
        self.wait("a", kv_key(b"a"), kv_prefix(b"p"))
        self.wait("b", service("web"))
        self.watches.wake_all()
        self.assertEqual(sorted(self.woken), ["a", "b"])
        self.assertFalse(self.watches)

    def test_tenThousandWaitersAreCheap(self) -> None:
        """Ten thousand waits, each on a key of its own, take less than 600 bytes each, keys and all."""
        tracemalloc.start()
        try:
            waits = [self.watches.wait([kv_key(b"key/%d" % n)], int) for n in range(10_000)]
            taken, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        self.assertLess(taken / len(waits), 600)
