"""The groups of settings that depend on nothing but their own keys."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from txconsul.agent.configuration.model import (
    ACL,
    DNS,
    HTTP,
    SOA,
    UI,
    Autopilot,
    CacheLimits,
    Connect,
    Gossip,
    Limits,
    Log,
    Performance,
    RaftSettings,
    Telemetry,
    UnixSockets,
)
from txconsul.agent.configuration.values import Values
from txconsul.language.goflags import quoted

__all__ = ["CA_KEYS", "SECTIONS", "build_prefix_filter"]

_MIB = 1024 * 1024
#: A summary of RPC calls that is left out unless a filter names it.
_RPC_SUMMARY = "rpc.server.call"
#: How CA providers' keys are spelled once they are configuration of the CA.
CA_KEYS = {
    "private_key": "PrivateKey",
    "root_cert": "RootCert",
    "intermediate_cert_ttl": "IntermediateCertTTL",
    "address": "Address",
    "token": "Token",
    "root_pki_path": "RootPKIPath",
    "root_pki_namespace": "RootPKINamespace",
    "intermediate_pki_path": "IntermediatePKIPath",
    "intermediate_pki_namespace": "IntermediatePKINamespace",
    "ca_file": "CAFile",
    "ca_path": "CAPath",
    "cert_file": "CertFile",
    "key_file": "KeyFile",
    "tls_server_name": "TLSServerName",
    "tls_skip_verify": "TLSSkipVerify",
    "existing_arn": "ExistingARN",
    "delete_on_exit": "DeleteOnExit",
    "leaf_cert_ttl": "LeafCertTTL",
    "csr_max_per_second": "CSRMaxPerSecond",
    "csr_max_concurrent": "CSRMaxConcurrent",
    "private_key_type": "PrivateKeyType",
    "private_key_bits": "PrivateKeyBits",
    "root_cert_ttl": "RootCertTTL",
}


def _log(values: Values) -> Log:
    return Log(
        level=values.text("log_level"),
        json=values.flag("log_json"),
        file=values.text("log_file"),
        rotate_duration=values.duration("log_rotate_duration"),
        rotate_bytes=values.number("log_rotate_bytes"),
        rotate_max_files=values.number("log_rotate_max_files"),
        syslog=values.flag("enable_syslog"),
        syslog_facility=values.text("syslog_facility"),
    )


def _http(values: Values) -> HTTP:
    key = "http_config.allow_write_http_from"
    return HTTP(
        block_endpoints=values.texts("http_config.block_endpoints"),
        allow_write_from=values.networks(key),
        response_headers=values.mapping("http_config.response_headers"),
        use_cache=values.flag("http_config.use_cache", True),
        max_header_bytes=values.number("http_config.max_header_bytes"),
    )


def _cache(values: Values) -> CacheLimits:
    return CacheLimits(
        entry_fetch_rate=values.rate("cache.entry_fetch_rate") or math.inf,
        entry_fetch_max_burst=values.number("cache.entry_fetch_max_burst", 2),
    )


def _limits(values: Values) -> Limits:
    mode = values.text("limits.request_limits.mode")
    if mode not in ("disabled", "enforcing", "permissive"):
        key = "limits.request_limits.mode"
        values.wrong(key, f"{key}: invalid mode: {quoted(mode)}")
    return Limits(
        http_max_conns_per_client=values.number("limits.http_max_conns_per_client"),
        https_handshake_timeout=values.duration("limits.https_handshake_timeout"),
        kv_max_value_size=values.number("limits.kv_max_value_size"),
        txn_max_req_len=values.number("limits.txn_max_req_len"),
        rpc_client_timeout=values.duration("limits.rpc_client_timeout"),
        rpc_handshake_timeout=values.duration("limits.rpc_handshake_timeout"),
        rpc_max_burst=values.number("limits.rpc_max_burst"),
        rpc_max_conns_per_client=values.number("limits.rpc_max_conns_per_client"),
        rpc_rate=values.rate("limits.rpc_rate"),
        request_mode=mode,
        request_read_rate=values.rate("limits.request_limits.read_rate"),
        request_write_rate=values.rate("limits.request_limits.write_rate"),
    )


def _performance(values: Values) -> Performance:
    return Performance(
        raft_multiplier=values.number("performance.raft_multiplier"),
        leave_drain_time=values.duration("performance.leave_drain_time"),
        rpc_hold_timeout=values.duration("performance.rpc_hold_timeout"),
        grpc_keepalive_interval=values.duration("performance.grpc_keepalive_interval", low="1s"),
        grpc_keepalive_timeout=values.duration("performance.grpc_keepalive_timeout", low="1s"),
        enable_xds_load_balancing=values.flag("performance.enable_xds_load_balancing"),
    )


def _raft(values: Values) -> RaftSettings:
    multiplier = values.number("performance.raft_multiplier")
    return RaftSettings(
        protocol=values.number("raft_protocol"),
        snapshot_threshold=values.number("raft_snapshot_threshold"),
        snapshot_interval=values.duration("raft_snapshot_interval"),
        trailing_logs=values.number("raft_trailing_logs"),
        prevote_disabled=values.flag("raft_prevote_disabled"),
        election_timeout=values.duration("consul.raft.election_timeout") * multiplier,
        heartbeat_timeout=values.duration("consul.raft.heartbeat_timeout") * multiplier,
        leader_lease_timeout=values.duration("consul.raft.leader_lease_timeout") * multiplier,
        segment_bytes=values.number("raft_logstore.wal.segment_size_mb") * _MIB,
    )


def build_prefix_filter(values: Values) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """
    C{telemetry.prefix_filter}: prefixes of metrics that are kept, and that are not.
    """
    summary = f"{values.text('telemetry.metrics_prefix')}.{_RPC_SUMMARY}"
    allowed, blocked = [], []
    for rule in values.texts("telemetry.prefix_filter"):
        if rule[:1] == "+":
            allowed.append(rule[1:])
        elif rule[:1] == "-":
            blocked.append(rule[1:])
    if summary not in allowed and summary not in blocked:
        blocked.append(summary)
    return tuple(allowed), tuple(blocked)


def _telemetry(values: Values) -> Telemetry:
    for rule in values.texts("telemetry.prefix_filter"):
        if not rule:
            values.warnings.append("Cannot have empty filter rule in prefix_filter")
        elif rule[0] not in "+-":
            values.warnings.append(f"Filter rule must begin with either '+' or '-': {quoted(rule)}")
    allowed, blocked = build_prefix_filter(values)
    return Telemetry(
        metrics_prefix=values.text("telemetry.metrics_prefix"),
        disable_hostname=values.flag("telemetry.disable_hostname"),
        filter_default=values.flag("telemetry.filter_default"),
        allowed_prefixes=allowed,
        blocked_prefixes=blocked,
        prometheus_retention_time=values.duration("telemetry.prometheus_retention_time", "prometheus_retention_time"),
        statsd_address=values.text("telemetry.statsd_address"),
        statsite_address=values.text("telemetry.statsite_address"),
        dogstatsd_addr=values.text("telemetry.dogstatsd_addr"),
        dogstatsd_tags=values.texts("telemetry.dogstatsd_tags"),
        enable_host_metrics=values.flag("telemetry.enable_host_metrics"),
    )


def _autopilot(values: Values) -> Autopilot:
    return Autopilot(
        cleanup_dead_servers=values.flag("autopilot.cleanup_dead_servers"),
        last_contact_threshold=values.duration("autopilot.last_contact_threshold"),
        max_trailing_logs=values.number("autopilot.max_trailing_logs"),
        min_quorum=values.number("autopilot.min_quorum"),
        server_stabilization_time=values.duration("autopilot.server_stabilization_time"),
    )


def _gossip(name: str) -> Callable[[Values], Gossip]:
    def build(values: Values) -> Gossip:
        return Gossip(
            gossip_nodes=values.number(f"{name}.gossip_nodes"),
            gossip_interval=values.duration(f"{name}.gossip_interval"),
            probe_interval=values.duration(f"{name}.probe_interval"),
            probe_timeout=values.duration(f"{name}.probe_timeout"),
            suspicion_mult=values.number(f"{name}.suspicion_mult"),
            retransmit_mult=values.number(f"{name}.retransmit_mult"),
        )

    return build


def _acl(values: Values) -> ACL:
    tokens = values.mapping("acl.tokens")
    tokens.pop("managed_service_provider", None)
    return ACL(
        enabled=values.flag("acl.enabled"),
        default_policy=values.text("acl.default_policy"),
        down_policy=values.text("acl.down_policy"),
        policy_ttl=values.duration("acl.policy_ttl"),
        role_ttl=values.duration("acl.role_ttl"),
        token_ttl=values.duration("acl.token_ttl"),
        enable_key_list_policy=values.flag("acl.enable_key_list_policy"),
        enable_token_replication=values.flag("acl.enable_token_replication"),
        enable_token_persistence=values.flag("acl.enable_token_persistence"),
        tokens={name: token for name, token in tokens.items() if token},
    )


def _connect(values: Values) -> Connect:
    implied = values.flag("auto_encrypt.allow_tls") or values.flag("auto_config.enabled")
    key = "connect.default_deregister_critical_service_after"
    return Connect(
        enabled=values.flag("connect.enabled") or implied,
        ca_provider=values.text("connect.ca_provider"),
        ca_config={CA_KEYS.get(name.lower(), name): v for name, v in values.mapping("connect.ca_config").items()},
        enable_mesh_gateway_wan_federation=values.flag("connect.enable_mesh_gateway_wan_federation"),
        default_deregister_critical_service_after=values.duration(key),
    )


def _dns(values: Values) -> DNS:
    strategy = values.text("dns_config.recursor_strategy") or "sequential"
    if strategy not in ("sequential", "random"):
        key = "dns_config.recursor_strategy"
        values.wrong(key, f"{key}: invalid strategy: {quoted(strategy)}")
    ttls: dict[str, float] = {}
    silent = Values({}, {})  # Wrong ones have been noted already.
    for name, text in values.mapping("dns_config.service_ttl").items():
        ttls[name] = silent.seconds(text, "", "")
    soa: dict[str, Any] = values.mapping("dns_config.soa")
    return DNS(
        allow_stale=values.flag("dns_config.allow_stale"),
        max_stale=values.duration("dns_config.max_stale"),
        a_record_limit=values.number("dns_config.a_record_limit"),
        udp_answer_limit=values.number("dns_config.udp_answer_limit"),
        disable_compression=values.flag("dns_config.disable_compression"),
        enable_truncate=values.flag("dns_config.enable_truncate"),
        only_passing=values.flag("dns_config.only_passing"),
        node_ttl=values.duration("dns_config.node_ttl"),
        service_ttl=ttls,
        node_meta_txt=values.flag("dns_config.enable_additional_node_meta_txt", True),
        recursor_strategy=strategy,
        recursor_timeout=values.duration("dns_config.recursor_timeout", "recursor_timeout"),
        recursors=(),
        use_cache=values.flag("dns_config.use_cache"),
        cache_max_age=values.duration("dns_config.cache_max_age"),
        soa=SOA(
            refresh=soa.get("refresh", 3600),
            retry=soa.get("retry", 600),
            expire=soa.get("expire", 86400),
            min_ttl=soa.get("min_ttl", 0),
        ),
    )


def _ui(values: Values) -> UI:
    path = values.text("ui_config.content_path").strip("/")
    return UI(
        enabled=values.flag("ui_config.enabled"),
        dir=values.text("ui_config.dir"),
        content_path=f"/{path}/" if values.text("ui_config.content_path") else "/ui/",
    )


def _unix_sockets(values: Values) -> UnixSockets:
    return UnixSockets(
        user=values.text("unix_sockets.user"),
        group=values.text("unix_sockets.group"),
        mode=values.text("unix_sockets.mode"),
    )


#: By their names in the configuration.
SECTIONS: dict[str, Callable[[Values], Any]] = {
    "log": _log,
    "http": _http,
    "cache": _cache,
    "limits": _limits,
    "performance": _performance,
    "raft": _raft,
    "telemetry": _telemetry,
    "autopilot": _autopilot,
    "gossip_lan": _gossip("gossip_lan"),
    "gossip_wan": _gossip("gossip_wan"),
    "acl": _acl,
    "connect": _connect,
    "dns": _dns,
    "ui": _ui,
    "unix_sockets": _unix_sockets,
}
