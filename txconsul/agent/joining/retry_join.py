"""
Joining again and again until somebody is there: C{retry_join} and C{retry_join_wan}.

Source: Consul's documentation of these keys.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from txconsul.agent.configuration.model import Configuration
from txconsul.agent.joining.discovery import CannotDiscover, displayed, is_discovered
from txconsul.agent.joining.providers import names
from txconsul.codec.duration import SECOND, format_duration
from txconsul.errors import TxconsulError, Unavailable

__all__ = ["JoinSettings", "RetriesExhausted", "RetryJoin", "lan_settings", "wan_settings"]

Find = Callable[[str], Deferred[list[str]]]
Join = Callable[[list[str]], Deferred[int]]


class RetriesExhausted(TxconsulError):
    """Nobody could be joined as often as was to be tried; the agent is to end."""


class NoServers(Unavailable):
    """There is nobody to be joined, for the moment."""

    text = "No servers to join"


class JoinSettings(msgspec.Struct, frozen=True, kw_only=True):
    """
    @ivar pool: C{LAN} or C{WAN}.
    @ivar addresses: as the configuration has them: addresses, names, programs, providers.
    @ivar interval: seconds between the end of one try and the next.
    @ivar retries_max: tries after the first; 0 is without end.
    """

    pool: str
    addresses: tuple[str, ...]
    interval: float
    retries_max: int = 0


def lan_settings(configuration: Configuration) -> JoinSettings:
    """Of the agents of its own datacenter."""
    it = configuration
    return JoinSettings(
        pool="LAN", addresses=it.retry_join, interval=it.retry_interval, retries_max=max(it.retry_max, 0)
    )


def wan_settings(configuration: Configuration) -> JoinSettings:
    """Of the servers of other datacenters."""
    it = configuration
    return JoinSettings(
        pool="WAN", addresses=it.retry_join_wan, interval=it.retry_interval_wan, retries_max=max(it.retry_max_wan, 0)
    )


class RetryJoin(Service):
    """
    Joins once; tries again until it has.

    @ivar joined: whether it has.
    """

    joined = False
    _log = Logger("txconsul.agent.joining")

    def __init__(
        self,
        settings: JoinSettings,
        find: Find,
        join: Join,
        clock: IReactorTime,
        exhausted: Callable[[Failure], object],
    ) -> None:
        """
        @param find: the addresses for which an entry stands; see L{Discovery.find
            <txconsul.agent.joining.discovery.Discovery.find>}.
        @param join: joins by all of some addresses; it fires with the number of agents that were joined, or fails if
            there were none.
        @param exhausted: told of L{RetriesExhausted}, once.
        """
        self._settings = settings
        self._find = find
        self._join = join
        self._clock = clock
        self._exhausted = exhausted
        self._trying: Deferred[None] | None = None

    def startService(self) -> None:
        """Begin to try, if there is anybody to be joined."""
        super().startService()
        if self._settings.addresses and not self.joined:
            self._trying = Deferred.fromCoroutine(self._try_on())
            self._trying.addErrback(self._ended)

    def stopService(self) -> None:
        """Try no more."""
        super().stopService()
        trying, self._trying = self._trying, None
        if trying is not None:
            trying.cancel()

    def _ended(self, reason: Failure) -> None:
        if self.running:
            self._exhausted(reason)
        else:
            reason.trap(CancelledError)  # broken off in a pause

    async def _try_on(self) -> None:
        it = self._settings
        self._log.info(
            "Joining the {pool} by {addresses}; addresses may also come from exec=PROGRAM{providers}",
            pool=it.pool,
            addresses=", ".join(displayed(one) for one in it.addresses),
            providers="".join(f", provider={name}" for name in names()),
        )
        retries = 0
        while True:
            try:
                count = await self._once()
            except Exception as error:
                if not self.running:  # broken off
                    return
                if it.retries_max and retries == it.retries_max:
                    self._log.error("The {pool} cannot be joined: {error}", pool=it.pool, error=str(error).rstrip())
                    raise RetriesExhausted(f"agent: max join {it.pool} retry exhausted, exiting") from error
                retries += 1
                self._log.warn(
                    "The {pool} cannot be joined, which is tried again in {interval}: {error}",
                    pool=it.pool,
                    interval=format_duration(int(it.interval * SECOND)),
                    error=str(error).rstrip(),
                )
                await self._pause()
            else:
                self._log.info("Joined the {pool} by {count} agents", pool=it.pool, count=count)
                self.joined = True
                return

    async def _once(self) -> int:
        """Find out whom to join, and join."""
        addresses: list[str] = []
        for entry in self._settings.addresses:
            if not is_discovered(entry):
                addresses.append(entry)
                continue
            try:
                found = await self._find(entry)
            except CannotDiscover as error:
                if not self.running:  # broken off
                    raise
                self._log.error("No addresses are known of {entry}: {error}", entry=displayed(entry), error=error)
                continue
            addresses += found
            self._log.info("Addresses of {entry}: {found}", entry=displayed(entry), found=" ".join(found) or "none")
        if not addresses:
            raise NoServers
        return await self._join(addresses)

    def _pause(self) -> Deferred[None]:
        over: Deferred[None] = Deferred(lambda _: call.cancel())
        call = self._clock.callLater(self._settings.interval, over.callback, None)
        return over
