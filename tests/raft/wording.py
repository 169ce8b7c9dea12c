"""
How messages, wishes and entries are written in transcripts: entries as C{term/index}.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from txconsul.raft.configuration import read_configuration
from txconsul.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    Commit,
    ConfigurationChanged,
    Dropped,
    InstallSnapshot,
    InstallSnapshotReply,
    LeaderChanged,
    PersistState,
    PreVoteReply,
    ReadFailed,
    ReadReady,
    ReceiveSnapshot,
    RequestPreVote,
    RequestVote,
    ResetLog,
    Role,
    RoleChanged,
    TimeoutNow,
    TransferFailed,
    VoteReply,
)
from txconsul.records.raft import Configuration, Entry, EntryType, Suffrage

__all__ = ["entries_words", "entry_words", "message_words", "output_words"]

_MARKS = {Suffrage.VOTER: "", Suffrage.NONVOTER: "?", Suffrage.STAGING: "~"}


def configuration_words(configuration: Configuration) -> str:
    """The members' ids, non-voters with a question mark."""
    return "{" + " ".join(server.id + _MARKS[Suffrage(server.suffrage)] for server in configuration.servers) + "}"


def entry_words(entry: Entry) -> str:
    """One entry: where it stands, and what it is."""
    place = f"{entry.term}/{entry.index}"
    if entry.type == EntryType.COMMAND:
        return f'{place} "{(entry.data or b"").decode("ascii", "replace")}"'
    configuration = read_configuration(entry)
    if configuration is not None:
        return f"{place} {configuration_words(configuration)}"
    return f"{place} {EntryType(entry.type).name.lower()}"


def entries_words(entries: tuple[Entry, ...]) -> str:
    """Several; the middle of many is left out."""
    words = [entry_words(entry) for entry in entries]
    if len(words) > 4:
        words[1:-1] = [f"... {len(words) - 2} more ..."]
    return ", ".join(words)


def _append(message: AppendEntries) -> str:
    if message.is_heartbeat:
        return f"heartbeat term={message.term}"
    words = entries_words(message.entries) or f"nothing term={message.term}"
    after = f"{message.prev_log_term}/{message.prev_log_entry}"
    return f"append {words} after={after} commit={message.leader_commit_index}"


def _appended(message: AppendEntriesReply) -> str:
    if message.success:
        return f"appended {message.match_index}" if message.match_index else f"heartbeat answer term={message.term}"
    why = "log" if message.no_retry_backoff else "all"
    return f"refused {why} term={message.term} last={message.last_log}"


def _vote(kind: str) -> Callable[[Any], str]:
    def words(message: Any) -> str:
        return f"{kind} term={message.term} {'granted' if message.granted else 'refused'}"

    return words


def _ask(kind: str) -> Callable[[Any], str]:
    def words(message: Any) -> str:
        transfer = " transfer" if getattr(message, "leadership_transfer", False) else ""
        return f"{kind} term={message.term} last={message.last_log_term}/{message.last_log_index}{transfer}"

    return words


_MESSAGES: dict[type, Callable[[Any], str]] = {
    AppendEntries: _append,
    AppendEntriesReply: _appended,
    RequestVote: _ask("request_vote"),
    VoteReply: _vote("vote"),
    RequestPreVote: _ask("pre_vote"),
    PreVoteReply: _vote("pre_vote"),
    InstallSnapshot: lambda m: (
        f"snapshot up to {m.last_log_term}/{m.last_log_index} {configuration_words(m.configuration)}"
    ),
    InstallSnapshotReply: lambda m: f"snapshot {'installed' if m.success else 'refused'} term={m.term}",
    TimeoutNow: lambda m: "timeout_now",
}


def message_words(message: Any) -> str:
    """A message."""
    return _MESSAGES[type(message)](message)


def _role(output: RoleChanged) -> str:
    return {
        Role.FOLLOWER: "follows",
        Role.CANDIDATE: "stands",
        Role.LEADER: "leads",
        Role.STOPPED: "stopped",
    }[output.role] + f" term {output.term}"


_OUTPUTS: dict[type, Callable[[Any], str]] = {
    PersistState: lambda o: f"> persist term={o.term}" + (f" vote={o.vote}" if o.vote else ""),
    Commit: lambda o: f" commits {o.index}",
    RoleChanged: lambda o: " " + _role(o),
    LeaderChanged: lambda o: f" knows leader {o.leader}" if o.leader else " knows no leader",
    ConfigurationChanged: lambda o: (
        f" uses {configuration_words(o.configuration)} of {o.index}{', committed' if o.committed else ''}"
    ),
    Dropped: lambda o: f" gives up what is after {o.after}",
    ReadReady: lambda o: f" read {o.ticket} may see {o.index}",
    ReadFailed: lambda o: f" read {o.ticket} failed",
    TransferFailed: lambda o: f" goes on leading, {o.to} did not take over",
    ReceiveSnapshot: lambda o: f" takes snapshot up to {o.message.last_log_term}/{o.message.last_log_index}",
    ResetLog: lambda o: f"> log begins after {o.term}/{o.index}",
}


def output_words(output: Any) -> str:
    """Any wish but those the cluster words itself."""
    return _OUTPUTS[type(output)](output)
