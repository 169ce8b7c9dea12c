"""
The configuration that the agent runs with: frozen, resolved, and checked.

Durations are float seconds. A port of -1, and an empty list of addresses, mean that nothing listens. What no field
has yet is in L{Configuration.raw}, under its dotted key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from txconsul.agent.configuration.addresses import Address

__all__ = [
    "ACL",
    "DNS",
    "HTTP",
    "SOA",
    "TLS",
    "UI",
    "Autopilot",
    "CacheLimits",
    "Configuration",
    "Connect",
    "Gossip",
    "Limits",
    "Log",
    "Performance",
    "Ports",
    "RaftSettings",
    "TLSProtocol",
    "Telemetry",
    "UnixSockets",
]


class _Part(msgspec.Struct, frozen=True, kw_only=True):
    """A group of settings."""


class Ports(_Part, frozen=True, kw_only=True):
    """C{ports}: -1 where nothing listens."""

    dns: int
    http: int
    https: int
    server: int
    serf_lan: int
    serf_wan: int
    grpc: int
    grpc_tls: int
    proxy_min: int
    proxy_max: int
    sidecar_min: int
    sidecar_max: int
    expose_min: int
    expose_max: int


class Log(_Part, frozen=True, kw_only=True):
    """
    C{log_*}.

    @ivar level: as configured; one of trace, debug, info, warn, err, error in any case, when checked for a start.
    @ivar rotate_max_files: 0 keeps all, a negative number none.
    """

    level: str
    json: bool
    file: str
    rotate_duration: float
    rotate_bytes: int
    rotate_max_files: int
    syslog: bool
    syslog_facility: str


class HTTP(_Part, frozen=True, kw_only=True):
    """
    C{http_config}.

    @ivar block_endpoints: path prefixes that are answered with 403.
    @ivar allow_write_from: networks (CIDR) that may write; empty: all.
    @ivar max_header_bytes: 0 stands for the server's own default.
    """

    block_endpoints: tuple[str, ...]
    allow_write_from: tuple[str, ...]
    response_headers: Mapping[str, str]
    use_cache: bool
    max_header_bytes: int


class CacheLimits(_Part, frozen=True, kw_only=True):
    """
    C{cache}.

    @ivar entry_fetch_rate: fetches a second of one kept answer; infinite where it is not limited.
    @ivar entry_fetch_max_burst: fetches at once.
    """

    entry_fetch_rate: float
    entry_fetch_max_burst: int


class Limits(_Part, frozen=True, kw_only=True):
    """
    C{limits}.

    @ivar rpc_rate: requests a second; infinite where it is not limited.
    """

    http_max_conns_per_client: int
    https_handshake_timeout: float
    kv_max_value_size: int
    txn_max_req_len: int
    rpc_client_timeout: float
    rpc_handshake_timeout: float
    rpc_max_burst: int
    rpc_max_conns_per_client: int
    rpc_rate: float
    request_mode: str
    request_read_rate: float
    request_write_rate: float


class Performance(_Part, frozen=True, kw_only=True):
    """C{performance}."""

    raft_multiplier: int
    leave_drain_time: float
    rpc_hold_timeout: float
    grpc_keepalive_interval: float
    grpc_keepalive_timeout: float
    enable_xds_load_balancing: bool


class RaftSettings(_Part, frozen=True, kw_only=True):
    """C{raft_*}, and the timeouts with C{performance.raft_multiplier} in them."""

    protocol: int
    snapshot_threshold: int
    snapshot_interval: float
    trailing_logs: int
    prevote_disabled: bool
    election_timeout: float
    heartbeat_timeout: float
    leader_lease_timeout: float
    segment_bytes: int


class TLSProtocol(_Part, frozen=True, kw_only=True):
    """One of C{tls.internal_rpc}, C{tls.https} and C{tls.grpc}, with C{tls.defaults} in it."""

    ca_file: str
    ca_path: str
    cert_file: str
    key_file: str
    min_version: str
    cipher_suites: tuple[str, ...]
    verify_incoming: bool
    verify_outgoing: bool
    verify_server_hostname: bool
    use_auto_cert: bool


class TLS(_Part, frozen=True, kw_only=True):
    """C{tls}."""

    internal_rpc: TLSProtocol
    https: TLSProtocol
    grpc: TLSProtocol


class Telemetry(_Part, frozen=True, kw_only=True):
    """
    C{telemetry}.

    @ivar allowed_prefixes: of C{prefix_filter}, without their sign; likewise C{blocked_prefixes}.
    """

    metrics_prefix: str
    disable_hostname: bool
    filter_default: bool
    allowed_prefixes: tuple[str, ...]
    blocked_prefixes: tuple[str, ...]
    prometheus_retention_time: float
    statsd_address: str
    statsite_address: str
    dogstatsd_addr: str
    dogstatsd_tags: tuple[str, ...]
    enable_host_metrics: bool


class Autopilot(_Part, frozen=True, kw_only=True):
    """C{autopilot}: what a new cluster begins with."""

    cleanup_dead_servers: bool
    last_contact_threshold: float
    max_trailing_logs: int
    min_quorum: int
    server_stabilization_time: float


class Gossip(_Part, frozen=True, kw_only=True):
    """C{gossip_lan} or C{gossip_wan}."""

    gossip_nodes: int
    gossip_interval: float
    probe_interval: float
    probe_timeout: float
    suspicion_mult: int
    retransmit_mult: int


class ACL(_Part, frozen=True, kw_only=True):
    """C{acl}; C{tokens} by their names, empty ones left out."""

    enabled: bool
    default_policy: str
    down_policy: str
    policy_ttl: float
    role_ttl: float
    token_ttl: float
    enable_key_list_policy: bool
    enable_token_replication: bool
    enable_token_persistence: bool
    tokens: Mapping[str, str]


class Connect(_Part, frozen=True, kw_only=True):
    """C{connect}."""

    enabled: bool
    ca_provider: str
    ca_config: Mapping[str, Any]
    enable_mesh_gateway_wan_federation: bool
    default_deregister_critical_service_after: float


class SOA(_Part, frozen=True, kw_only=True):
    """C{dns_config.soa}, in whole seconds."""

    refresh: int
    retry: int
    expire: int
    min_ttl: int


class DNS(_Part, frozen=True, kw_only=True):
    """C{dns_config} and C{recursors}."""

    allow_stale: bool
    max_stale: float
    a_record_limit: int
    udp_answer_limit: int
    disable_compression: bool
    enable_truncate: bool
    only_passing: bool
    node_ttl: float
    service_ttl: Mapping[str, float]
    node_meta_txt: bool
    recursor_strategy: str
    recursor_timeout: float
    recursors: tuple[str, ...]
    use_cache: bool
    cache_max_age: float
    soa: SOA


class UI(_Part, frozen=True, kw_only=True):
    """C{ui_config}."""

    enabled: bool
    dir: str
    content_path: str


class UnixSockets(_Part, frozen=True, kw_only=True):
    """C{unix_sockets}; empty where nothing is to be changed. The mode is octal."""

    user: str
    group: str
    mode: str


class Configuration(_Part, frozen=True, kw_only=True):
    """
    Everything.

    @ivar node_id: empty where it is to be made or read from the data directory.
    @ivar data_dir: empty only in development mode.
    @ivar bootstrap: this server may elect itself; C{bootstrap_expect} of 1 says the same.
    @ivar domain: as configured, usually with a dot at its end.
    @ivar dns_addresses: for UDP and TCP alike.
    @ivar services: definitions as in the file, checked; likewise C{checks}.
    @ivar retry_join: addresses, templates filled in.
    @ivar raw: all values by dotted key, as merged.
    @ivar origins: dotted key to the file or flag that set it.
    @ivar files: the configuration files that were read.
    @ivar warnings: what the user should be told, in order.
    """

    node_name: str
    node_id: str
    node_meta: Mapping[str, str]
    datacenter: str
    primary_datacenter: str
    domain: str
    alt_domain: str
    data_dir: str
    server: bool
    dev_mode: bool
    bootstrap: bool
    bootstrap_expect: int

    bind_address: str
    advertise_address: str
    advertise_address_wan: str
    tagged_addresses: Mapping[str, str]
    client_addresses: tuple[str, ...]
    ports: Ports
    http_addresses: tuple[Address, ...]
    https_addresses: tuple[Address, ...]
    dns_addresses: tuple[Address, ...]
    grpc_addresses: tuple[Address, ...]
    grpc_tls_addresses: tuple[Address, ...]
    rpc_bind: Address
    rpc_advertise: Address
    serf_lan_bind: Address
    serf_lan_advertise: Address
    serf_wan_bind: Address | None
    serf_wan_advertise: Address | None
    serf_lan_allowed_cidrs: tuple[str, ...]
    serf_wan_allowed_cidrs: tuple[str, ...]
    unix_sockets: UnixSockets

    retry_join: tuple[str, ...]
    retry_join_wan: tuple[str, ...]
    retry_interval: float
    retry_interval_wan: float
    retry_max: int
    retry_max_wan: int
    rejoin_after_leave: bool
    leave_on_terminate: bool
    skip_leave_on_interrupt: bool
    reconnect_timeout: float
    reconnect_timeout_wan: float
    server_rejoin_age_max: float

    encrypt: str
    encrypt_verify_incoming: bool
    encrypt_verify_outgoing: bool
    disable_keyring_file: bool

    default_query_time: float
    max_query_time: float
    discovery_max_stale: float
    session_ttl_min: float
    translate_wan_addrs: bool
    check_output_max_size: int
    discard_check_output: bool
    check_update_interval: float
    enable_script_checks: bool
    enable_local_script_checks: bool
    enable_agent_tls_for_checks: bool
    server_name: str
    enable_central_service_config: bool
    enable_debug: bool
    disable_host_node_id: bool
    disable_update_check: bool
    disable_remote_exec: bool
    disable_coordinates: bool
    coordinate_update_period: float
    disable_http_unprintable_char_filter: bool
    disable_kv_key_validation: bool
    auto_reload_config: bool
    use_streaming_backend: bool
    default_intention_policy: str
    pid_file: str
    protocol: int

    log: Log
    http: HTTP
    cache: CacheLimits
    limits: Limits
    performance: Performance
    raft: RaftSettings
    tls: TLS
    telemetry: Telemetry
    autopilot: Autopilot
    gossip_lan: Gossip
    gossip_wan: Gossip
    acl: ACL
    connect: Connect
    dns: DNS
    ui: UI
    peering_enabled: bool

    services: tuple[Mapping[str, Any], ...]
    checks: tuple[Mapping[str, Any], ...]
    config_entries: tuple[Mapping[str, Any], ...]
    watches: tuple[Mapping[str, Any], ...]

    raw: Mapping[str, Any]
    origins: Mapping[str, str]
    files: tuple[str, ...]
    warnings: tuple[str, ...]
