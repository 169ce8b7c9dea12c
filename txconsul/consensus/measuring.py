"""
What is measured of Raft: how much is written, and how long it takes to be safe.

Source: Consul's "Agent telemetry reference": C{raft.*}.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.internet.defer import Deferred

from txconsul.metrics.metrics import Metrics
from txconsul.raft.messages import Role

__all__ = ["RaftMeasures"]

_STATES = {Role.LEADER: "leader", Role.CANDIDATE: "candidate", Role.FOLLOWER: "follower"}


class RaftMeasures:
    """
    The instruments of one server.

    @ivar proposals: commands proposed here; C{barriers}: likewise.
    """

    def __init__(self, metrics: Metrics, seconds: Callable[[], float]) -> None:
        """@param seconds: monotonic."""
        self._seconds = seconds
        self.proposals = 0
        self.barriers = 0
        metrics.counted("raft.apply", lambda: self.proposals)
        metrics.counted("raft.barrier", lambda: self.barriers)
        self._commits = metrics.sample("raft.commitTime")
        self._syncs = metrics.sample("raft.leader.dispatchLog")
        self._states = {role: metrics.counter(f"raft.state.{name}") for role, name in _STATES.items()}
        self._dispatched: deque[tuple[int, float]] = deque()

    def dispatched(self, index: int) -> None:
        """The first command of a turn got this index; those after it in the turn go down together with it."""
        self._dispatched.append((index, self._seconds()))

    def committed(self, index: int) -> None:
        """Everything up to this is safe."""
        dispatched = self._dispatched
        if dispatched and dispatched[0][0] <= index:
            now = self._seconds()
            while dispatched and dispatched[0][0] <= index:
                self._commits.add((now - dispatched.popleft()[1]) * 1000)

    def became(self, role: Role) -> None:
        """A role begins; what was dispatched in an earlier one may never be committed."""
        self._dispatched.clear()
        if role in self._states:
            self._states[role].add()

    def timed_sync(self, done: Deferred[int]) -> Deferred[int]:
        """A sync of the log begins: measure it, if it succeeds."""
        began = self._seconds()

        def over(index: int) -> int:
            self._syncs.add((self._seconds() - began) * 1000)
            return index

        return done.addCallback(over)
