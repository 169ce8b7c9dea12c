"""
What a server does for its group when it leaves: the others must be able to go on without it.

Source: Consul's documentation of C{consul leave}; Raft's dissertation, 3.10 (leadership transfer) and 4.2.2 (a leader
that removes itself).
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from txconsul.consensus import Consensus
from txconsul.errors import TxconsulError
from txconsul.records.raft import Suffrage

__all__ = ["REMOVAL_SECONDS", "Departing"]

#: How long a server waits until the others have taken it out of their group.
REMOVAL_SECONDS = 5.0
#: How often it looks.
_LOOK_SECONDS = 0.05


class Departing:
    """How one server takes its leave of its group."""

    _log = Logger("txconsul.agent")

    def __init__(self, id: str, consensus: Consensus, clock: IReactorTime) -> None:
        """@param id: the server's."""
        self._id = id
        self._consensus = consensus
        self._clock = clock
        self._leads = False

    async def hand_over(self) -> None:
        """
        A leader that is not alone has another server lead; if nobody can, it takes itself out of the group. It never
        fails: whoever leaves, leaves.
        """
        consensus = self._consensus
        self._leads = consensus.is_leader
        voters = [one for one in consensus.configuration.servers if one.suffrage == Suffrage.VOTER]
        if not self._leads or len(voters) < 2:
            return
        try:
            await consensus.transfer_leadership()
            self._leads = False
            return
        except TxconsulError as error:
            self._log.warn("Leadership could not be handed over: {error}", error=error)
        try:
            await consensus.remove(self._id)
        except TxconsulError as error:
            self._log.error("This server could not take itself out of the group: {error}", error=error)

    async def be_removed(self) -> None:
        """
        One that did not lead waits until it is taken out of the group, for as long as that may take: a server that
        stops before could cost the others their majority.
        """
        if self._leads:
            return
        end = self._clock.seconds() + REMOVAL_SECONDS
        while any(one.id == self._id for one in self._consensus.configuration.servers):
            if self._clock.seconds() >= end:
                self._log.warn("The others did not take this server out of their group in time")
                return
            waiting: Deferred[None] = deferLater(self._clock, _LOOK_SECONDS)
            await waiting
