"""
Operator: how the group of servers is to look after itself.

The settings are kept and told; with a single server there is nobody yet whom they would concern.

Source: Consul's documentation of the operator HTTP API, autopilot; the wire documents' Operator methods.
"""

from __future__ import annotations

from txconsul.endpoints.authorizing import Authorizer
from txconsul.endpoints.leading import Leading
from txconsul.endpoints.placing import Rule
from txconsul.endpoints.registry import server, write
from txconsul.endpoints.site import Site
from txconsul.errors import NotReadyForConsistentReads
from txconsul.records.autopilot import AutopilotConfig, AutopilotSetConfigRequest
from txconsul.records.command import Command
from txconsul.records.queries import DCSpecificRequest
from txconsul.state.store import Store

__all__: list[str] = []


@server("Operator.AutopilotGetConfiguration", DCSpecificRequest, Rule.READ)
def configuration(site: Site, request: DCSpecificRequest, authorizer: Authorizer) -> AutopilotConfig:
    """The settings."""
    authorizer.require_operator_read()
    found = site.store.tables.autopilot.rows.get("")
    if found is None:  # the leader's first entry is not there yet
        raise NotReadyForConsistentReads()
    return found


def _done(request: AutopilotSetConfigRequest, result: object, leading: Leading) -> bool:
    return result is not False


@write("Operator.AutopilotSetConfiguration", AutopilotSetConfigRequest, Command.AUTOPILOT, after=_done)
def set_configuration(
    store: Store, request: AutopilotSetConfigRequest, authorizer: Authorizer, leading: Leading
) -> AutopilotSetConfigRequest:
    """Change the settings; False where they are not those that the asker had seen."""
    authorizer.require_operator_write()
    return request
