"""
The gossip pools that an agent belongs to: its datacenter's and, if it is a server, that of all datacenters' servers.

Source: the wire documents, GOSSIP sections 4, 5 and 7; Consul's documentation of its gossip and of the keys that
configure it.
"""

from __future__ import annotations

import os
from base64 import b64decode
from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Any

import msgspec
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import CannotListenError
from twisted.logger import Logger
from twisted.python.failure import Failure

from txconsul.agent.configuration.addresses import Address
from txconsul.agent.configuration.model import Configuration, Gossip
from txconsul.agent.flooding import Flooding
from txconsul.agent.joining.nameservers import Nameserver
from txconsul.agent.joining.resolving import join_all
from txconsul.agent.members import stats_of
from txconsul.agent.places import places
from txconsul.agent.tags import LANRules, WANRules, client_tags, server_tags, wide_name
from txconsul.errors import InvalidRequest, TxconsulError
from txconsul.gossip import GossipPool
from txconsul.interfaces import INetwork
from txconsul.records.coordinate import DatacenterMap, Position
from txconsul.serf.outputs import Event
from txconsul.serf.settings import Settings
from txconsul.storage.worker import Worker
from txconsul.swim.keyring import Keyring
from txconsul.swim.timing import LAN, WAN, Timing

__all__ = ["PoolClosed", "Pools"]

#: Serf's protocol version that Consul's agents speak.
SERF_PROTOCOL = 4
#: How long a failed member is tried again and remembered, unless C{reconnect_timeout} says otherwise.
RECONNECT_SECONDS = 72 * 3600.0
#: How long an agent that leaves stays up to be heard: 99.99 % of 100,000 members then have.
LEAVE_PROPAGATE_SECONDS = 3.0
#: After so long a dead member's name may come back with another address.
RECLAIM_SECONDS = 30.0


class PoolClosed(TxconsulError):
    """A gossip pool could not be opened; the text says which, and why."""

    text = "a gossip pool could not be opened"


class Pools(MultiService):
    """
    The pools of one agent.

    @ivar lan: the datacenter's.
    @ivar wan: that of all datacenters' servers; None where this agent is in none.
    """

    name = "pools"
    _log = Logger("txconsul.agent")

    def __init__(
        self,
        configuration: Configuration,
        node_id: str,
        network: INetwork,
        *,
        failed: Callable[[Failure], object],
        random: Random,
        entropy: Callable[[int], bytes] = os.urandom,
        directory: str = "",
        worker: Worker | None = None,
        nameserver: Callable[[], Nameserver | None] = lambda: None,
        joined: Callable[[], object] = lambda: None,
    ) -> None:
        """
        @param node_id: the node's UUID.
        @param failed: told if a pool cannot be opened, once.
        @param entropy: for what must be secret or unique: nonces.
        @param directory: where snapshots and keys are kept; empty for nowhere.
        @param worker: does what blocks. It is not closed.
        @param nameserver: who is asked for names over TCP; see L{join_all}.
        @param joined: told each time that agents of the datacenter were joined.
        """
        super().__init__()
        it = self._configuration = configuration
        self._network = network
        self._failed = failed
        self._random = random
        self._entropy = entropy
        self._directory = directory
        self._worker = worker
        self._nameserver = nameserver
        self._joined = joined
        self._listeners: list[Callable[[GossipPool, Event], object]] = []
        self._waiting: list[Deferred[None]] = []
        self._opened = False
        self.wan_rules = WANRules(it.datacenter)
        self.lan = self._pool(
            it.node_name,
            "local",
            it.serf_lan_bind,
            it.serf_lan_advertise,
            _settings(it.gossip_lan, LAN, it.reconnect_timeout),
            tags=server_tags(it, node_id) if it.server else client_tags(it, node_id),
            refuse=LANRules(it.datacenter, node_id, it.node_name).refuse,
            allowed=it.serf_lan_allowed_cidrs,
        )
        self.wan: GossipPool | None = None
        if it.server and it.serf_wan_bind is not None and it.serf_wan_advertise is not None:
            self.wan = self._pool(
                wide_name(it.node_name, it.datacenter),
                "remote",
                it.serf_wan_bind,
                it.serf_wan_advertise,
                _settings(it.gossip_wan, WAN, it.reconnect_timeout_wan),
                tags=server_tags(it, node_id, wan=True),
                refuse=self.wan_rules.refuse,
                allowed=it.serf_wan_allowed_cidrs,
            )
            self._flooding = Flooding(self.lan, self.wan, it.datacenter, network.clock)
            self.listen(self._flooding.heard)

    def _pool(
        self, name: str, file: str, bind: Address, advertise: Address, settings: Settings, **options: Any
    ) -> GossipPool:
        """@param file: how the pool's files are called."""
        it = self._configuration
        keyring, keyring_file = self._keys(file)
        pool = GossipPool(
            self._network,
            name,
            settings=settings,
            host=bind.host,
            port=bind.port,
            advertise=(advertise.host, advertise.port),
            keyring=keyring,
            keyring_file=keyring_file,
            snapshot=os.path.join(self._directory, f"{file}.snapshot") if self._keeps_snapshots else None,
            rejoin_after_leave=it.rejoin_after_leave,
            worker=self._worker,
            verify_incoming=it.encrypt_verify_incoming,
            verify_outgoing=it.encrypt_verify_outgoing,
            random=Random(self._random.getrandbits(64)),
            entropy=self._entropy,
            **options,
        )
        pool.heard = partial(self._tell, pool)
        return pool

    @property
    def _keeps_snapshots(self) -> bool:
        return bool(self._directory) and not self._configuration.dev_mode

    def _keys(self, file: str) -> tuple[Keyring | None, str | None]:
        """
        The configured key, and the file of keys: a pool is encrypted if there is either. With a configured key there
        is going to be a file.
        """
        it = self._configuration
        keyring = Keyring([b64decode(it.encrypt)]) if it.encrypt else None
        if it.disable_keyring_file or not self._directory:
            return keyring, None
        path = os.path.join(self._directory, f"{file}.keyring")
        return keyring, path if keyring is not None or os.path.exists(path) else None

    # ---- coming and going ----

    def startService(self) -> None:
        """Open the pools. Who cannot listen, or read the keys, is of no use to others: that is told as a failure."""
        super().startService()
        Deferred.fromCoroutine(self._open()).addErrback(self._failed)

    async def _open(self) -> None:
        it = self._configuration
        for pool, bound in ((self.lan, it.serf_lan_bind), (self.wan, it.serf_wan_bind)):
            if pool is None:
                continue
            try:
                await pool.open()
            except (TxconsulError, CannotListenError, OSError) as error:
                await pool.stopService()
                area = "LAN" if pool is self.lan else "WAN"
                raise PoolClosed(f"Failed to start the {area} gossip pool at {bound}: {error}") from None
            if not self.running:  # stopped meanwhile
                await pool.stopService()
                return
            pool.setServiceParent(self)
            self._log.info("Gossiping as {name} at {address}", name=pool.name, address=str(bound))
        if self.wan is not None:
            self._flooding.setServiceParent(self)
        self._opened = True
        waiting, self._waiting = self._waiting, []
        for opened in waiting:
            opened.callback(None)

    def when_open(self) -> Deferred[None]:
        """@return: a Deferred firing when all pools are open; never if one cannot be."""
        if self._opened:
            return succeed(None)
        opened: Deferred[None] = Deferred()
        self._waiting.append(opened)
        return opened

    @property
    def position(self) -> Position | None:
        """Where this agent is in its datacenter's network; None before the pool is open."""
        node = self.lan.node
        return None if node is None or node.vivaldi is None else node.vivaldi.position

    def places(self) -> list[DatacenterMap]:
        """See L{places}."""
        return places(self.wan)

    def stats(self) -> dict[str, dict[str, str]]:
        """What goes on in each open pool, in numbers, by its name in C{/v1/agent/self}."""
        named = {"serf_lan": self.lan, "serf_wan": self.wan}
        return {name: stats_of(pool) for name, pool in named.items() if pool is not None and pool.node}

    # ---- verbs ----

    def join(self, addresses: Sequence[str], *, wan: bool = False) -> Deferred[int]:
        """
        Join by all who are spoken of; events from before are not of interest.

        @param addresses: see L{join_all}; without a port, that of this agent's own pool is meant.
        @param wan: the pool of all datacenters' servers.
        @return: fires with the number of agents that were joined, fails with
            L{CannotJoin<txconsul.agent.joining.resolving.CannotJoin>} if there were none, or L{InvalidRequest} where
            this agent is in no such pool.
        """
        it = self._configuration
        if not wan:
            pool, port = self.lan, it.serf_lan_bind.port
        elif not it.server:
            return fail(InvalidRequest("Must be a server to join WAN cluster"))
        elif self.wan is None or it.serf_wan_bind is None:
            return fail(InvalidRequest("WAN Federation is disabled"))
        else:
            pool, port = self.wan, it.serf_wan_bind.port
        area = "WAN" if wan else "LAN"
        self._log.info("({area}) joining: {addresses}", area=area, addresses=", ".join(addresses))
        joining = join_all(
            self._network,
            addresses,
            port,
            lambda host, port: pool.join(host, port, ignore_old=True),
            nameserver=self._nameserver(),
        )

        def joined(count: int) -> int:
            self._log.info("({area}) joined {count} nodes", area=area, count=count)
            if not wan:
                self._joined()
            return count

        def not_joined(reason: Failure) -> Failure:
            self._log.warn("({area}) nobody was joined: {error}", area=area, error=reason.getErrorMessage().rstrip())
            return reason

        return joining.addCallbacks(joined, not_joined)

    def force_leave(self, name: str, *, wan: bool = False, prune: bool = False) -> None:
        """
        Have a failed member be gone for good, in the pools in which it is known.

        @param name: of the node; in the WAN pool with its datacenter, which may be left out where C{wan} is not asked
            for.
        @param wan: in the pool of all datacenters' servers only.
        @param prune: and have it forgotten at once.
        @raise InvalidRequest: nobody has the name, or this agent is no server and is asked about the WAN.
        """
        it = self._configuration
        self._log.info("Force leaving node: {name}", name=name)
        if wan and not it.server:
            raise InvalidRequest("Must be a server to force-leave a node from the WAN cluster")
        wide = name if wan or name.endswith(f".{it.datacenter}") else wide_name(name, it.datacenter)
        found = not wan and _force_leave(self.lan, name, prune)
        if self.wan is not None:
            found = _force_leave(self.wan, wide, prune) or found
        if not found:
            raise InvalidRequest(f"agent: No node found with name '{'' if wan else name}'")

    async def leave(self) -> None:
        """Say goodbye, over the WAN first: the datacenter's agents turn to other servers then."""
        for pool, area in ((self.wan, "WAN"), (self.lan, "LAN")):
            if pool is not None and pool.node is not None:
                self._log.info("Leaving the {area} gossip pool", area=area)
                await pool.leave()

    # ---- what is heard ----

    def listen(self, callback: Callable[[GossipPool, Event], object]) -> None:
        """Have C{callback(pool, event)} called with each event of L{txconsul.serf.outputs} in any of the pools."""
        self._listeners.append(callback)

    def _tell(self, pool: GossipPool, event: Event) -> None:
        for listener in self._listeners:
            try:
                listener(pool, event)
            except Exception:
                self._log.failure("A gossip event could not be dealt with: {event}", event=event)


def _force_leave(pool: GossipPool, name: str, prune: bool) -> bool:
    """@return: whether anybody in the pool bears the name, in whatever case."""
    folded = name.casefold()
    if pool.core.members.get(name) is None and all(one.name.casefold() != folded for one in pool.core.members):
        return False
    pool.do(lambda node, now: node.force_leave(name, now, prune=prune))
    return True


def _settings(configured: Gossip, preset: Timing, reconnect_timeout: float) -> Settings:
    """What a pool is told beforehand. @param reconnect_timeout: seconds; 0 for Consul's default."""
    return Settings(
        timing=msgspec.structs.replace(
            preset,
            gossip_interval=configured.gossip_interval,
            gossip_nodes=configured.gossip_nodes,
            probe_interval=configured.probe_interval,
            probe_timeout=configured.probe_timeout,
            suspicion_mult=configured.suspicion_mult,
            retransmit_mult=configured.retransmit_mult,
            dead_node_reclaim_time=RECLAIM_SECONDS,
        ),
        protocol=SERF_PROTOCOL,
        resolves_conflicts=False,
        reconnect_timeout=reconnect_timeout or RECONNECT_SECONDS,
        leave_propagate_delay=LEAVE_PROPAGATE_SECONDS,
    )
