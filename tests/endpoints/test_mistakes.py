"""Each planted mistake is found by the comparison with the model."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from twisted.trial.unittest import FailTest, SynchronousTestCase

from tests.endpoints.mistakes import MISTAKES
from tests.endpoints.test_model import hold
from tests.state.sequences import COMMANDS

#: Sequences that are tried for one mistake.
SEQUENCES = 400


class MistakeTests(SynchronousTestCase):
    """What the model is worth."""

    def test_none(self) -> None:
        """Without a mistake nothing is found."""
        self.assertIsNone(self.search())

    def find(self, name: str) -> int | None:
        """@return: how many sequences it took to find a mistake; None if it was not found."""
        with MISTAKES[name][0]():
            return self.search()

    def search(self) -> int | None:
        """@return: how many sequences it took until door and model differed."""
        tried = []

        @settings(
            max_examples=SEQUENCES,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(COMMANDS)
        def compare(commands: list[tuple[Any, ...]]) -> None:
            tried.append(commands)
            hold(self, commands)

        try:
            compare()
        except (FailTest, LookupError):
            return len(tried)
        return None


def _add(name: str, text: str) -> None:
    def test(self: MistakeTests) -> None:
        self.assertIsNotNone(self.find(name), f"{name} was not found by {SEQUENCES} sequences")

    test.__doc__ = f"Found: {text}."
    words = name.split("_")
    setattr(MistakeTests, "test_" + words[0] + "".join(word.title() for word in words[1:]), test)


for _name, (_, _text) in MISTAKES.items():
    _add(_name, _text)
