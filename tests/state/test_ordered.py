"""Keys in sorted blocks."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txconsul.state import ordered
from txconsul.state.ordered import OrderedKeys

KEYS = st.binary(max_size=3) | st.text("ab/\xff", max_size=5).map(lambda text: text.encode("latin-1"))


class OrderedKeysTests(SynchronousTestCase):
    """Against a plain sorted set."""

    def test_prefixesAgainstASortedList(self) -> None:
        """After any additions and removals, every prefix finds what a sorted list would."""
        self.patch(ordered, "BLOCK_KEYS", 3)

        @settings(max_examples=200, deadline=None)
        @given(st.lists(st.tuples(st.booleans(), KEYS)), st.lists(KEYS, min_size=1))
        def same(steps: list[tuple[bool, bytes]], prefixes: list[bytes]) -> None:
            keys, model = OrderedKeys(), set()
            for adding, key in steps:
                if adding and key not in model:
                    keys.add(key)
                    model.add(key)
                elif not adding:
                    keys.discard(key)
                    model.discard(key)
            self.assertEqual(list(keys), sorted(model))
            self.assertEqual(len(keys), len(model))
            for prefix in prefixes:
                self.assertEqual(keys.with_prefix(prefix), sorted(k for k in model if k.startswith(prefix)))
                self.assertEqual(prefix in keys, prefix in model)

        same()

    def test_builtFromManyKeys(self) -> None:
        """A sorted list is taken over in blocks, and grows like any other."""
        keys = OrderedKeys([b"%05d" % n for n in range(0, 10000, 2)])
        for n in range(1, 10000, 2):
            keys.add(b"%05d" % n)
        self.assertEqual(list(keys), [b"%05d" % n for n in range(10000)])
        self.assertEqual(keys.with_prefix(b"0123"), [b"0123%d" % n for n in range(10)])

    def test_copyIsIndependent(self) -> None:
        """A copy does not see later changes."""
        keys = OrderedKeys([b"a", b"b"])
        copy = keys.copy()
        keys.add(b"c")
        keys.discard(b"a")
        self.assertEqual(list(copy), [b"a", b"b"])
