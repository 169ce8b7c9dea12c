"""
What holds when nothing is configured, with C{-dev}, and whatever is configured.

Written in the format of a configuration file, so that one way of reading serves all.

Source: the defaults in Consul's "Agent configuration file reference"; those of gossip are memberlist's for LAN and
WAN, those of Raft hashicorp/raft's with Consul's own snapshot numbers.
"""

from __future__ import annotations

from typing import Any

__all__ = ["DEFAULTS", "DEV", "FIXED", "FIXED_DEV"]

#: Consul's bound on one Raft command's data, which limits values and transactions.
_DATA_BYTES = 512 * 1024

DEFAULTS: dict[str, Any] = {
    "acl": {"token_ttl": "30s", "policy_ttl": "30s", "default_policy": "allow", "down_policy": "extend-cache"},
    "autopilot": {
        "cleanup_dead_servers": True,
        "last_contact_threshold": "200ms",
        "max_trailing_logs": 250,
        "server_stabilization_time": "10s",
    },
    "bind_addr": "0.0.0.0",
    "bootstrap": False,
    "bootstrap_expect": 0,
    "check_output_max_size": 4096,
    "check_update_interval": "5m",
    "client_addr": "127.0.0.1",
    "connect": {"enabled": True},
    "datacenter": "dc1",
    "default_query_time": "300s",
    "disable_coordinates": False,
    "disable_host_node_id": True,
    "disable_remote_exec": True,
    "dns_config": {
        "allow_stale": True,
        "a_record_limit": 0,
        "udp_answer_limit": 3,
        "max_stale": "87600h",
        "recursor_timeout": "2s",
    },
    "domain": "consul.",
    "enable_central_service_config": True,
    "encrypt_verify_incoming": True,
    "encrypt_verify_outgoing": True,
    "gossip_lan": {
        "gossip_interval": "200ms",
        "gossip_nodes": 3,
        "retransmit_mult": 4,
        "probe_interval": "1s",
        "probe_timeout": "500ms",
        "suspicion_mult": 4,
    },
    "gossip_wan": {
        "gossip_interval": "500ms",
        "gossip_nodes": 3,
        "retransmit_mult": 4,
        "probe_interval": "5s",
        "probe_timeout": "3s",
        "suspicion_mult": 6,
    },
    "limits": {
        "http_max_conns_per_client": 200,
        "https_handshake_timeout": "5s",
        "request_limits": {"mode": "disabled", "read_rate": -1.0, "write_rate": -1.0},
        "rpc_handshake_timeout": "5s",
        "rpc_client_timeout": "60s",
        "rpc_rate": -1.0,
        "rpc_max_burst": 1000,
        "rpc_max_conns_per_client": 100,
        "kv_max_value_size": _DATA_BYTES,
        "txn_max_req_len": _DATA_BYTES,
    },
    "log_level": "INFO",
    "max_query_time": "600s",
    "peering": {"enabled": True},
    "performance": {
        "leave_drain_time": "5s",
        "raft_multiplier": 5,
        "rpc_hold_timeout": "7s",
        "grpc_keepalive_interval": "30s",
        "grpc_keepalive_timeout": "20s",
        "enable_xds_load_balancing": True,
    },
    "ports": {
        "dns": 8600,
        "http": 8500,
        "https": -1,
        "grpc": -1,
        "serf_lan": 8301,
        "serf_wan": 8302,
        "server": 8300,
        "proxy_min_port": 20000,
        "proxy_max_port": 20255,
        "sidecar_min_port": 21000,
        "sidecar_max_port": 21255,
        "expose_min_port": 21500,
        "expose_max_port": 21755,
    },
    "primary_gateways_interval": "30s",
    "protocol": 2,
    "raft_logstore": {"wal": {"segment_size_mb": 64}},
    "raft_prevote_disabled": False,
    "raft_protocol": 3,
    "raft_snapshot_interval": "30s",
    "raft_snapshot_threshold": 16384,
    "raft_trailing_logs": 10240,
    "retry_interval": "30s",
    "retry_interval_wan": "30s",
    "segment_limit": 64,
    "server": False,
    "server_rejoin_age_max": "168h",
    "session_ttl_min": "0s",
    "syslog_facility": "LOCAL0",
    "telemetry": {
        "metrics_prefix": "consul",
        "filter_default": True,
        "prefix_filter": [],
        "retry_failed_connection": True,
    },
    "tls": {"defaults": {"tls_min_version": "TLSv1_2"}},
    "xds": {"update_max_per_second": 250.0},
}

_FAST_GOSSIP = {"gossip_interval": "100ms", "probe_interval": "100ms", "probe_timeout": "100ms", "suspicion_mult": 3}

#: Further defaults of development mode.
DEV: dict[str, Any] = {
    "bind_addr": "127.0.0.1",
    "disable_anonymous_signature": True,
    "disable_keyring_file": True,
    "enable_debug": True,
    "ui_config": {"enabled": True},
    "log_level": "DEBUG",
    "server": True,
    "gossip_lan": _FAST_GOSSIP,
    "gossip_wan": _FAST_GOSSIP,
    "performance": {"raft_multiplier": 1},
    "ports": {"grpc": 8502},
}

#: What users cannot change: merged last.
FIXED: dict[str, Any] = {
    "ae_interval": "1m",
    "check_deregister_interval_min": "1m",
    "check_reap_interval": "30s",
    "sync_coordinate_rate_target": 64.0,
    "sync_coordinate_interval_min": "15s",
    "segment_name_limit": 64,
    "connect": {"test_ca_leaf_root_change_spread": "0s"},
    "peering": {"test_allow_peer_registrations": False},
    "consul": {
        "coordinate": {"update_batch_size": 128, "update_max_batches": 5, "update_period": "5s"},
        "raft": {"election_timeout": "1s", "heartbeat_timeout": "1s", "leader_lease_timeout": "500ms"},
        "server": {"health_interval": "2s"},
    },
}

#: The same in development mode, merged after L{FIXED}.
FIXED_DEV: dict[str, Any] = {
    "consul": {
        "coordinate": {"update_period": "100ms"},
        "raft": {"election_timeout": "52ms", "heartbeat_timeout": "35ms", "leader_lease_timeout": "20ms"},
        "server": {"health_interval": "10ms"},
    },
}
