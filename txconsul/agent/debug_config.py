"""
The configuration in force as C{/v1/agent/self} shows it: every setting, under the name that Consul gives it there.

What may be a secret is not shown, whatever the key: names with C{key}, C{token}, C{secret} and the like in them, and
such words of C{retry_join}.

Source: Consul's documentation of C{/v1/agent/self}, DebugConfig, and its "Agent configuration file reference".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from txconsul import CONSUL_VERSION
from txconsul.agent.configuration.addresses import Address
from txconsul.agent.configuration.model import Configuration, TLSProtocol
from txconsul.agent.identity import BUILD_DATE
from txconsul.codec.duration import SECOND, BadDuration, format_duration, parse_duration

__all__ = ["debug_config", "without_secrets"]

HIDDEN = "hidden"
_SECRET = ("key", "token", "secret", "password", "authorization")
#: Names that have such a word in them, and hold no secret.
_HARMLESS = frozenset(
    {"TokenLocality", "IntroTokenFile", "ACLEnableKeyListPolicy", "ACLTokenReplication", "ACLTokenTTL", "ACLTokens"}
)

#: Consul's name, and where the value is: a field of L{Configuration}; C{s} marks seconds that are shown as a duration.
_SETTINGS = """
    ACLEnableKeyListPolicy              acl.enable_key_list_policy
    ACLTokenReplication                 acl.enable_token_replication
    ACLsEnabled                         acl.enabled
    AdvertiseAddrLAN                    advertise_address
    AdvertiseAddrWAN                    advertise_address_wan
    AllowWriteHTTPFrom                  http.allow_write_from
    AutoReloadConfig                    auto_reload_config
    AutopilotCleanupDeadServers         autopilot.cleanup_dead_servers
    AutopilotLastContactThreshold       autopilot.last_contact_threshold s
    AutopilotMaxTrailingLogs            autopilot.max_trailing_logs
    AutopilotMinQuorum                  autopilot.min_quorum
    AutopilotServerStabilizationTime    autopilot.server_stabilization_time s
    BindAddr                            bind_address
    Bootstrap                           bootstrap
    BootstrapExpect                     bootstrap_expect
    CheckOutputMaxSize                  check_output_max_size
    CheckUpdateInterval                 check_update_interval s
    Checks                              checks
    ClientAddrs                         client_addresses
    ConfigEntryBootstrap                config_entries
    ConnectCAConfig                     connect.ca_config
    ConnectCAProvider                   connect.ca_provider
    ConnectDefaultDeregisterCriticalServiceAfter connect.default_deregister_critical_service_after s
    ConnectEnabled                      connect.enabled
    ConnectMeshGatewayWANFederationEnabled connect.enable_mesh_gateway_wan_federation
    ConnectSidecarMaxPort               ports.sidecar_max
    ConnectSidecarMinPort               ports.sidecar_min
    ConsulRaftElectionTimeout           raft.election_timeout s
    ConsulRaftHeartbeatTimeout          raft.heartbeat_timeout s
    ConsulRaftLeaderLeaseTimeout        raft.leader_lease_timeout s
    DNSARecordLimit                     dns.a_record_limit
    DNSAddrs                            dns_addresses
    DNSAllowStale                       dns.allow_stale
    DNSAltDomain                        alt_domain
    DNSCacheMaxAge                      dns.cache_max_age s
    DNSDisableCompression               dns.disable_compression
    DNSDomain                           domain
    DNSEnableTruncate                   dns.enable_truncate
    DNSMaxStale                         dns.max_stale s
    DNSNodeMetaTXT                      dns.node_meta_txt
    DNSNodeTTL                          dns.node_ttl s
    DNSOnlyPassing                      dns.only_passing
    DNSPort                             ports.dns
    DNSRecursorStrategy                 dns.recursor_strategy
    DNSRecursorTimeout                  dns.recursor_timeout s
    DNSRecursors                        dns.recursors
    DNSServiceTTL                       dns.service_ttl s
    DNSUDPAnswerLimit                   dns.udp_answer_limit
    DNSUseCache                         dns.use_cache
    DataDir                             data_dir
    Datacenter                          datacenter
    DefaultIntentionPolicy              default_intention_policy
    DefaultQueryTime                    default_query_time s
    DevMode                             dev_mode
    DisableCoordinates                  disable_coordinates
    DisableHTTPUnprintableCharFilter    disable_http_unprintable_char_filter
    DisableHostNodeID                   disable_host_node_id
    DisableKVKeyValidation              disable_kv_key_validation
    DisableKeyringFile                  disable_keyring_file
    DisableRemoteExec                   disable_remote_exec
    DisableUpdateCheck                  disable_update_check
    DiscardCheckOutput                  discard_check_output
    DiscoveryMaxStale                   discovery_max_stale s
    EnableCentralServiceConfig          enable_central_service_config
    EnableDebug                         enable_debug
    EnableLocalScriptChecks             enable_local_script_checks
    EnableRemoteScriptChecks            enable_script_checks
    EnableXDSLoadBalancing              performance.enable_xds_load_balancing
    EncryptKey                          encrypt
    ExposeMaxPort                       ports.expose_max
    ExposeMinPort                       ports.expose_min
    GRPCAddrs                           grpc_addresses
    GRPCKeepaliveInterval               performance.grpc_keepalive_interval s
    GRPCKeepaliveTimeout                performance.grpc_keepalive_timeout s
    GRPCPort                            ports.grpc
    GRPCTLSAddrs                        grpc_tls_addresses
    GRPCTLSPort                         ports.grpc_tls
    GossipLANGossipInterval             gossip_lan.gossip_interval s
    GossipLANGossipNodes                gossip_lan.gossip_nodes
    GossipLANProbeInterval              gossip_lan.probe_interval s
    GossipLANProbeTimeout               gossip_lan.probe_timeout s
    GossipLANRetransmitMult             gossip_lan.retransmit_mult
    GossipLANSuspicionMult              gossip_lan.suspicion_mult
    GossipWANGossipInterval             gossip_wan.gossip_interval s
    GossipWANGossipNodes                gossip_wan.gossip_nodes
    GossipWANProbeInterval              gossip_wan.probe_interval s
    GossipWANProbeTimeout               gossip_wan.probe_timeout s
    GossipWANRetransmitMult             gossip_wan.retransmit_mult
    GossipWANSuspicionMult              gossip_wan.suspicion_mult
    HTTPAddrs                           http_addresses
    HTTPBlockEndpoints                  http.block_endpoints
    HTTPMaxConnsPerClient               limits.http_max_conns_per_client
    HTTPMaxHeaderBytes                  http.max_header_bytes
    HTTPPort                            ports.http
    HTTPResponseHeaders                 http.response_headers
    HTTPSAddrs                          https_addresses
    HTTPSHandshakeTimeout               limits.https_handshake_timeout s
    HTTPSPort                           ports.https
    HTTPUseCache                        http.use_cache
    KVMaxValueSize                      limits.kv_max_value_size
    LeaveDrainTime                      performance.leave_drain_time s
    LeaveOnTerm                         leave_on_terminate
    MaxQueryTime                        max_query_time s
    NodeMeta                            node_meta
    NodeName                            node_name
    PeeringEnabled                      peering_enabled
    PidFile                             pid_file
    PrimaryDatacenter                   primary_datacenter
    RPCAdvertiseAddr                    rpc_advertise
    RPCBindAddr                         rpc_bind
    RPCClientTimeout                    limits.rpc_client_timeout s
    RPCHandshakeTimeout                 limits.rpc_handshake_timeout s
    RPCHoldTimeout                      performance.rpc_hold_timeout s
    RPCMaxBurst                         limits.rpc_max_burst
    RPCMaxConnsPerClient                limits.rpc_max_conns_per_client
    RPCProtocol                         protocol
    RPCRateLimit                        limits.rpc_rate
    RaftPreVoteDisabled                 raft.prevote_disabled
    RaftProtocol                        raft.protocol
    RaftSnapshotInterval                raft.snapshot_interval s
    RaftSnapshotThreshold               raft.snapshot_threshold
    RaftTrailingLogs                    raft.trailing_logs
    ReconnectTimeoutLAN                 reconnect_timeout s
    ReconnectTimeoutWAN                 reconnect_timeout_wan s
    RejoinAfterLeave                    rejoin_after_leave
    RequestLimitsMode                   limits.request_mode
    RequestLimitsReadRate               limits.request_read_rate
    RequestLimitsWriteRate              limits.request_write_rate
    RetryJoinIntervalLAN                retry_interval s
    RetryJoinIntervalWAN                retry_interval_wan s
    RetryJoinLAN                        retry_join
    RetryJoinMaxAttemptsLAN             retry_max
    RetryJoinMaxAttemptsWAN             retry_max_wan
    RetryJoinWAN                        retry_join_wan
    SerfAdvertiseAddrLAN                serf_lan_advertise
    SerfAdvertiseAddrWAN                serf_wan_advertise
    SerfAllowedCIDRsLAN                 serf_lan_allowed_cidrs
    SerfAllowedCIDRsWAN                 serf_wan_allowed_cidrs
    SerfBindAddrLAN                     serf_lan_bind
    SerfBindAddrWAN                     serf_wan_bind
    SerfPortLAN                         ports.serf_lan
    SerfPortWAN                         ports.serf_wan
    ServerMode                          server
    ServerPort                          ports.server
    ServerRejoinAgeMax                  server_rejoin_age_max s
    Services                            services
    SessionTTLMin                       session_ttl_min s
    SkipLeaveOnInt                      skip_leave_on_interrupt
    TaggedAddresses                     tagged_addresses
    TranslateWANAddrs                   translate_wan_addrs
    TxnMaxReqLen                        limits.txn_max_req_len
    UnixSocketGroup                     unix_sockets.group
    UnixSocketMode                      unix_sockets.mode
    UnixSocketUser                      unix_sockets.user
    UseStreamingBackend                 use_streaming_backend
    Watches                             watches
    ACLResolverSettings.ACLDefaultPolicy acl.default_policy
    ACLResolverSettings.ACLDownPolicy   acl.down_policy
    ACLResolverSettings.ACLPolicyTTL    acl.policy_ttl s
    ACLResolverSettings.ACLRoleTTL      acl.role_ttl s
    ACLResolverSettings.ACLTokenTTL     acl.token_ttl s
    ACLResolverSettings.ACLsEnabled     acl.enabled
    ACLResolverSettings.Datacenter      datacenter
    ACLResolverSettings.NodeName        node_name
    ACLTokens.EnablePersistence         acl.enable_token_persistence
    DNSSOA.Expire                       dns.soa.expire
    DNSSOA.Minttl                       dns.soa.min_ttl
    DNSSOA.Refresh                      dns.soa.refresh
    DNSSOA.Retry                        dns.soa.retry
    Logging.EnableSyslog                log.syslog
    Logging.LogFilePath                 log.file
    Logging.LogJSON                     log.json
    Logging.LogLevel                    log.level
    Logging.LogRotateBytes              log.rotate_bytes
    Logging.LogRotateDuration           log.rotate_duration s
    Logging.LogRotateMaxFiles           log.rotate_max_files
    Logging.SyslogFacility              log.syslog_facility
    StaticRuntimeConfig.EncryptVerifyIncoming encrypt_verify_incoming
    StaticRuntimeConfig.EncryptVerifyOutgoing encrypt_verify_outgoing
    Telemetry.AllowedPrefixes           telemetry.allowed_prefixes
    Telemetry.BlockedPrefixes           telemetry.blocked_prefixes
    Telemetry.DisableHostname           telemetry.disable_hostname
    Telemetry.DogstatsdAddr             telemetry.dogstatsd_addr
    Telemetry.DogstatsdTags             telemetry.dogstatsd_tags
    Telemetry.EnableHostMetrics         telemetry.enable_host_metrics
    Telemetry.FilterDefault             telemetry.filter_default
    Telemetry.MetricsPrefix             telemetry.metrics_prefix
    Telemetry.PrometheusOpts.Expiration telemetry.prometheus_retention_time s
    Telemetry.StatsdAddr                telemetry.statsd_address
    Telemetry.StatsiteAddr              telemetry.statsite_address
    UIConfig.ContentPath                ui.content_path
    UIConfig.Dir                        ui.dir
    UIConfig.Enabled                    ui.enabled
"""

#: Consul's name, the key of a file that has no field of its own yet, and what it is where nobody says.
_KEYS: dict[str, tuple[str, Any]] = {
    "AEInterval": ("ae_interval", "0s"),
    "AdvertiseReconnectTimeout": ("advertise_reconnect_timeout", "0s"),
    "AutoEncryptAllowTLS": ("auto_encrypt.allow_tls", False),
    "AutoEncryptDNSSAN": ("auto_encrypt.dns_san", []),
    "AutoEncryptIPSAN": ("auto_encrypt.ip_san", []),
    "AutoEncryptTLS": ("auto_encrypt.tls", False),
    "AutopilotDisableUpgradeMigration": ("autopilot.disable_upgrade_migration", False),
    "AutopilotRedundancyZoneTag": ("autopilot.redundancy_zone_tag", ""),
    "AutopilotUpgradeVersionTag": ("autopilot.upgrade_version_tag", ""),
    "CheckDeregisterIntervalMin": ("check_deregister_interval_min", "0s"),
    "CheckReapInterval": ("check_reap_interval", "0s"),
    "ConsulCoordinateUpdateBatchSize": ("consul.coordinate.update_batch_size", 0),
    "ConsulCoordinateUpdateMaxBatches": ("consul.coordinate.update_max_batches", 0),
    "ConsulCoordinateUpdatePeriod": ("consul.coordinate.update_period", "0s"),
    "ConsulServerHealthInterval": ("consul.server.health_interval", "0s"),
    "DisableAnonymousSignature": ("disable_anonymous_signature", False),
    "EnableAgentTLSForChecks": ("enable_agent_tls_for_checks", False),
    "Experiments": ("experiments", []),
    "PrimaryGateways": ("primary_gateways", []),
    "PrimaryGatewaysInterval": ("primary_gateways_interval", "0s"),
    "ReadReplica": ("read_replica", False),
    "SegmentLimit": ("segment_limit", 0),
    "SegmentName": ("segment", ""),
    "SegmentNameLimit": ("segment_name_limit", 0),
    "Segments": ("segments", []),
    "ServerName": ("server_name", ""),
    "SyncCoordinateIntervalMin": ("sync_coordinate_interval_min", "0s"),
    "SyncCoordinateRateTarget": ("sync_coordinate_rate_target", 0),
    "XDSUpdateRateLimit": ("xds.update_max_per_second", 0),
}
_BY_PATH = {line.split()[0]: line.split()[1:] for line in _SETTINGS.strip().splitlines()}

#: The tokens that an agent may be given, under Consul's names.
_TOKENS = {
    "ACLAgentRecoveryToken": "agent_recovery",
    "ACLAgentToken": "agent",
    "ACLConfigFileRegistrationToken": "config_file_service_registration",
    "ACLDNSToken": "dns",
    "ACLDefaultToken": "default",
    "ACLReplicationToken": "replication",
}


def _duration(value: Any) -> Any:
    """Seconds, a text, or a map of seconds, as Go shows durations."""
    if isinstance(value, Mapping):
        return {name: _duration(one) for name, one in value.items()}
    if isinstance(value, str):
        try:
            return format_duration(parse_duration(value))
        except BadDuration:
            return value
    return format_duration(round(value * SECOND))


def _address(scheme: str) -> Callable[[Address], str]:
    return lambda it: f"unix://{it.path}" if it.is_unix else f"{scheme}://{it}"


def _shown(value: Any, address: Callable[[Address], str]) -> Any:
    if value is None:
        return ""
    if isinstance(value, Address):
        return address(value)
    if isinstance(value, Mapping):
        return {name: _shown(one, address) for name, one in value.items()}
    if isinstance(value, tuple | list):
        return [_shown(one, address) for one in value]
    return -1 if isinstance(value, float) and math.isinf(value) else value  # JSON has no infinity


def _at(it: Any, path: str) -> Any:
    for name in path.split("."):
        it = getattr(it, name)
    return it


def _tls(it: TLSProtocol) -> dict[str, Any]:
    return {
        "CAFile": it.ca_file,
        "CAPath": it.ca_path,
        "CertFile": it.cert_file,
        "CipherSuites": list(it.cipher_suites),
        "KeyFile": it.key_file,
        "TLSMinVersion": it.min_version,
        "UseAutoCert": it.use_auto_cert,
        "VerifyIncoming": it.verify_incoming,
        "VerifyOutgoing": it.verify_outgoing,
        "VerifyServerHostname": it.verify_server_hostname,
    }


def without_secrets(value: Any, name: str = "") -> Any:
    """
    A value without what may be a secret in it.

    @param name: under which it is found.

    >>> without_secrets({"Name": "w", "Token": "abc", "Checks": [{"token": ""}]})
    {'Name': 'w', 'Token': 'hidden', 'Checks': [{'token': 'hidden'}]}
    """
    if isinstance(value, dict):
        return {key: without_secrets(one, key) for key, one in value.items()}
    if isinstance(value, list):
        return [without_secrets(one, name) for one in value]
    if isinstance(value, str):
        if name in ("RetryJoinLAN", "RetryJoinWAN"):
            return " ".join(_word(one) for one in value.split())
        if name not in _HARMLESS and _is_secret(name):
            return HIDDEN
    return value


def _is_secret(name: str) -> bool:
    lower = name.lower()
    return any(word in lower for word in _SECRET)


def _word(word: str) -> str:
    """A part C{key=value} of what cloud auto-join is told."""
    return f"{word.partition('=')[0]}={HIDDEN}" if _is_secret(word) else word


def debug_config(configuration: Configuration, node_id: str) -> dict[str, Any]:
    """All settings, nested as Consul nests them, in the order of their names."""
    it = configuration
    found: dict[str, Any] = {
        "ACLInitialManagementToken": it.acl.tokens.get("initial_management", ""),
        "ACLTokens": {name: it.acl.tokens.get(ours, "") for name, ours in _TOKENS.items()} | {"DataDir": it.data_dir},
        "BuildDate": BUILD_DATE,
        "Cache": {
            "EntryFetchMaxBurst": it.raw.get("cache.entry_fetch_max_burst", 2),
            "EntryFetchRate": it.raw.get("cache.entry_fetch_rate", -1),
        },
        "NodeID": node_id,
        "RPCConfig": {"EnableStreaming": it.raw.get("rpc.enable_streaming", it.server)},
        "Revision": "",
        "TLS": {
            "Domain": it.domain,
            "GRPC": _tls(it.tls.grpc),
            "HTTPS": _tls(it.tls.https),
            "InternalRPC": _tls(it.tls.internal_rpc),
            "NodeName": it.node_name,
            "ServerMode": it.server,
            "ServerName": it.raw.get("server_name", ""),
        },
        "Version": CONSUL_VERSION,
        "VersionMetadata": "",
        "VersionPrerelease": "",
    }
    for path, (where, *kind) in _BY_PATH.items():
        value = _at(it, where)
        *blocks, name = path.split(".")
        within = found
        for block in blocks:
            within = within.setdefault(block, {})
        within[name] = _duration(value) if kind else _shown(value, _address("tcp"))
    found["DNSAddrs"] = [f"{kind}://{one}" for one in it.dns_addresses for kind in ("tcp", "udp")]
    for name, (key, absent) in _KEYS.items():
        value = it.raw.get(key, absent)
        found[name] = _duration(value) if isinstance(absent, str) and absent == "0s" else value
    shown: dict[str, Any] = without_secrets(dict(sorted(found.items())))
    return shown
