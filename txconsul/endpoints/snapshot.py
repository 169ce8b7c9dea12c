"""
Snapshot: the whole state, saved and restored.

Source: Consul's documentation of the snapshot HTTP API.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred

from txconsul.endpoints.authorizing import Authorizer
from txconsul.endpoints.placing import Rule
from txconsul.endpoints.registry import server
from txconsul.endpoints.site import Saved, Site
from txconsul.errors import InvalidRequest
from txconsul.records.archive import SnapshotRequest

__all__: list[str] = []


@server("Snapshot.Save", SnapshotRequest, Rule.WRITE)
def save(site: Site, request: SnapshotRequest, authorizer: Authorizer) -> Deferred[Saved]:
    """Take a snapshot now, at the leader."""
    authorizer.require_management()
    return site.snapshots.save()


@server("Snapshot.Restore", SnapshotRequest, Rule.WRITE)
def restore(site: Site, request: SnapshotRequest, authorizer: Authorizer) -> Deferred[None]:
    """Replace the whole state by an archive's."""
    authorizer.require_management()
    if request.allow_stale:
        raise InvalidRequest("stale not allowed for restore")
    return site.snapshots.restore(request.archive)
