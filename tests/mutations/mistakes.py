"""
Known mistakes, planted into core and driver from outside: what the simulation must find.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest.mock import patch

from txconsul.consensus.applying import Applying
from txconsul.consensus.barriers import ReadBarriers
from txconsul.consensus.durability import Durability
from txconsul.consensus.traffic import SnapshotTraffic
from txconsul.errors import NoLeader
from txconsul.raft.configuration import Membership
from txconsul.raft.core import RaftCore
from txconsul.raft.log import RaftLog
from txconsul.raft.messages import AppendEntriesReply
from txconsul.raft.replication import Leadership

Planting = Callable[[], AbstractContextManager[object]]

#: By name: how it is planted, and what is wrong.
MISTAKES: dict[str, tuple[Planting, str]] = {}


def mistake(text: str) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    """Note a function which plants a mistake, under its own name."""

    def note(plant: Callable[[], Any]) -> Callable[[], Any]:
        MISTAKES[plant.__name__] = (plant, text)
        return plant

    return note


@mistake("a server stands for election without asking whether it could win")
def no_pre_vote() -> Any:
    """Raft dissertation 9.6."""
    return patch.object(RaftCore, "_ask_mood", lambda self, now: self._stand(now, transfer=False))


@mistake("a follower acknowledges entries before they are synced")
def acknowledged_before_sync() -> Any:
    """Raft figure 2."""

    def send(self: Any, output: Any) -> None:
        self._transport.send(output.to, output.address, output.message)

    return patch.object(Durability, "send", send)


@mistake("a leader commits entries of earlier terms by counting")
def older_term_committed() -> Any:
    """Raft 5.4.2, figure 8."""
    return patch.object(Leadership, "may_commit", lambda self, index: True)


@mistake("a leader trusts its lease for ever")
def stale_lease() -> Any:
    """Raft dissertation 6.4.1."""
    return patch.object(Leadership, "lease_valid", lambda self, now: True)


@mistake("term and vote are not stored")
def forgotten_vote() -> Any:
    """Raft figure 2."""
    return patch.object(Durability, "persist_state", lambda self, output: None)


@mistake("a server votes twice in a term")
def second_vote() -> Any:
    """Raft 5.2."""
    return patch.object(
        RaftCore,
        "_grants_vote",
        lambda self, message, sender: self._candidate_is_ahead(message.last_log_index, message.last_log_term),
    )


@mistake("votes are given without a look at the candidate's log")
def vote_for_shorter_log() -> Any:
    """Raft 5.4.1."""
    return patch.object(RaftCore, "_candidate_is_ahead", lambda self, index, term: True)


@mistake("a follower keeps its entries where the leader's are different")
def conflict_kept() -> Any:
    """Raft 5.3."""

    def without_known(self: Any, entries: Any) -> Any:
        return tuple(entry for entry in entries if entry.index > self.log.last)

    return patch.object(RaftCore, "_without_known", without_known)


@mistake("a conflict is cut off the core's log, and not off the disk's")
def conflict_kept_on_disk() -> Any:
    """Raft 5.3."""
    return patch.object(Durability, "truncate", lambda self, output: None)


@mistake("a follower does not look whether its log agrees before the new entries")
def no_consistency_check() -> Any:
    """Raft 5.3."""
    return patch.object(RaftCore, "_log_agrees", lambda self, message: message.prev_log_entry <= self.log.last)


@mistake("a read barrier counts answers to what was sent before the read came")
def stale_read_round() -> Any:
    """Raft 8."""
    return patch.object(Leadership, "confirmed_round", lambda self: self._rounds.next)


@mistake("a new leader serves reads before it has committed an entry of its term")
def read_before_own_commit() -> Any:
    """Raft 8."""
    read = RaftCore.read

    def hasty(self: Any, now: float) -> int:
        leadership = self._leadership
        if leadership is None:
            return read(self, now)
        start, leadership.term_start = leadership.term_start, 0
        try:
            return read(self, now)
        finally:
            leadership.term_start = start

    return patch.object(RaftCore, "read", hasty)


@mistake("a configuration counts only when it is committed")
def configuration_waits_for_commit() -> Any:
    """Raft 6."""

    def append(self: Any, index: int, configuration: Any) -> None:
        self._history.append((index, configuration))

    commit = Membership.commit

    def late(self: Any, index: int) -> bool:
        if self._history[-1][0] <= index and self._history[-1][0] != self.latest_index:
            self._use()
            commit(self, index)
            return True
        return commit(self, index)

    return _both(patch.object(Membership, "append", append), patch.object(Membership, "commit", late))


@mistake("the group is changed again before the last change is committed")
def two_changes_at_once() -> Any:
    """Raft 6; dissertation 4.1."""
    return patch.object(RaftCore, "_change_under_way", lambda self, leadership: False)


@mistake("an answer counts for the whole of the leader's log, not for what was sent")
def match_beyond_verified() -> Any:
    """Raft 5.3."""
    answered = Leadership.answered

    def credulous(self: Any, progress: Any, reply: AppendEntriesReply, now: float) -> None:
        answered(self, progress, replaced(reply, match_index=self._log.last), now)

    return patch.object(Leadership, "answered", credulous)


@mistake("a follower commits as far as the leader has, though its own log is not verified so far")
def commit_beyond_new_entries() -> Any:
    """Raft figure 2."""
    on_append = RaftCore._on_append

    def eager(self: Any, message: Any, sender: str, now: float) -> None:
        on_append(self, message, sender, now)
        if self.leader == sender and message.leader_commit_index:
            self._commit_to(min(message.leader_commit_index, self.log.durable), now)

    return patch.object(RaftCore, "_on_append", eager)


@mistake("a server does not remember of which term its snapshot's last entry is")
def snapshot_without_term() -> Any:
    """Raft 7."""
    reset = RaftLog.reset
    return patch.object(RaftLog, "reset", lambda self, index, term: reset(self, index, 0))


@mistake("a snapshot says that it holds what is in the log, not what was applied")
def snapshot_ahead_of_state() -> Any:
    """Raft 7."""
    take = SnapshotTraffic.take

    def hasty(self: Any) -> Any:
        applied = self._applying.applied
        self._applying.applied = self._core.log.last
        try:
            return take(self)
        finally:
            self._applying.applied = applied

    return patch.object(SnapshotTraffic, "take", hasty)


@mistake("after a restart the log is applied on top of the snapshot from its beginning")
def applied_twice() -> Any:
    """Raft 7."""
    restored = Applying.restored

    def forgetful(self: Any, index: int) -> None:
        restored(self, index)
        first = self._log_store.first
        if first and first <= index:
            self.applied = first - 1

    return patch.object(Applying, "restored", forgetful)


@mistake("a leader that steps down says that its proposals were refused, though others may have them")
def refused_too_early() -> Any:
    """Whether a write happens is not known when leadership is lost."""
    give_up = Applying.give_up
    return patch.object(Applying, "give_up", lambda self, after, error: give_up(self, after, NoLeader))


@mistake("a read is answered before what it must see is applied")
def read_before_apply() -> Any:
    """Raft 8; dissertation 6.4, step 3."""

    def apply_late(self: Any, index: int) -> None:
        if index > self.committed:
            self.committed = index
            if self._soon is None:
                self._soon = self._clock.callLater(0.02, self._next_slice)

    @contextmanager
    def plant() -> Iterator[None]:
        def ready(self: Any, output: Any) -> None:
            self._asked.pop(output.ticket).callback(None)

        with patch.object(ReadBarriers, "ready", ready), patch.object(Applying, "commit", apply_late):
            yield

    return plant()


def replaced(reply: AppendEntriesReply, **fields: Any) -> AppendEntriesReply:
    """C{reply} with other values in some fields."""
    values = {name: getattr(reply, name) for name in reply.__struct_fields__}
    return AppendEntriesReply(**{**values, **fields})


@contextmanager
def _both(one: AbstractContextManager[object], other: AbstractContextManager[object]) -> Iterator[None]:
    with one, other:
        yield
