"""
The leader tells all agents of its datacenter that it leads: they compare what they run with the catalog soon, and look
which server to ask.

Source: the wire documents, GOSSIP section 7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.application.service import Service
from twisted.logger import Logger

from txconsul.errors import RequestRefused

if TYPE_CHECKING:
    from txconsul.endpoints.site import Site

__all__ = ["NEW_LEADER", "Announcing"]

#: The event's name; its payload is the leader's node.
NEW_LEADER = "consul:new-leader"


class Announcing(Service):
    """While leading: have said so, once, as soon as there is a pool to say it in."""

    name = "announcing"
    _log = Logger("txconsul.leader")

    def __init__(self, site: Site) -> None:
        self._site = site
        self._times = 0

    def startService(self) -> None:
        """Leadership was gained."""
        super().startService()
        self._times += 1
        if self._site.pools is not None:
            self._site.pools.when_open().addCallback(self._say, self._times)

    def _say(self, _: object, times: int) -> None:
        pools = self._site.pools
        if pools is None or not self.running or times != self._times:
            return
        try:
            pools.lan.fire(NEW_LEADER, self._site.own_name.encode("utf-8", "surrogateescape"), coalesce=False)
        except RequestRefused as error:
            self._log.error("Could not tell of the new leader: {error}", error=error)
