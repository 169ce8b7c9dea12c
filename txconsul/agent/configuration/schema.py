"""
Every key that a configuration file may have, and the type of its value.

The table is the documentation of the format: decoding, merging, the list of keys in docs/ and the check that no key
is forgotten all read it. Which keys have an effect in this version is said in C{effects.py}.

Source: Consul's "Agent configuration file reference".
"""

from __future__ import annotations

from collections.abc import Iterator

from txconsul.agent.configuration.kinds import (
    BOOL,
    DURATION,
    FLOAT,
    INT,
    OPAQUE,
    OPAQUES,
    STRING,
    STRING_LISTS,
    STRING_MAP,
    STRINGS,
    UINT,
    UINT32,
    UINT64,
    Block,
    BlockList,
    BlockMap,
    Kind,
)

__all__ = ["CHECK", "CONFIGURATION", "DEPRECATED", "SERVICE", "keys"]


def _keys(kind: Kind, words: str) -> dict[str, Kind]:
    return dict.fromkeys(words.split(), kind)


_GOSSIP = Block(
    _keys(INT, "gossip_nodes suspicion_mult retransmit_mult")
    | _keys(DURATION, "gossip_interval probe_interval probe_timeout")
)
_LOCALITY = Block(_keys(STRING, "region zone"), whole=True)
_TLS = Block(
    _keys(STRING, "ca_file ca_path cert_file key_file tls_min_version tls_cipher_suites")
    | _keys(BOOL, "verify_incoming verify_outgoing verify_server_hostname use_auto_cert")
)

CHECK = Block(
    _keys(
        STRING,
        "id name notes service_id token status http method body tcp udp docker_container_id shell grpc tls_server_name"
        " alias_node alias_service h2ping os_service plugin",
    )
    | _keys(BOOL, "disable_redirects tcp_use_tls grpc_use_tls tls_skip_verify h2ping_use_tls")
    | _keys(INT, "output_max_size success_before_passing failures_before_warning failures_before_critical")
    | _keys(DURATION, "interval timeout ttl deregister_critical_service_after")
    | {"args": STRINGS, "header": STRING_LISTS, "plugin_options": STRING_MAP},
    aliases={
        "serviceid": "service_id",
        "scriptargs": "args",
        "dockercontainerid": "docker_container_id",
        "tlsskipverify": "tls_skip_verify",
        "deregistercriticalserviceafter": "deregister_critical_service_after",
    },
    whole=True,
)

_MESH_GATEWAY = Block({"mode": STRING})
_UPSTREAM = Block(
    _keys(
        STRING,
        "destination_type destination_namespace destination_partition destination_peer destination_name datacenter"
        " local_bind_address local_bind_socket_path local_bind_socket_mode",
    )
    | {"local_bind_port": INT, "config": OPAQUE, "mesh_gateway": _MESH_GATEWAY}
)
_PROXY = Block(
    _keys(
        STRING,
        "destination_service_name destination_service_id local_service_address local_service_socket_path mode",
    )
    | {
        "local_service_port": INT,
        "transparent_proxy": Block({"outbound_listener_port": INT, "dialed_directly": BOOL}),
        "config": OPAQUE,
        "upstreams": BlockList(_UPSTREAM),
        "mesh_gateway": _MESH_GATEWAY,
        "expose": Block(
            {
                "checks": BOOL,
                "port": INT,
                "paths": BlockList(Block(_keys(INT, "listener_port local_path_port") | _keys(STRING, "path protocol"))),
            }
        ),
    }
)
_SERVICE_FIELDS: dict[str, Kind] = (
    _keys(STRING, "kind id name address socket_path token")
    | _keys(STRINGS, "tags")
    | {
        "tagged_addresses": BlockMap(Block({"address": STRING, "port": INT})),
        "meta": STRING_MAP,
        "port": INT,
        "check": CHECK,
        "checks": BlockList(CHECK),
        "weights": Block(_keys(INT, "passing warning")),
        "enable_tag_override": BOOL,
        "proxy": _PROXY,
        "locality": _LOCALITY,
    }
)
SERVICE = Block(_SERVICE_FIELDS, whole=True)
# A sidecar is a service within a service, to any depth: the description must contain itself.
_SERVICE_FIELDS["connect"] = Block({"native": BOOL, "sidecar_service": SERVICE})

_AUTHORIZER = Block(
    _keys(STRING, "oidc_discovery_url oidc_discovery_ca_cert jwks_url jwks_ca_cert bound_issuer")
    | _keys(DURATION, "expiration_leeway not_before_leeway clock_skew_leeway")
    | _keys(STRINGS, "claim_assertions jwt_supported_algs bound_audiences jwt_validation_pub_keys")
    | _keys(STRING_MAP, "claim_mappings list_claim_mappings")
    | {"allow_reuse": BOOL}
)

_ACL = Block(
    _keys(
        BOOL,
        "enabled enable_token_replication enable_key_list_policy enable_token_persistence msp_disable_bootstrap",
    )
    | _keys(DURATION, "policy_ttl role_ttl token_ttl")
    | _keys(STRING, "down_policy default_policy")
    | {
        "tokens": Block(
            _keys(
                STRING,
                "initial_management replication agent_recovery default agent config_file_service_registration dns"
                " master agent_master",
            )
            | {"managed_service_provider": BlockList(Block(_keys(STRING, "accessor_id secret_id")))}
        )
    }
)

_TELEMETRY = Block(
    _keys(
        STRING,
        "circonus_api_app circonus_api_token circonus_api_url circonus_broker_id circonus_broker_select_tag"
        " circonus_check_display_name circonus_check_force_metric_activation circonus_check_id"
        " circonus_check_instance_id circonus_check_search_tag circonus_check_tags circonus_submission_interval"
        " circonus_submission_url dogstatsd_addr metrics_prefix statsd_address statsite_address",
    )
    | _keys(
        BOOL,
        "disable_hostname disable_per_tenancy_usage_metrics enable_host_metrics filter_default retry_failed_connection",
    )
    | _keys(STRINGS, "dogstatsd_tags prefix_filter")
    | _keys(DURATION, "prometheus_retention_time")
)

_DNS = Block(
    _keys(
        BOOL,
        "allow_stale disable_compression enable_truncate only_passing enable_additional_node_meta_txt use_cache"
        " prefer_namespace",
    )
    | _keys(INT, "a_record_limit udp_answer_limit")
    | _keys(DURATION, "max_stale node_ttl recursor_timeout cache_max_age")
    | {
        "recursor_strategy": STRING,
        "service_ttl": STRING_MAP,
        "soa": Block(_keys(UINT32, "refresh retry expire min_ttl"), whole=True),
    }
)

_LIMITS = Block(
    _keys(INT, "http_max_conns_per_client rpc_max_burst rpc_max_conns_per_client")
    | _keys(DURATION, "https_handshake_timeout rpc_client_timeout rpc_handshake_timeout")
    | _keys(UINT64, "kv_max_value_size txn_max_req_len")
    | {"rpc_rate": FLOAT, "request_limits": Block({"mode": STRING, "read_rate": FLOAT, "write_rate": FLOAT})}
)

_UI = Block(
    _keys(STRING, "dir content_path metrics_provider metrics_provider_options_json")
    | {
        "enabled": BOOL,
        "metrics_provider_files": STRINGS,
        "metrics_proxy": Block(
            {
                "base_url": STRING,
                "add_headers": BlockList(Block(_keys(STRING, "name value"))),
                "path_allowlist": STRINGS,
            }
        ),
        "dashboard_url_templates": STRING_MAP,
    }
)

_RAFT_LOGSTORE = Block(
    {
        "backend": STRING,
        "disable_log_cache": BOOL,
        "verification": Block({"enabled": BOOL, "interval": DURATION}),
        "boltdb": Block({"no_freelist_sync": BOOL}),
        "wal": Block({"segment_size_mb": INT}),
    }
)

_TOP_STRINGS = (
    "advertise_addr advertise_addr_ipv4 advertise_addr_ipv6 advertise_addr_wan advertise_addr_wan_ipv4"
    " advertise_addr_wan_ipv6 bind_addr client_addr domain alt_domain data_dir datacenter default_intention_policy"
    " encrypt license_path log_level log_file node_id node_name pid_file primary_datacenter serf_lan serf_wan"
    " server_name syslog_facility ui_content_path ui_dir revision version version_prerelease version_metadata"
    " segment partition"
)
_TOP_DURATIONS = (
    "advertise_reconnect_timeout check_update_interval default_query_time discovery_max_stale log_rotate_duration"
    " max_query_time primary_gateways_interval raft_snapshot_interval reconnect_timeout reconnect_timeout_wan"
    " retry_interval retry_interval_wan server_rejoin_age_max session_ttl_min ae_interval"
    " check_deregister_interval_min check_reap_interval sync_coordinate_interval_min license_poll_base_time"
    " license_poll_max_time license_update_base_time license_update_max_time"
)
_TOP_BOOLS = (
    "bootstrap disable_anonymous_signature disable_coordinates disable_host_node_id"
    " disable_http_unprintable_char_filter disable_keyring_file disable_kv_key_validation"
    " disable_remote_exec disable_update_check"
    " discard_check_output enable_agent_tls_for_checks enable_central_service_config enable_debug"
    " enable_script_checks enable_local_script_checks enable_syslog encrypt_verify_incoming encrypt_verify_outgoing"
    " leave_on_terminate log_json raft_prevote_disabled rejoin_after_leave auto_reload_config server"
    " skip_leave_on_interrupt translate_wan_addrs ui use_streaming_backend read_replica"
)
_TOP_INTS = (
    "bootstrap_expect check_output_max_size log_rotate_bytes log_rotate_max_files protocol raft_protocol"
    " raft_snapshot_threshold raft_trailing_logs retry_max retry_max_wan segment_limit segment_name_limit"
)
_TOP_LISTS = (
    "recursors experiments primary_gateways retry_join retry_join_wan serf_lan_allowed_cidrs serf_wan_allowed_cidrs"
)

#: Spellings of older versions, which are taken with a warning.
DEPRECATED: dict[str, Kind] = (
    _keys(
        STRING,
        "acl_agent_master_token acl_agent_token acl_token acl_master_token acl_replication_token acl_datacenter"
        " acl_default_policy acl_down_policy acl_ttl ca_file ca_path cert_file key_file tls_cipher_suites"
        " tls_min_version",
    )
    | _keys(
        BOOL,
        "acl_enable_key_list_policy enable_acl_replication verify_incoming verify_incoming_https"
        " verify_incoming_rpc verify_outgoing verify_server_hostname tls_prefer_server_cipher_suites",
    )
    | _keys(STRINGS, "start_join start_join_wan")
    | {"raft_boltdb": Block({"NoFreelistSync": BOOL}, whole=True)}
)

CONFIGURATION = Block(
    DEPRECATED
    | _keys(STRING, _TOP_STRINGS)
    | _keys(DURATION, _TOP_DURATIONS)
    | _keys(BOOL, _TOP_BOOLS)
    | _keys(INT, _TOP_INTS)
    | _keys(STRINGS, _TOP_LISTS)
    | _keys(STRING_MAP, "node_meta tagged_addresses")
    | {
        "acl": _ACL,
        "addresses": Block(_keys(STRING, "dns http https grpc grpc_tls")),
        "audit": Block(
            {
                "enabled": BOOL,
                "rpc_enabled": BOOL,
                "sink": BlockMap(
                    Block(
                        _keys(STRING, "type format path delivery_guarantee mode")
                        | _keys(INT, "rotate_bytes rotate_max_files")
                        | {"rotate_duration": DURATION}
                    )
                ),
            }
        ),
        "auto_config": Block(
            {
                "enabled": BOOL,
                "intro_token": STRING,
                "intro_token_file": STRING,
                "server_addresses": STRINGS,
                "dns_sans": STRINGS,
                "ip_sans": STRINGS,
                "authorization": Block({"enabled": BOOL, "static": _AUTHORIZER}),
            }
        ),
        "auto_encrypt": Block(_keys(BOOL, "tls allow_tls") | _keys(STRINGS, "dns_san ip_san")),
        "autopilot": Block(
            _keys(BOOL, "cleanup_dead_servers disable_upgrade_migration")
            | _keys(DURATION, "last_contact_threshold server_stabilization_time")
            | _keys(STRING, "redundancy_zone_tag upgrade_version_tag")
            | {"max_trailing_logs": INT, "min_quorum": UINT}
        ),
        "build_date": STRING,
        "cache": Block({"entry_fetch_max_burst": INT, "entry_fetch_rate": FLOAT}),
        "check": CHECK,
        "checks": BlockList(CHECK),
        "cloud": Block(
            _keys(STRING, "resource_id client_id client_secret hostname auth_url scada_address"), whole=True
        ),
        "config_entries": Block({"bootstrap": OPAQUES}),
        "connect": Block(
            _keys(BOOL, "enabled enable_mesh_gateway_wan_federation")
            | _keys(DURATION, "default_deregister_critical_service_after test_ca_leaf_root_change_spread")
            | {"ca_provider": STRING, "ca_config": OPAQUE}
        ),
        "consul": Block(
            {
                "coordinate": Block(_keys(INT, "update_batch_size update_max_batches") | {"update_period": DURATION}),
                "raft": Block(_keys(DURATION, "election_timeout heartbeat_timeout leader_lease_timeout")),
                "server": Block({"health_interval": DURATION}),
            }
        ),
        "dns_config": _DNS,
        "gossip_lan": _GOSSIP,
        "gossip_wan": _GOSSIP,
        "http_config": Block(
            _keys(STRINGS, "block_endpoints allow_write_http_from")
            | {"response_headers": STRING_MAP, "use_cache": BOOL, "max_header_bytes": INT}
        ),
        "limits": _LIMITS,
        "locality": _LOCALITY,
        "peering": Block(_keys(BOOL, "enabled test_allow_peer_registrations")),
        "performance": Block(
            _keys(DURATION, "leave_drain_time rpc_hold_timeout grpc_keepalive_interval grpc_keepalive_timeout")
            | {"raft_multiplier": INT, "enable_xds_load_balancing": BOOL}
        ),
        "ports": Block(
            _keys(
                INT,
                "dns http https serf_lan serf_wan server grpc grpc_tls proxy_min_port proxy_max_port"
                " sidecar_min_port sidecar_max_port expose_min_port expose_max_port",
            )
        ),
        "raft_logstore": _RAFT_LOGSTORE,
        "reporting": Block({"license": Block({"enabled": BOOL})}),
        "rpc": Block({"enable_streaming": BOOL}),
        "segments": BlockList(Block(_keys(STRING, "advertise bind name") | {"port": INT, "rpc_listener": BOOL})),
        "service": SERVICE,
        "services": BlockList(SERVICE),
        "snapshot_agent": OPAQUE,
        "sync_coordinate_rate_target": FLOAT,
        "telemetry": _TELEMETRY,
        "tls": Block({"defaults": _TLS, "internal_rpc": _TLS, "https": _TLS, "grpc": _TLS}),
        "ui_config": _UI,
        "unix_sockets": Block(_keys(STRING, "group mode user")),
        "watches": OPAQUES,
        "xds": Block({"update_max_per_second": FLOAT}),
    },
    aliases={"non_voting_server": "read_replica"},
)


def keys(block: Block = CONFIGURATION, prefix: str = "") -> Iterator[str]:
    """
    All keys of single blocks, dotted: C{ports.http}. Lists and maps of blocks are one key each, and so is a block
    that is replaced as a whole.
    """
    for name, kind in sorted(block.fields.items()):
        if isinstance(kind, Block) and not kind.whole:
            yield from keys(kind, f"{prefix}{name}.")
        else:
            yield prefix + name
