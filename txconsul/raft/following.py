"""
Following: take what a leader sends, entries (Raft 5.3) or a snapshot (Raft 7), and say how far the log agrees.

A message can be anything: what makes no sense is refused and changes nothing.
"""

from __future__ import annotations

from txconsul.errors import Corrupt
from txconsul.raft.configuration import read_configuration
from txconsul.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    InstallSnapshot,
    InstallSnapshotReply,
    ReceiveSnapshot,
    Role,
    Send,
)
from txconsul.raft.server import ServerState
from txconsul.records.raft import Entry

__all__ = ["Following"]


class Following(ServerState):
    """The part of a server that follows."""

    # ---- entries ----

    def _on_append(self, message: AppendEntries, sender: str, now: float) -> None:
        """AppendEntries, as Raft figure 2 tells the receiver; a heartbeat is answered whatever is under way."""
        if message.term < self.term or (message.term == self.term and self.role is Role.LEADER):
            self._answer_append(message, sender, success=False)
            return
        self._follow(sender, message.term, message.leader, now)
        if message.is_heartbeat:
            self._answer_append(message, sender, success=True)
        elif self._installing is not None or not self._makes_sense(message):
            self._answer_append(message, sender, success=False)
        elif not self._log_agrees(message):
            self._answer_append(message, sender, success=False, no_retry_backoff=True)
        elif self._take_entries(message):
            self._answer_append(message, sender, success=True)
            self._commit_to(min(message.leader_commit_index, message.prev_log_entry + len(message.entries)), now)
        else:
            self._answer_append(message, sender, success=False)

    def _answer_append(
        self, message: AppendEntries, sender: str, *, success: bool, no_retry_backoff: bool = False
    ) -> None:
        previous = message.prev_log_entry
        match = previous + len(message.entries)
        reply = AppendEntriesReply(self.term, success, self.log.last, no_retry_backoff, match, previous, message.round)
        self._wish(Send(sender, reply))

    def _makes_sense(self, message: AppendEntries) -> bool:
        """Whether the entries follow each other and belong to terms that there can have been."""
        index = message.prev_log_entry
        term = message.prev_log_term
        for entry in message.entries:
            index += 1
            if entry.index != index or entry.term < term:
                return False
            term = entry.term
        return message.prev_log_entry >= 0 and term <= message.term

    def _log_agrees(self, message: AppendEntries) -> bool:
        """The consistency check (Raft 5.3): this log has the entry just before the new ones."""
        return self.log.agrees(message.prev_log_entry, message.prev_log_term)

    def _take_entries(self, message: AppendEntries) -> bool:
        """
        Append what is new; an entry that conflicts takes all that follow it along (Raft 5.3).

        @return: False if that cannot be: a committed entry would go, or a configuration is unreadable.
        """
        entries = self._without_known(message.entries)
        if not entries:
            return True
        try:
            configurations = [read_configuration(entry) for entry in entries]
        except Corrupt:
            return False
        if entries[0].index <= self.log.last:
            if entries[0].index <= self._known_commit:
                return False
            self._truncate(entries[0].index - 1)
        for entry, configuration in zip(entries, configurations, strict=True):
            self.log.append(entry)
            if configuration is not None:
                self._adopt_configuration(entry.index, configuration)
        self._emit_persist()
        return True

    def _without_known(self, entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
        """
        From the first entry on that this log has not, or has otherwise. The end of a snapshot is compared, too: an
        archive that a lost leader had restored, and nobody else, may be in the way.
        """
        log = self.log
        for position, entry in enumerate(entries):
            if entry.index > log.last or (entry.index >= log.base and log.term(entry.index) != entry.term):
                return entries[position:]
        return ()

    # ---- snapshots ----

    def _on_snapshot(self, message: InstallSnapshot, sender: str, now: float) -> None:
        """Take a snapshot that has news, one at a time (Raft 7)."""
        if message.term < self.term or (message.term == self.term and self.role is Role.LEADER):
            self._answer_snapshot(message, sender, success=False)
            return
        self._follow(sender, message.term, message.leader, now)
        if self._installing is not None:
            if self._installing != (sender, message):
                self._answer_snapshot(message, sender, success=False)
        elif message.last_log_index <= self.log.commit:
            self._answer_snapshot(message, sender, success=True)
        elif message.last_log_term > message.term or message.configuration_index > message.last_log_index:
            self._answer_snapshot(message, sender, success=False)
        else:
            self._installing = (sender, message)
            self._wish(ReceiveSnapshot(sender, message))

    def _answer_snapshot(self, message: InstallSnapshot, sender: str, *, success: bool) -> None:
        self._wish(
            Send(sender, InstallSnapshotReply(self.term, success, message.last_log_index, message.round)),
        )

    def snapshot_installed(self, now: float) -> None:
        """The snapshot of the last L{ReceiveSnapshot} is stored and the state machine holds its state (Raft 7)."""
        if self._installing is None or self.role is Role.STOPPED:
            return
        self._now = now
        sender, message = self._installing
        self._installing = None
        index = message.last_log_index
        if self._keeps_tail(message):
            self.log.compacted(index, message.last_log_term)
        else:
            self._reset_log(index, message.last_log_term)
            self.members.reset(message.configuration_index, message.configuration, index)
            self._configuration_changed()
        self._commit_to(index, now)
        self._answer_snapshot(message, sender, success=True)

    def _keeps_tail(self, message: InstallSnapshot) -> bool:
        """Entries after a snapshot that describes a prefix of this log are kept (Raft 7)."""
        return message.last_log_index <= self.log.last and self.log.agrees(
            message.last_log_index, message.last_log_term
        )

    def snapshot_refused(self, now: float) -> None:
        """The snapshot of the last L{ReceiveSnapshot} did not come whole, or could not be stored."""
        if self._installing is None or self.role is Role.STOPPED:
            return
        self._now = now
        sender, message = self._installing
        self._installing = None
        self._answer_snapshot(message, sender, success=False)
