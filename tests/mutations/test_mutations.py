"""Each planted mistake is found by the simulation."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.mutations.hunt import hunt, recorded
from tests.mutations.mistakes import MISTAKES

#: How many seeds after the recorded one may be tried, as any change gives a seed another history.
SEEDS_MORE = 40


class MutationTests(SynchronousTestCase):
    """What the simulation is worth."""

    def test_everyMistakeIsRecorded(self) -> None:
        """Every mistake has a seed that found it."""
        self.assertEqual(set(recorded()), set(MISTAKES))
        self.assertGreaterEqual(len(MISTAKES), 10)


def _add(name: str, seed: int, text: str) -> None:
    def test(self: MutationTests) -> None:
        found = hunt(name, range(seed, seed + 1 + SEEDS_MORE))
        self.flushLoggedErrors()  # some mistakes stop a server, which says so
        self.assertIsNotNone(found, f"{name} was not found by seeds from {seed} on")

    test.__doc__ = f"Found: {text}."
    words = name.split("_")
    setattr(MutationTests, "test_" + words[0] + "".join(word.title() for word in words[1:]), test)


for _name, _seed in recorded().items():
    if _name in MISTAKES:
        _add(_name, _seed, MISTAKES[_name][1])
