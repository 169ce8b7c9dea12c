"""
What Raft servers say to each other, and what a L{RaftCore<txconsul.raft.core.RaftCore>} wishes from its driver.

B{Messages} mirror the fields of hashicorp/raft's. Servers are named by id; C{leader} and C{candidate} are addresses,
as on the wire. One field of each message is B{not on the wire}: C{round}, a number that the answer repeats. It is how
a leader knows which of its requests was answered. A transport of requests and responses keeps it at both ends: the
asking side fills C{round} (and the other fields marked so below) into the answer from the request it belongs to, and
the answering side may give each request that comes in a C{round} of its own, to find the connection that waits.
Every request gets at most one answer; a request that got none may be sent again.

B{Outputs} are carried out in the order in which L{take_output<txconsul.raft.core.RaftCore.take_output>} lists them,
and the order is meaning: a L{Send} which stands after a L{PersistState} or a L{Persist} waits until that is durable;
a L{Send} before it need not wait (a leader writes in parallel with its followers, Raft dissertation 10.2.1). Nothing
else waits for a L{Persist}.
"""

from __future__ import annotations

from enum import IntEnum

import msgspec

from txconsul.records.raft import Configuration, Entry

__all__ = [
    "AppendEntries",
    "AppendEntriesReply",
    "Commit",
    "ConfigurationChanged",
    "Dropped",
    "InstallSnapshot",
    "InstallSnapshotReply",
    "LeaderChanged",
    "Message",
    "Output",
    "Persist",
    "PersistState",
    "PreVoteReply",
    "ReadFailed",
    "ReadReady",
    "ReceiveSnapshot",
    "RequestPreVote",
    "RequestVote",
    "ResetLog",
    "Role",
    "RoleChanged",
    "Send",
    "SendSnapshot",
    "TimeoutNow",
    "TransferFailed",
    "Truncate",
    "VoteReply",
]


class Role(IntEnum):
    """What a server is to its group (Raft 5.1). A candidate may still be asking for pre-votes."""

    FOLLOWER = 0
    CANDIDATE = 1
    LEADER = 2
    STOPPED = 3


# ---- what servers say to each other ----


class AppendEntries(msgspec.Struct, frozen=True):
    """
    A leader's entries, or only its sign of life (Raft 5.3).

    A B{heartbeat} has no entries and C{prev_log_entry}, C{prev_log_term}, C{leader_commit_index} 0. It says nothing
    about the log and must be answered out of turn, even while a slow append or a snapshot is in work.

    @ivar leader: the leader's address.
    @ivar prev_log_entry: index of the entry just before C{entries}; 0 before the first.
    @ivar round: not on the wire.
    """

    term: int
    leader: str = ""
    prev_log_entry: int = 0
    prev_log_term: int = 0
    leader_commit_index: int = 0
    entries: tuple[Entry, ...] = ()
    round: int = 0

    @property
    def is_heartbeat(self) -> bool:
        """Whether this is only a sign of life."""
        return not self.entries and not self.prev_log_entry and not self.leader_commit_index


class AppendEntriesReply(msgspec.Struct, frozen=True):
    """
    @ivar last_log: index of the follower's last entry, from which the leader goes on after a refusal.
    @ivar no_retry_backoff: the refusal is of the log, not of the term: try again at once, further back.
    @ivar match_index: not on the wire: C{prev_log_entry} of the request plus the number of its entries. On success the
        follower's log agrees with the leader's up to there, durably.
    @ivar prev_log_entry: not on the wire: of the request, by which a late refusal is told from a new one.
    @ivar round: not on the wire.
    """

    term: int
    success: bool
    last_log: int = 0
    no_retry_backoff: bool = False
    match_index: int = 0
    prev_log_entry: int = 0
    round: int = 0


class RequestVote(msgspec.Struct, frozen=True):
    """
    A candidate asks for a vote (Raft 5.2, 5.4.1).

    @ivar candidate: the candidate's address.
    @ivar leadership_transfer: its leader told it to; a server that hears that leader may vote all the same.
    @ivar round: not on the wire.
    """

    term: int
    candidate: str = ""
    last_log_index: int = 0
    last_log_term: int = 0
    leadership_transfer: bool = False
    round: int = 0


class VoteReply(msgspec.Struct, frozen=True):
    """@ivar round: not on the wire."""

    term: int
    granted: bool
    round: int = 0


class RequestPreVote(msgspec.Struct, frozen=True):
    """
    Would you vote for me? Changes nothing at whoever is asked (Raft dissertation 9.6).

    @ivar term: the term the candidate would enter, its own plus one.
    @ivar round: not on the wire.
    """

    term: int
    last_log_index: int = 0
    last_log_term: int = 0
    round: int = 0


class PreVoteReply(msgspec.Struct, frozen=True):
    """
    A peer that does not know pre-votes (an error naming an C{unexpected command}) counts as having granted.

    @ivar term: the request's term where that is newer, else the answering server's own.
    @ivar round: not on the wire.
    """

    term: int
    granted: bool
    round: int = 0


class InstallSnapshot(msgspec.Struct, frozen=True):
    """
    What precedes a snapshot's bytes (Raft 7). The bytes themselves are moved by drivers, never seen by a core.

    @ivar leader: the leader's address.
    @ivar last_log_index: the snapshot replaces every entry up to and with this one, which has C{last_log_term}.
    @ivar configuration: the membership as of C{configuration_index}.
    @ivar size: of the state, in bytes.
    @ivar round: not on the wire.
    """

    term: int
    leader: str = ""
    last_log_index: int = 0
    last_log_term: int = 0
    configuration: Configuration = Configuration()
    configuration_index: int = 0
    size: int = 0
    round: int = 0


class InstallSnapshotReply(msgspec.Struct, frozen=True):
    """
    @ivar last_log_index: not on the wire: of the request.
    @ivar round: not on the wire.
    """

    term: int
    success: bool
    last_log_index: int = 0
    round: int = 0


class TimeoutNow(msgspec.Struct, frozen=True):
    """
    A leader tells its successor to stand for election at once (Raft dissertation 3.10). Its answer, which says
    nothing, is the transport's business.

    @ivar term: not on the wire: the leader's, or 0 where it is not known.
    """

    term: int = 0


Message = (
    AppendEntries
    | AppendEntriesReply
    | RequestVote
    | VoteReply
    | RequestPreVote
    | PreVoteReply
    | InstallSnapshot
    | InstallSnapshotReply
    | TimeoutNow
)


# ---- what a core wishes from its driver ----


class Send(msgspec.Struct, frozen=True):
    """
    Carry C{message} to the server C{to}; it may be lost, doubled or overtaken.

    @ivar address: where that server listens, as far as the configuration knows; empty in answers, which go back the
        way the question came.
    """

    to: str
    message: Message
    address: str = ""


class PersistState(msgspec.Struct, frozen=True):
    """
    Make term and vote durable (L{IStableStore.store<txconsul.interfaces.IStableStore.store>}) before anything that
    follows in this list. While the disk is full, hold back everything that follows; if it failed, stop.

    @ivar vote: the id of the server voted for in this term, or empty.
    """

    term: int
    vote: str


class Persist(msgspec.Struct, frozen=True):
    """
    Append these entries and sync. Then call C{core.persisted(index, term, now)} with those of the last entry; if the
    log refused them, C{core.persist_failed(index, now)} with the newest index that is durable still, and drop every
    L{Send} that waited.
    """

    entries: tuple[Entry, ...]


class Truncate(msgspec.Struct, frozen=True):
    """Forget every entry after this index: they conflict with the leader's (Raft 5.3). None of them was committed."""

    after: int


class Commit(msgspec.Struct, frozen=True):
    """
    Every entry up to and with C{index} is committed: apply what has not been, in order (Raft 5.3). The entries are in
    the log store, durably, or a snapshot just installed stands in for them.
    """

    index: int


class RoleChanged(msgspec.Struct, frozen=True):
    """
    This server's part changed. A driver whose server stops leading fails what it proposed and has not seen committed
    with L{LeadershipLost<txconsul.errors.LeadershipLost>}.
    """

    role: Role
    term: int


class LeaderChanged(msgspec.Struct, frozen=True):
    """
    Another leader is known, or none: then both are empty.

    @ivar leader: its id; this server's own while it leads.
    """

    leader: str
    address: str


class ConfigurationChanged(msgspec.Struct, frozen=True):
    """
    The membership in force is another; it is in force from the moment it is in the log (Raft 6).

    @ivar index: of the entry that holds it.
    @ivar committed: whether it can no longer be undone. Said again, with True, when that comes later.
    """

    configuration: Configuration
    index: int
    committed: bool


class Dropped(msgspec.Struct, frozen=True):
    """
    The leader gave up its entries after this index: alone in its group, as its disk took none of them; or as an archive
    was restored over them. Their indexes are used again. Fail their proposals, with L{DiskFull
    <txconsul.errors.DiskFull>} in the first case.
    """

    after: int


class ReadReady(msgspec.Struct, frozen=True):
    """The read of this ticket may be answered once the entries up to C{index} are applied (Raft 8)."""

    ticket: int
    index: int


class ReadFailed(msgspec.Struct, frozen=True):
    """Leadership was lost before it could be confirmed for this ticket. Ask whoever leads now."""

    ticket: int


class TransferFailed(msgspec.Struct, frozen=True):
    """The server C{to} did not take over in time; this one goes on leading."""

    to: str


class SendSnapshot(msgspec.Struct, frozen=True):
    """
    The server C{to} needs entries that are no longer kept: send it the newest snapshot, with an L{InstallSnapshot} of
    this term, leader and round. The driver owes C{core.snapshot_sent(to, now)} when all its bytes are out, or
    C{core.snapshot_failed(to, now)}; the answer then comes in by C{core.receive}.
    """

    to: str
    address: str
    term: int
    leader: str
    round: int


class ReceiveSnapshot(msgspec.Struct, frozen=True):
    """
    Take the bytes that follow C{message}, from the server C{sender}: store them durably as the newest snapshot,
    replace the state machine's state, then call C{core.snapshot_installed(now)}; or C{core.snapshot_refused(now)} if
    they never came whole. Commits wait meanwhile. An L{InstallSnapshot} given to the core which gives no such output
    is not wanted; its bytes are read and thrown away.
    """

    sender: str
    message: InstallSnapshot


class ResetLog(msgspec.Struct, frozen=True):
    """
    Forget the whole log; the next entry is C{index} plus one (L{ILogStore.reset
    <txconsul.interfaces.ILogStore.reset>}): the snapshot just installed stands in for it.
    """

    index: int
    term: int


Output = (
    Send
    | PersistState
    | Persist
    | Truncate
    | Commit
    | RoleChanged
    | LeaderChanged
    | ConfigurationChanged
    | Dropped
    | ReadReady
    | ReadFailed
    | TransferFailed
    | SendSnapshot
    | ReceiveSnapshot
    | ResetLog
)
