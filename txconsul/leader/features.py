"""
The leader tells the state what all servers of the group can do, once, so that every replica heeds it from the same
entry on.

Source: the system metadata that Consul's leader writes. With C{virtual-ips}, services of the mesh get virtual
addresses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.application.service import Service
from twisted.internet.defer import maybeDeferred
from twisted.logger import Logger

from txconsul.interfaces import ICaller
from txconsul.records.autopilot import SystemMetadataEntry, SystemMetadataRequest
from txconsul.records.query import Context

if TYPE_CHECKING:
    from txconsul.state.store import Store

__all__ = ["FEATURES", "Features"]

#: What the servers of this release can do.
FEATURES = ("virtual-ips",)


class Features(Service):
    """While leading: have every feature in the state's system metadata."""

    name = "features"
    _log = Logger("txconsul.leader")

    def __init__(self, store: Store, door: ICaller, datacenter: str) -> None:
        self._store = store
        self._door = door
        self._datacenter = datacenter

    def startService(self) -> None:
        """Leadership was gained. What cannot be written now is left to the next leader: nothing depends on it soon."""
        super().startService()
        for feature in FEATURES:
            if feature not in self._store.tables.metadata.rows:
                self._tell(feature)

    def _tell(self, feature: str) -> None:
        entry = SystemMetadataEntry(key=feature, value="true")
        request = SystemMetadataRequest(datacenter=self._datacenter, op="upsert", entry=entry)
        done = maybeDeferred(self._door.call, "SystemMetadata.Apply", request, Context())
        done.addErrback(
            lambda reason: self._log.warn("Could not tell of {feature}: {error}", feature=feature, error=reason.value)
        )
