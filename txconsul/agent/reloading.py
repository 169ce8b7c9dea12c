"""
What an agent takes up from a configuration that is read again.

Each part first makes what it needs of the new configuration, which may be refused; only when all have done so is
anything changed, beginning with services and checks, of which one may be refused even then. A part that is not here
keeps what it was started with.

Source: Consul's page on agents, reloadable configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from txconsul.agent.configuration.errors import ConfigurationError
from txconsul.agent.configuration.model import Configuration
from txconsul.agent.dns import dns_settings
from txconsul.agent.https import https_options
from txconsul.agent.telemetry import Telemetry, rules_for
from txconsul.consensus import SnapshotPolicy

if TYPE_CHECKING:
    from txconsul.agent.local import LocalState
    from txconsul.consensus import Consensus
    from txconsul.dns.server import DNSServer
    from txconsul.http.server import HTTPFactory
    from txconsul.net.tls import Renewable

__all__ = [
    "Change",
    "Part",
    "at_once",
    "certificates",
    "check_output",
    "connections",
    "dns",
    "log_level",
    "metric_rules",
    "snapshot_policy",
    "snapshots",
    "take_up",
]

#: What changes something. Only the first one may raise L{TxconsulError}.
Change = Callable[[], object]
#: Makes a L{Change} of a configuration. It raises L{TxconsulError} where the configuration cannot be used.
Part = Callable[[Configuration], Change]


def take_up(configuration: Configuration, parts: Iterable[Part]) -> None:
    """
    Let every part take up its own.

    @raise TxconsulError: one of them cannot, and nothing was changed.
    """
    for change in [part(configuration) for part in parts]:
        change()


def at_once(change: Callable[[Configuration], object]) -> Part:
    """A part that has nothing to prepare."""
    return lambda configuration: lambda: change(configuration)


def log_level(change: Callable[[str], object]) -> Part:
    """C{log_level}; @param change: is given its name."""
    return at_once(lambda it: change(it.log.level))


def dns(server: DNSServer) -> Part:
    """C{dns_config} and C{recursors}; the domains stay what they were."""

    def prepare(configuration: Configuration) -> Change:
        try:
            settings = dns_settings(configuration)
        except ValueError as error:
            raise ConfigurationError(str(error)) from error
        return lambda: server.change(settings)

    return prepare


def certificates(shown: Renewable) -> Part:
    """What HTTPS listeners show, of files that may have changed; for connections that come from then on."""

    def prepare(configuration: Configuration) -> Change:
        options = https_options(configuration)

        def change() -> None:
            shown.options = options

        return change

    return prepare


def connections(factory: HTTPFactory) -> Part:
    """C{limits.http_max_conns_per_client}, for connections that come from then on."""

    def change(it: Configuration) -> None:
        factory.connections_per_client_max = it.limits.http_max_conns_per_client

    return at_once(change)


def metric_rules(telemetry: Telemetry) -> Part:
    """C{telemetry.prefix_filter} and C{filter_default}."""

    def change(it: Configuration) -> None:
        telemetry.metrics.rules = rules_for(it.telemetry)

    return at_once(change)


def check_output(local: LocalState) -> Part:
    """C{discard_check_output}, for outputs that come from then on."""

    def change(it: Configuration) -> None:
        local.discard_output = it.discard_check_output

    return at_once(change)


def snapshot_policy(configuration: Configuration) -> SnapshotPolicy:
    """C{raft_snapshot_threshold}, C{raft_snapshot_interval} and C{raft_trailing_logs}."""
    it = configuration.raft
    return SnapshotPolicy(threshold=it.snapshot_threshold, interval=it.snapshot_interval, trailing=it.trailing_logs)


def snapshots(consensus: Consensus) -> Part:
    """See L{snapshot_policy}; a new interval counts once the present one is over."""
    return at_once(lambda it: consensus.change_policy(snapshot_policy(it)))
