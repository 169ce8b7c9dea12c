"""
The agent: a server, and the edges at which it is asked.

Everything that touches the machine is given to it: the data directory, the network, chance and the wall clock.
What runs is a Twisted service, whoever starts it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from ipaddress import ip_network
from typing import Any

import msgspec
from twisted.application.service import MultiService, Service
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from txconsul import CONSUL_VERSION, __version__
from txconsul.agent import identity, reloading
from txconsul.agent.antientropy import AntiEntropy
from txconsul.agent.cached import agent_cache, fetch_limits, measure
from txconsul.agent.check_settings import check_identity, check_limits, check_surroundings
from txconsul.agent.client_part import ClientPart
from txconsul.agent.configuration.addresses import Address, is_any
from txconsul.agent.configuration.model import Configuration, UnixSockets
from txconsul.agent.debug_config import debug_config
from txconsul.agent.dns import dns_server
from txconsul.agent.facts import AgentFacts, Portrait
from txconsul.agent.gauges import runtime_gauges
from txconsul.agent.https import https_options
from txconsul.agent.joining.configured import configured_joins
from txconsul.agent.last_seen import LastSeen, last_seen_file
from txconsul.agent.leaving import Leaving
from txconsul.agent.local import LocalState
from txconsul.agent.machine import CPUTimes, host_gauges
from txconsul.agent.outside import Outside
from txconsul.agent.persistence import DefinitionFiles
from txconsul.agent.pool_metrics import PoolMetrics
from txconsul.agent.pools import Pools
from txconsul.agent.position import TellPosition
from txconsul.agent.process import PidFile
from txconsul.agent.registrations import Registrations
from txconsul.agent.remote_exec import RemoteExec
from txconsul.agent.routing import Routing
from txconsul.agent.running_checks import RunningChecks
from txconsul.agent.server import Server
from txconsul.agent.server_part import ServerPart
from txconsul.agent.stats import agent_stats
from txconsul.agent.stores import Stores
from txconsul.agent.telemetry import Telemetry, metrics_for
from txconsul.agent.user_events import UserEvents
from txconsul.agent.watching.configured import ConfiguredWatch, configured_watches
from txconsul.agent.watching.cursors import Cursors
from txconsul.agent.watching.telling import handler_of
from txconsul.agent.watching.watcher import Watcher, Watchers
from txconsul.codec.duration import SECOND
from txconsul.dns.server import DNSServer
from txconsul.errors import TxconsulError
from txconsul.http.api import API
from txconsul.http.bodies import Bodies
from txconsul.http.parameters import ReadDefaults
from txconsul.http.server import HTTPFactory
from txconsul.http.settings import HTTPSettings
from txconsul.http.table import ROUTES
from txconsul.interfaces import INetwork
from txconsul.leader.presence import own_registration
from txconsul.net.tls import Renewable, wrap
from txconsul.records.catalog import RegisterRequest
from txconsul.rpc.dialing import Dialer

__all__ = ["Agent"]

#: Seconds that answers under way are given when the agent stops.
STOP_SECONDS = 5.0
#: Open files kept back from HTTP connections: the log, snapshots, listeners, and connections of our own.
FILES_RESERVED = 128


def give_socket(path: str, to: UnixSockets) -> None:
    """
    Give a socket to the configured user and group, by their names or numbers.

    @raise OSError: this may not be done here.
    @raise LookupError: there is no such user or group.
    """
    if to.user or to.group:
        owner, group = (int(one) if one.isdigit() else one or None for one in (to.user, to.group))
        shutil.chown(path, owner, group)  # type: ignore[arg-type]  # typeshed wants one of them


def _node_of(registration: RegisterRequest) -> RegisterRequest:
    """The node's own part of every registration."""
    return msgspec.structs.replace(registration, service=None, check=None)


class Agent(MultiService):
    """
    One agent.

    @ivar part: what it is to its datacenter.
    @ivar door: where everything is asked; C{site} is what is behind it.
    @ivar pools: the gossip pools that it belongs to.
    @ivar routing: its way to servers.
    @ivar leaving: how it leaves them.
    @ivar local: the services and checks that it runs itself.
    @ivar cache: the answers that it keeps.
    """

    _log = Logger("txconsul.agent")

    def __init__(
        self,
        configuration: Configuration,
        stores: Stores,
        network: INetwork,
        outside: Outside,
        failed: Callable[[Failure], object],
        reread: Callable[[], Configuration] | None = None,
        change_log_level: Callable[[str], object] | None = None,
        ended: Callable[[], object] = lambda: None,
    ) -> None:
        """
        @param outside: where chance, the time of day and the like come from.
        @param failed: told once if the agent cannot go on; it is to stop the process.
        @param reread: reads the configuration again, for a reload.
        @param change_log_level: logs from another level on; None where somebody else decides that.
        @param ended: told when the agent has left; it is to stop the process.
        """
        super().__init__()
        self._configuration = configuration
        self._stores = stores
        self._network = network
        self._clock = network.clock
        self._outside = outside
        self._failed = failed
        self._reread = reread
        self._shown = configuration
        self._ports: list[Any] = []
        self._telling: list[Service] = []
        self._factories: list[HTTPFactory] = []
        self._dns: DNSServer | None = None
        self._pid_file = PidFile(configuration.pid_file)
        self._telemetry = self._make_telemetry()
        self._telemetry.setServiceParent(self)
        self._rng = outside.fork_random()
        self.pools = self._make_pools()
        self.pools.setServiceParent(self)
        PoolMetrics(self.pools, self._telemetry.metrics, configuration.datacenter, self._clock).setServiceParent(self)
        host = configuration.rpc_bind.host
        self._dialer = Dialer(network, bind_address="" if is_any(host) else host)
        self.routing = self._make_routing()
        self.routing.setServiceParent(self)
        self._facts = self._make_facts()
        self.part = self._make_part()
        self.part.setServiceParent(self)
        self.door, self.site = self.part.door, self.part.site
        self.site.pools = self.pools
        self.site.elsewhere = self.routing.forwarder
        self.site.other_datacenters = self.routing.other_datacenters
        self.pools.listen(self.part.heard)
        note = last_seen_file(configuration)
        if note is not None:
            LastSeen(note, outside.now_utc, self._clock, stores.worker).setServiceParent(self)
        self.leaving = Leaving(configuration, self.pools, self._clock, ended, self.part.departing, self._fall_silent)
        self.site.leave = self.leaving.leave
        self.cache = agent_cache(configuration, self.door, self._clock, self._rng)
        measure(self.cache, self._telemetry.metrics)
        self.local = LocalState(configuration.check_update_interval, configuration.discard_check_output, self._rng)
        self._check_surroundings = check_surroundings(configuration, network)
        self._running_checks = self._make_running_checks()
        self._registrations = self._make_registrations()
        self._registrations.setServiceParent(self)
        self.site.local = self._registrations
        self.site.reload = self.reload
        self._anti_entropy = self._make_anti_entropy()
        self.site.told = self._anti_entropy.settled
        self._user_events = self._make_user_events()
        self.site.events = self._user_events
        self._api = API(self.door, self._http_settings(), ROUTES, self.cache, self._telemetry.metrics)
        self._cursors = Cursors(configuration.data_dir or None)
        self._watchers = Watchers(self._cursors, self._make_watcher)
        self._watchers.change(configured_watches(configuration.watches))
        self._reloadable = self._make_reloadable(change_log_level)

    # ---- putting together ----

    def _make_telemetry(self) -> Telemetry:
        it = self._configuration
        outside = self._outside
        metrics = metrics_for(it.telemetry, outside.hostname, outside.now_utc())
        telemetry = Telemetry(metrics, self._clock, outside.now_utc)
        metrics.gauges(lambda: runtime_gauges(telemetry))
        metrics.gauges(lambda: self.part.gauges())
        if it.telemetry.enable_host_metrics:
            times = CPUTimes()
            metrics.gauges(lambda: host_gauges(times, it.data_dir))
        return telemetry

    def _make_pools(self) -> Pools:
        return Pools(
            self._configuration,
            self._stores.node_id,
            self._network,
            failed=self._failed,
            random=self._outside.fork_random(),
            entropy=self._outside.random.randbytes,
            directory=self._stores.serf,
            worker=self._stores.worker,
            nameserver=self._outside.nameserver,
            joined=self._tell_ready,
        )

    def _make_routing(self) -> Routing:
        return Routing(
            self._configuration,
            self._network,
            self._dialer,
            self.pools,
            self._outside.fork_random(),
            lambda: self.part.leader_address(),
        )

    def _make_facts(self) -> AgentFacts:
        return AgentFacts(
            self._portrait(),
            lambda: debug_config(self._shown, self._stores.node_id),
            lambda: None if self._configuration.disable_coordinates else self.site.position,
            lambda: agent_stats(self.part, self.pools, self.local, self._running_checks),
            self._telemetry,
            self.pools,
        )

    def _make_part(self) -> ServerPart | ClientPart:
        metrics = self._telemetry.metrics
        if not self._configuration.server:
            return ClientPart(
                self._configuration,
                self._network,
                self._outside,
                pools=self.pools,
                facts=self._facts,
                metrics=metrics,
            )
        return ServerPart(
            self._configuration,
            self._stores,
            self._network,
            self._outside,
            dialer=self._dialer,
            pools=self.pools,
            routing=self.routing,
            facts=self._facts,
            metrics=metrics,
            registration=self._own_registration(),
            failed=self._failed,
        )

    @property
    def server(self) -> Server:
        """The server of an agent that is one."""
        assert isinstance(self.part, ServerPart), "a client agent has no server"
        return self.part.server

    def _portrait(self) -> Portrait:
        it = self._configuration
        return Portrait(
            outline=identity.outline(it, self._stores.node_id),
            node_meta=identity.node_meta(it),
            xds=identity.xds(it),
        )

    def _own_registration(self) -> RegisterRequest:
        it = self._configuration
        return own_registration(
            datacenter=it.datacenter,
            node=it.node_name,
            node_id=self._stores.node_id,
            address=it.advertise_address,
            port=it.ports.server,
            grpc_port=it.ports.grpc,
            grpc_tls_port=it.ports.grpc_tls,
            version=CONSUL_VERSION,
            tagged_addresses=dict(it.tagged_addresses),
            node_meta=dict(it.node_meta),
        )

    def _make_running_checks(self) -> RunningChecks:
        it = self._configuration
        return RunningChecks(
            self.local,
            self.door,
            self._check_surroundings,
            it.datacenter,
            self._rng,
            check_limits(it),
            lambda id, status, output: self.local.update_check(id, status, output, self._clock.seconds()),
        )

    def _make_registrations(self) -> Registrations:
        it = self._configuration
        return Registrations(
            it.node_name,
            self.local,
            self._running_checks,
            DefinitionFiles(it.data_dir or None),
            self._clock,
            self._outside.now_utc,
            (it.ports.sidecar_min, it.ports.sidecar_max),
            (it.ports.expose_min, it.ports.expose_max),
        )

    def _make_anti_entropy(self) -> AntiEntropy:
        return AntiEntropy(
            self.local,
            self.door,
            _node_of(self._own_registration()),
            self._clock,
            self._rng,
            lambda: len(self.pools.lan.core.members),
        )

    def _make_user_events(self) -> UserEvents:
        events = UserEvents(self._configuration.node_name, self._registrations.services, self._outside.new_id)
        events.new_leader = self._anti_entropy.leader_changed
        events.listen_to(self.pools)
        if not self._configuration.disable_remote_exec:
            events.commands = self._make_remote_exec().run
        return events

    def _make_remote_exec(self) -> RemoteExec:
        it = self._configuration
        commands = RemoteExec(self.door, it.datacenter, it.node_name, self._check_surroundings.start, self._clock)
        commands.setServiceParent(self)
        return commands

    def _make_position(self) -> TellPosition:
        it, site = self._configuration, self.site
        return TellPosition(
            self.door,
            it.datacenter,
            it.node_name,
            lambda: site.position,
            lambda: len(self.pools.lan.core.members),
            self._clock,
            self._rng,
        )

    def _make_watcher(self, watch: ConfiguredWatch) -> Watcher:
        if watch.shell:
            self._log.warn("The 'handler' field in watches has been deprecated and replaced with the 'args' field")
        handler = handler_of(watch, self._check_surroundings.start, self._network)
        return Watcher(watch, self._api, handler, self._cursors, self._clock)

    def _make_joins(self) -> MultiService:
        joins = MultiService()
        for join in configured_joins(
            self._configuration,
            self.pools,
            self._network,
            self._check_surroundings.start,
            exhausted=self._failed,
        ):
            join.setServiceParent(joins)
        return joins

    def _tell_ready(self) -> None:
        self._outside.notify("READY=1")

    def _led(self, _: object) -> None:
        """There is a leader, who can be told what this agent runs."""
        if not self._configuration.retry_join:  # or else once that is done
            self._tell_ready()
        if self.running:
            self._watchers.setServiceParent(self)
            self._telling.append(self._anti_entropy)
            if not self._configuration.disable_coordinates:
                self._telling.append(self._make_position())
            for service in self._telling:
                service.setServiceParent(self)

    def _fall_silent(self) -> None:
        """The agent leaves: what it says to the catalog would take its node back in."""
        for service in self._telling:
            service.disownServiceParent()
        self._telling.clear()

    def _http_settings(self) -> HTTPSettings:
        it = self._configuration
        return HTTPSettings(
            node_name=it.node_name,
            datacenter=it.datacenter,
            response_headers=it.http.response_headers,
            blocked=it.http.block_endpoints,
            write_networks=[ip_network(one, strict=False) for one in it.http.allow_write_from],
            default_policy=it.acl.default_policy,
            translate_wan_addrs=it.translate_wan_addrs,
            read_defaults=ReadDefaults(
                int(it.discovery_max_stale * SECOND), it.http.use_cache, it.use_streaming_backend
            ),
            kv_max_value_size=it.limits.kv_max_value_size,
            txn_max_req_len=it.limits.txn_max_req_len,
            always_pretty=it.dev_mode,
            keep_unprintable=it.disable_http_unprintable_char_filter,
            prometheus=it.telemetry.prometheus_retention_time > 0,
            coordinates=not it.disable_coordinates,
        )

    def _http_factory(self, connections_max: int) -> HTTPFactory:
        it = self._configuration
        bodies = Bodies(self._api.settings)
        return HTTPFactory(
            self._api,
            self._clock,
            body_limit=bodies.limit,
            body_sink=bodies.sink,
            refused=bodies.refused,
            header_bytes_max=it.http.max_header_bytes,
            connections_per_client_max=it.limits.http_max_conns_per_client,
            connections_max=connections_max,
            handshake_seconds_max=it.limits.https_handshake_timeout,
            now_utc=self._outside.now_utc,
        )

    # ---- coming and going ----

    def startService(self) -> None:
        """Begin: take part, listen, and say so."""
        it = self._configuration
        files = self._outside.begin()
        self._pid_file.write()
        for warning in it.warnings:
            self._log.warn("{text}", text=warning)
        self._log.info(
            "Starting txconsul {version} (speaks Consul {consul}): node={node} id={id} datacenter={dc} data={data}",
            version=__version__,
            consul=CONSUL_VERSION,
            node=it.node_name,
            id=self._stores.node_id,
            dc=it.datacenter,
            data=it.data_dir or "in memory",
        )
        super().startService()
        self.part.ready.addCallback(self._led)
        listening = Deferred.fromCoroutine(self._listen(max(files - FILES_RESERVED, FILES_RESERVED)))
        listening.addErrback(self._failed)

    def reload(self) -> None:
        """
        Read the configuration again, and take up what can change while the agent runs; see L{txconsul.agent.reloading}.

        @raise TxconsulError: it cannot be used, and everything stays as it is.
        """
        if self._reread is None:
            return
        changed = self._reread()
        reloading.take_up(changed, self._reloadable)
        self._shown = changed
        for warning in changed.warnings:
            self._log.warn("{text}", text=warning)
        self._log.info("The configuration was read again")

    def _make_reloadable(self, change_log_level: Callable[[str], object] | None) -> list[reloading.Part]:
        def check_identities(it: Configuration) -> reloading.Change:
            found = check_identity(it)
            return lambda: self._check_surroundings.tls.change(*found)

        def watches(it: Configuration) -> reloading.Change:
            found = configured_watches(it.watches)
            return lambda: self._watchers.change(found)

        parts = [
            # The first, since a definition may still be refused when it is run.
            reloading.at_once(lambda it: self._registrations.reload(it.services, it.checks)),
            check_identities,
            watches,
            reloading.at_once(lambda it: self.cache.limit(fetch_limits(it))),
            reloading.metric_rules(self._telemetry),
            reloading.check_output(self.local),
            *self.part.reloadable(),
            reloading.at_once(self._change_node_meta),
        ]
        if change_log_level is not None:
            parts.append(reloading.log_level(change_log_level))
        return parts

    def _change_node_meta(self, it: Configuration) -> None:
        if it.node_meta == self._configuration.node_meta:
            return
        self._configuration = msgspec.structs.replace(self._configuration, node_meta=it.node_meta)
        self._facts.portrait = self._portrait()
        registration = self._own_registration()
        self.part.register(registration)
        self._anti_entropy.change_node(_node_of(registration))

    def hang_up(self) -> None:
        """Somebody asked by a signal for what L{reload} does, and can be told in the log only."""
        try:
            self.reload()
        except TxconsulError as error:
            self._log.error("The configuration cannot be used, and stays as it was: {error}", error=error)

    async def _listen(self, connections_max: int) -> None:
        it = self._configuration
        await self.pools.when_open()
        self._registrations.load(it.services, it.checks)
        factory = self._http_factory(connections_max)
        self._factories.append(factory)
        self._reloadable.append(reloading.connections(factory))
        for address in it.http_addresses:
            await self._listen_at("HTTP", address, factory)
        if it.https_addresses:
            shown = Renewable(https_options(it))
            self._reloadable.append(reloading.certificates(shown))
            secure = wrap(shown, factory, self._clock)
            for address in it.https_addresses:
                await self._listen_at("HTTPS", address, secure)
        if it.dns_addresses:
            self._dns = dns_server(it, self.cache, self._network, self._telemetry.metrics, self._outside)
            self._reloadable.append(reloading.dns(self._dns))
            for address in it.dns_addresses:
                self._ports.append(await self._network.datagrams(address.datagrams(), self._dns.datagrams()))
                self._log.info("Listening for DNS on {address} (UDP)", address=str(address))
                await self._listen_at("DNS", address, self._dns.streams)
        if self.running:
            self._make_joins().setServiceParent(self)

    async def _listen_at(self, what: str, address: Address, factory: Any) -> None:
        description = address.endpoint(self._configuration.unix_sockets.mode)
        self._ports.append(await self._network.listen(description, factory))
        if address.path:
            give_socket(address.path, self._configuration.unix_sockets)
        self._log.info("Listening for {what} on {address}", what=what, address=str(address))

    def stopService(self) -> Deferred[Any]:
        """End: take no more requests, answer those under way, and close what is open."""
        self._outside.notify("STOPPING=1")
        self._log.info("Stopping")
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        for port in self._ports:
            await port.stopListening()
        if self._dns is not None:
            self._dns.stop()
        self._watchers.stopService()
        self.cache.close()
        self.door.close()
        self.local.wake_watchers()
        self._user_events.wake()
        self._facts.end()
        for factory in self._factories:
            await factory.stop(STOP_SECONDS)
        await super().stopService()
        await self._stores.close()
        self._pid_file.remove()
        self._log.info("Stopped")
