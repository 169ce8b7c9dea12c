"""
Asking for whole states, as Consul's snapshot archives.
"""

from __future__ import annotations

from typing import Any

from txconsul.records.base import Record

__all__ = ["SnapshotRequest"]


class SnapshotRequest(Record, frozen=True):
    """
    Save the state, or replace it.

    @ivar allow_stale: a server that does not lead may save; a restore is refused.
    @ivar archive: for a restore, a binary file with the archive; whoever asks closes it.
    """

    datacenter: str = ""
    allow_stale: bool = False
    archive: Any = None
