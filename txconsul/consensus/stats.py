"""
What C{consul info} shows of Raft, under hashicorp/raft's names.
"""

from __future__ import annotations

from txconsul.raft.core import RaftCore
from txconsul.raft.messages import Role
from txconsul.records.raft import Suffrage
from txconsul.records.snapshot import SnapshotMeta

__all__ = ["raft_stats"]


def raft_stats(core: RaftCore, applied: int, contact: float | None, snapshot: SnapshotMeta) -> dict[str, str]:
    """
    @param applied: index of the newest entry in the state.
    @param contact: seconds since the leader was heard, or None.
    @param snapshot: the newest.
    """
    servers = core.members.latest.servers
    members = " ".join(
        f"{{Suffrage:{Suffrage(server.suffrage).name.title()} ID:{server.id} Address:{server.address}}}"
        for server in servers
    )
    if core.role is Role.LEADER:
        last_contact = "0"
    else:
        last_contact = "never" if contact is None else f"{contact * 1000:.3f}ms"
    return {
        "applied_index": str(applied),
        "commit_index": str(core.commit_index),
        "fsm_pending": str(max(0, core.commit_index - applied)),
        "last_contact": last_contact,
        "last_log_index": str(core.log.last),
        "last_log_term": str(core.log.last_term),
        "last_snapshot_index": str(snapshot.index),
        "last_snapshot_term": str(snapshot.term),
        "latest_configuration": f"[{members}]",
        "latest_configuration_index": str(core.members.latest_index),
        "num_peers": str(sum(server.id != core.id and server.suffrage == Suffrage.VOTER for server in servers)),
        "protocol_version": "3",
        "protocol_version_max": "3",
        "protocol_version_min": "0",
        "snapshot_version_max": "1",
        "snapshot_version_min": "0",
        "state": "Shutdown" if core.role is Role.STOPPED else core.role.name.title(),
        "term": str(core.term),
    }
