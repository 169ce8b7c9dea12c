"""
Reads that see every write before them, without a log entry (Raft 8; dissertation 6.4).

A B{read barrier} notes the commit index, and waits until a majority has answered something that was sent after that:
then this server was still the leader when the read came. Everything sent has a number, its I{round}, and an answer
confirms every read that came before its round began; so one round of heartbeats serves all reads that wait.

A B{lease} needs no message: while a majority has answered something sent less than C{Timing.lease} ago, none of them
has voted for another, as each refuses votes for longer than that after it heard its leader. It trusts that clocks run
at about the same rate on all servers, which the barrier does not.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque

__all__ = ["ROUND_SECONDS", "Reads", "Rounds"]

#: How finely the times of rounds are kept. A round counts as sent when the first of its 10 ms was, so a lease may end
#: 10 ms early; at 10,000 messages a second the table has hundreds of rows instead of tens of thousands.
ROUND_SECONDS = 0.01


class Rounds:
    """Numbers for everything a leader sends, growing over the life of the process, and when each was sent."""

    def __init__(self) -> None:
        self.next = 1
        self._numbers: list[int] = []
        self._times: list[float] = []

    def begin(self, now: float, keep: float) -> int:
        """
        The number for a message sent now.

        @param keep: times older than this many seconds are of no use any more.
        """
        times = self._times
        if not times or now - times[-1] >= ROUND_SECONDS:
            stale = bisect_right(times, now - keep) - 1
            if stale > 256:
                del times[:stale], self._numbers[:stale]
            times.append(now)
            self._numbers.append(self.next)
        number = self.next
        self.next = number + 1
        return number

    def sent_at(self, number: int) -> float | None:
        """About when this round was sent, never later than it was; None if that is too long ago, or never was."""
        place = bisect_right(self._numbers, number) - 1
        if place < 0 or number >= self.next:
            return None
        return self._times[place]


class Reads:
    """The reads that wait for leadership to be confirmed."""

    def __init__(self) -> None:
        self._new: list[tuple[int, int]] = []
        self._asked: deque[tuple[int, list[tuple[int, int]]]] = deque()

    def add(self, ticket: int, index: int) -> None:
        """A read came, which must see everything up to C{index}."""
        self._new.append((ticket, index))

    def wants_round(self) -> bool:
        """
        Whether a round of heartbeats should begin now: reads wait, and none is under way. Reads that come during a
        round wait for the next, so that however many there are, there is one round at a time.
        """
        return bool(self._new) and not self._asked

    def round_begins(self, number: int) -> None:
        """What is sent from this round on answers for all reads that are here."""
        if self._new:
            self._asked.append((number, self._new))
            self._new = []

    def confirmed(self, number: int, commit: int) -> list[tuple[int, int]]:
        """
        A majority has answered round C{number} or a later one.

        @return: the (ticket, index) that may now be answered. One whose index is not committed yet goes on waiting.
        """
        ready: list[tuple[int, int]] = []
        while self._asked and self._asked[0][0] <= number and self._asked[0][1][0][1] <= commit:
            for ticket, index in self._asked.popleft()[1]:
                ready.append((ticket, index))
        return ready

    def take_all(self) -> list[int]:
        """Every ticket that waits, to be failed."""
        tickets = [ticket for _, batch in self._asked for ticket, _ in batch]
        tickets += [ticket for ticket, _ in self._new]
        self._asked.clear()
        self._new.clear()
        return tickets
