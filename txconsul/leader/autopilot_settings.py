"""
A new group begins with the settings of autopilot of its first leader's configuration; operators change them later.

Source: Consul's "Agent configuration file reference", autopilot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.application.service import Service
from twisted.internet.defer import maybeDeferred
from twisted.logger import Logger

from txconsul.interfaces import ICaller
from txconsul.records.autopilot import AutopilotConfig, AutopilotSetConfigRequest
from txconsul.records.query import Context

if TYPE_CHECKING:
    from txconsul.state.store import Store

__all__ = ["AutopilotSettings"]


class AutopilotSettings(Service):
    """While leading: have settings in the state."""

    name = "autopilot settings"
    _log = Logger("txconsul.leader")

    def __init__(self, store: Store, door: ICaller, datacenter: str, config: AutopilotConfig) -> None:
        """@param config: what a group that has none begins with."""
        self._store = store
        self._door = door
        self._request = AutopilotSetConfigRequest(datacenter=datacenter, config=config)

    def startService(self) -> None:
        """Leadership was gained. What cannot be written now is left to the next leader."""
        super().startService()
        if self._store.tables.autopilot.rows:
            return
        done = maybeDeferred(self._door.call, "Operator.AutopilotSetConfiguration", self._request, Context())
        done.addErrback(
            lambda reason: self._log.warn("Could not set up autopilot: {error}", error=reason.getErrorMessage())
        )
