"""
Which keys have an effect in this version. All others of the table are known, checked, and kept.

docs/configuration.md is written from this: C{python -m txconsul.agent.configuration.effects} prints its lists. Whoever
gives a key its effect adds it here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache

from txconsul.agent.configuration.schema import DEPRECATED, keys

__all__ = ["AGREED", "EFFECTIVE", "MOVED", "NOT_FOR_USERS", "lists", "set_without_effect", "without_effect"]

#: Keys and, with a dot at the end, whole blocks that do what the reference says.
EFFECTIVE = frozenset(
    """
    autopilot. cache. check checks service services check_output_max_size check_update_interval discard_check_output
    enable_agent_tls_for_checks enable_local_script_checks enable_script_checks server_name
    tls.internal_rpc.ca_file tls.internal_rpc.ca_path tls.internal_rpc.cert_file tls.internal_rpc.key_file
    ports.expose_max_port ports.expose_min_port ports.sidecar_min_port ports.sidecar_max_port
    addresses.dns addresses.http addresses.https advertise_addr advertise_addr_ipv4 advertise_addr_ipv6
    advertise_addr_wan advertise_addr_wan_ipv4 advertise_addr_wan_ipv6 bind_addr bootstrap bootstrap_expect
    client_addr data_dir alt_domain datacenter default_query_time disable_http_unprintable_char_filter
    disable_coordinates disable_keyring_file disable_kv_key_validation disable_remote_exec discovery_max_stale domain
    http_config.
    dns_config.a_record_limit dns_config.allow_stale
    dns_config.disable_compression dns_config.enable_additional_node_meta_txt dns_config.enable_truncate
    dns_config.cache_max_age dns_config.max_stale dns_config.node_ttl dns_config.only_passing
    dns_config.recursor_strategy dns_config.use_cache use_streaming_backend
    dns_config.recursor_timeout dns_config.service_ttl dns_config.soa dns_config.udp_answer_limit
    encrypt encrypt_verify_incoming encrypt_verify_outgoing gossip_lan. gossip_wan. ports.serf_lan ports.serf_wan
    leave_on_terminate performance.leave_drain_time skip_leave_on_interrupt
    reconnect_timeout reconnect_timeout_wan rejoin_after_leave retry_interval retry_interval_wan retry_join
    retry_join_wan retry_max retry_max_wan serf_lan serf_lan_allowed_cidrs serf_wan serf_wan_allowed_cidrs
    protocol server_rejoin_age_max
    limits.http_max_conns_per_client limits.https_handshake_timeout limits.kv_max_value_size limits.txn_max_req_len
    limits.rpc_handshake_timeout limits.rpc_max_conns_per_client ports.server
    log_file log_json log_level log_rotate_bytes log_rotate_duration log_rotate_max_files max_query_time node_id
    node_meta node_name performance.raft_multiplier performance.rpc_hold_timeout pid_file ports.dns ports.http
    ports.https primary_datacenter recursors raft_snapshot_interval raft_snapshot_threshold raft_trailing_logs server
    session_ttl_min tagged_addresses telemetry.disable_hostname telemetry.enable_host_metrics
    telemetry.filter_default telemetry.metrics_prefix telemetry.prefix_filter telemetry.prometheus_retention_time
    tls.defaults.ca_file tls.defaults.ca_path
    tls.defaults.cert_file tls.defaults.key_file tls.defaults.tls_cipher_suites tls.defaults.tls_min_version
    tls.defaults.verify_incoming tls.https.ca_file tls.https.ca_path tls.https.cert_file tls.https.key_file
    tls.https.tls_cipher_suites tls.https.tls_min_version tls.https.verify_incoming translate_wan_addrs unix_sockets.
    watches
    """.split()  # noqa: SIM905
)

#: Keys of older versions: each is moved to a newer one.
MOVED = frozenset(DEPRECATED) | {"ui", "ui_content_path", "ui_dir", "acl.tokens.master", "acl.tokens.agent_master"}

#: Keys that are in the table because the defaults are written in its format; users' values are overridden.
NOT_FOR_USERS = frozenset(
    """
    ae_interval build_date check_deregister_interval_min check_reap_interval connect.test_ca_leaf_root_change_spread
    consul. license_poll_base_time license_poll_max_time license_update_base_time license_update_max_time
    peering.test_allow_peer_registrations revision segment_limit segment_name_limit sync_coordinate_interval_min
    sync_coordinate_rate_target version version_metadata version_prerelease
    """.split()  # noqa: SIM905
)

#: Values with which a key asks for nothing that this version does not do anyway: there is nothing to be told of.
AGREED: Mapping[str, object] = {
    **dict.fromkeys(
        """
        acl.enabled audit.enabled auto_config.authorization.enabled auto_config.enabled auto_encrypt.allow_tls
        auto_encrypt.tls auto_reload_config connect.enable_mesh_gateway_wan_federation connect.enabled enable_debug
        enable_syslog peering.enabled raft_prevote_disabled read_replica
        reporting.license.enabled rpc.enable_streaming ui_config.enabled
        """.split(),  # noqa: SIM905
        False,
    ),
    **dict.fromkeys(
        """
        disable_anonymous_signature disable_host_node_id disable_update_check
        telemetry.disable_per_tenancy_usage_metrics
        """.split(),  # noqa: SIM905
        True,
    ),
    "acl.default_policy": "allow",
    "limits.request_limits.mode": "disabled",
    "limits.request_limits.read_rate": -1.0,
    "limits.request_limits.write_rate": -1.0,
    "limits.rpc_rate": -1.0,
    "ports.grpc": -1,
    "ports.grpc_tls": -1,
    "raft_protocol": 3,
}


def within(key: str, table: Iterable[str]) -> bool:
    """Whether a key, or its block, is in a table."""
    return key in table or any(entry.endswith(".") and key.startswith(entry) for entry in table)


def without_effect() -> Iterator[str]:
    """The keys for users that have no effect yet, in their order."""
    for key in keys():
        if not any(within(key, table) for table in (EFFECTIVE, MOVED, NOT_FOR_USERS)):
            yield key


@cache
def _without_effect() -> frozenset[str]:
    return frozenset(without_effect())


def set_without_effect(origins: Mapping[str, str], values: Mapping[str, object]) -> list[str]:
    """
    The keys that somebody has set, to ask for something that does not happen. What is empty asks for nothing.

    @param origins: dotted keys that were set, by files or flags.
    @param values: all values by dotted key.
    """
    idle = _without_effect()
    found = [key for key in sorted(origins) if key in idle and values.get(key) not in (None, "", [], (), {})]
    return [key for key in found if key not in AGREED or values[key] != AGREED[key]]


def lists() -> str:
    """The two lists as docs/configuration.md has them, grouped by their first word."""
    parts = []
    for title, found in (
        ("Keys with an effect", [key for key in keys() if within(key, EFFECTIVE)]),
        ("Keys without an effect so far", list(without_effect())),
    ):
        lines = [f"## {title}", ""]
        blocks: dict[str, list[str]] = {}
        for key in found:
            block, _, name = key.partition(".")
            blocks.setdefault(block if name else "", []).append(name or block)
        for block, names in sorted(blocks.items()):
            shown = ", ".join(f"`{name}`" for name in names)
            lines.append(f"- `{block}`: {shown}" if block else f"- {shown}")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    print(lists(), end="")
