"""
One core, alone with the test: what it is told and what it answers.
"""

from __future__ import annotations

from typing import Any

from tests.raft.cluster import Cluster
from txconsul.raft.core import RaftCore
from txconsul.raft.messages import (
    AppendEntriesReply,
    Persist,
    PreVoteReply,
    Role,
    Send,
    VoteReply,
)

__all__ = ["acknowledge", "answers", "ask", "attempt", "leader", "member", "store"]


def member(*terms: int, ids: str = "abc", at: float = 10.0, **options: Any) -> RaftCore:
    """The server a of a group, its log with an entry of each of these terms, long after its start."""
    cluster = Cluster.of(*ids, terms=terms or (1,), **options)
    core = cluster["a"]
    core.take_output()
    core._now = at
    return core


def answers(core: RaftCore) -> list[Any]:
    """The messages that a server wishes to send."""
    return [output.message for output in core.take_output() if isinstance(output, Send)]


def ask(core: RaftCore, message: Any, sender: str = "b", now: float = 10.0) -> Any:
    """What a server answers."""
    core.receive(message, sender, now)
    (answer,) = answers(core)
    return answer


def leader(*terms: int, ids: str = "abc") -> RaftCore:
    """The server a, leading term n+1 with nothing but its first entry proposed and durable, since second 10."""
    core = member(*terms, ids=ids)
    core.wake(10.0)
    mood = PreVoteReply(core.term + 1, True, attempt(core))
    for id in ids[1:]:
        core.receive(mood, id, 10.0)
    vote = VoteReply(core.term, True, attempt(core))
    for id in ids[1:]:
        core.receive(vote, id, 10.0)
    assert core.role is Role.LEADER
    store(core)
    return core


def store(core: RaftCore) -> None:
    """Everything wished so far is carried out; the disk has it."""
    for output in core.take_output():
        if isinstance(output, Persist):
            core.log._store.append(output.entries)
            core.persisted(output.entries[-1].index, output.entries[-1].term, 10.0)


def attempt(core: RaftCore) -> int:
    """The round of a candidate's present attempt, which votes for it must repeat."""
    return core._campaign.round if core._campaign is not None else 0


def acknowledge(core: RaftCore, id: str, index: int, now: float = 10.0, round: int = 0) -> None:
    """A follower has everything up to C{index}."""
    core.receive(AppendEntriesReply(core.term, True, index, match_index=index, round=round), id, now)
