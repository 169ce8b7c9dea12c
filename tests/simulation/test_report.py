"""What a failed simulation says, and that it can be seen again from that."""

from __future__ import annotations

import re
from io import StringIO
from unittest.mock import patch

from twisted.trial.unittest import SynchronousTestCase

from tests.mutations.hunt import hunt
from tests.mutations.mistakes import MISTAKES
from txconsul.simulation.__main__ import main, simulate
from txconsul.simulation.transcript import Transcript


class ReportTests(SynchronousTestCase):
    """A planted mistake is told of like a real one."""

    def run_main(self, *arguments: str) -> tuple[int, str]:
        """Exit status and output of the command."""
        out = StringIO()
        with patch("sys.stdout", out), patch("txconsul.simulation.__main__.globalLogBeginner"):
            status = main(arguments)
        return status, out.getvalue()

    def test_again(self) -> None:
        """The command in the report shows the same failure, in the same form."""
        found = hunt("second_vote", range(200))
        assert found is not None
        with MISTAKES["second_vote"][0]():
            told = simulate(found.seed)
            assert told is not None
            lines = told.splitlines()
            self.assertRegex(lines[0], r"^FAILED: . votes for . in term \d+, had voted for . at \d+\.\d{3} s \(\w+\)$")
            again = re.fullmatch(
                r"  again:   python -m txconsul.simulation (raft --seed \d+ --until \d+\.\d)", lines[1]
            )
            assert again is not None
            self.assertRegex(lines[2], r"^  world:   [35] servers, .*commit \w+$")
            self.assertRegex(lines[3], r"^  last:    \d+\.\d{3} .> ")
            status, output = self.run_main(*again[1].split(), "--lines", "12")
        self.assertEqual((status, output.strip()), (1, told))

    def test_nothingFound(self) -> None:
        """Without a failure the summary says so and the status is 0."""
        status, output = self.run_main("raft", "--seeds", "2", "--first", "1")
        self.assertEqual(status, 0)
        self.assertRegex(output, r"^2 seeds from 1: 0 failed, \d+ s\n$")

    def test_lastLinesOfThoseConcerned(self) -> None:
        """A transcript shows its last lines, of some servers if asked."""
        transcript = Transcript()
        for number in range(1000):
            transcript.add(number / 10, f"{'ab'[number % 2]}> does {number}")
        self.assertEqual(transcript.last(2, ("a>",)), ["99.600 a> does 996", "99.800 a> does 998"])
        self.assertEqual(transcript.count, 1000)
        self.assertLess(len(transcript.lines), 1000)
