"""
What a configuration as a whole must fulfil: impossible combinations are refused, doubtful ones warned about.

The order is Consul's, so that the first mistake it names is the first that is named here.

Source: Consul's "Agent configuration file reference", and what its agent answers.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from txconsul.agent.configuration.addresses import Address, is_any
from txconsul.agent.configuration.definitions import check_problem, definition_problem, metadata_problem
from txconsul.agent.configuration.mesh import ca_problem, entry_problem
from txconsul.agent.configuration.model import Configuration
from txconsul.agent.configuration.surroundings import Surroundings
from txconsul.agent.configuration.values import Values
from txconsul.codec.gobase64 import BadBase64, decode_base64
from txconsul.language.goflags import quoted

__all__ = ["validate"]

_NAME = re.compile(r"[a-z0-9_-]+")
_X509_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_DNS_LABEL = re.compile(r"[A-Za-z0-9-]+")
_LABEL_CHARACTERS_MAX = 63
#: Files that are open besides clients' connections.
_FILES_BESIDES = 20
_MIB = 1024 * 1024


def validate(configuration: Configuration, values: Values, surroundings: Surroundings) -> None:
    """
    Check everything that can be checked without starting.

    @param values: takes the warnings, and has the mistakes of single values.
    @raise ConfigurationError: the first thing that is wrong.
    """
    for index, entry in enumerate(configuration.config_entries):
        problem = entry_problem(entry)
        if problem:
            key = "config_entries.bootstrap"
            raise values.refusal(f"{key}[{index}]: {problem}", key)
    for rule in (_basics, _ui, _data_dir, _node_name, _network, _bootstrapping, _numbers, _federation, _raft):
        rule(configuration, values)
    _addresses_differ(configuration, values)
    values.raise_errors()
    _grpc(configuration, values)
    _definitions(configuration, values)
    _connect(configuration, values)
    _warnings(configuration, values)
    most = configuration.limits.http_max_conns_per_client
    files = surroundings.descriptors()
    if most > 0 and 0 <= files < most + _FILES_BESIDES:
        # Consul refuses to start. Our listener takes only as many connections as there are files for, so it may go on.
        values.warnings.append(
            f"limits.http_max_conns_per_client: {most} will not be reached: the system allows a max of {files} file"
            f" descriptors, and {most + _FILES_BESIDES} would be needed"
        )
    _auto_config(configuration, values)


def _basic_name(values: Values, key: str, name: str, *, shown: str = "", may_be_empty: bool = True) -> None:
    if not name and may_be_empty:
        return
    if not name:
        raise values.refusal(f"{shown or key} cannot be empty", key)
    if not _NAME.fullmatch(name):
        raise values.refusal(
            f"{shown or key} can only contain lowercase alphanumeric, - or _ characters. received: {quoted(name)}", key
        )


def _basics(configuration: Configuration, values: Values) -> None:
    if configuration.raft.protocol != 3:
        raise values.refusal(
            f"raft_protocol version {configuration.raft.protocol} is not supported by this version of Consul",
            "raft_protocol",
        )
    datacenter = configuration.datacenter
    _basic_name(values, "datacenter", datacenter, may_be_empty=False)
    if not _X509_NAME.fullmatch(datacenter):
        values.warnings.append(
            f"Datacenter : {quoted(datacenter)} will not be PKI X.509 compatible due to invalid characters."
            " Valid characters include lowercase alphanumeric characters with dashes in between."
        )
    if not configuration.data_dir and not configuration.dev_mode:
        raise values.refusal("data_dir cannot be empty", "data_dir")


def _ui(configuration: Configuration, values: Values) -> None:
    path = configuration.ui.content_path
    if not re.fullmatch("[A-Za-z0-9/_-]+", path):
        raise values.refusal(
            f"ui-content-path can only contain alphanumeric, -, _, or /. received: {quoted(path)}",
            "ui_config.content_path",
        )
    if re.fullmatch(r"/v\d+/", path):
        raise values.refusal(
            f"ui-content-path cannot have 'v[0-9]'. received: {quoted(path)}", "ui_config.content_path"
        )
    _basic_name(values, "ui_config.metrics_provider", values.text("ui_config.metrics_provider"))
    options = values.text("ui_config.metrics_provider_options_json")
    if options and not _is_json_object(options):
        key = "ui_config.metrics_provider_options_json"
        raise values.refusal(
            f"{key} must be empty or a string containing a valid JSON object. received: {quoted(options)}", key
        )
    url = values.text("ui_config.metrics_proxy.base_url")
    if url and not _is_web_url(url):
        key = "ui_config.metrics_proxy.base_url"
        raise values.refusal(f"{key} must be a valid http or https URL. received: {quoted(url)}", key)
    for allowed in values.texts("ui_config.metrics_proxy.path_allowlist"):
        if not allowed.startswith("/") or allowed.startswith("//") or not _UNESCAPED.isdisjoint(allowed):
            key = "ui_config.metrics_proxy.path_allowlist"
            raise values.refusal(f"{key}: path {quoted(allowed)} is not an absolute path", key)
    for name, url in values.mapping("ui_config.dashboard_url_templates").items():
        key = "ui_config.dashboard_url_templates"
        _basic_name(values, key, name, shown=f"{key} key names", may_be_empty=False)
        if not _is_web_url(url):
            raise values.refusal(f"{key} values must be a valid http or https URL. received: {quoted(url)}", key)


#: What ends a path, or begins an escape in it.
_UNESCAPED = frozenset("?#%")


def _is_json_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), (dict, type(None)))  # null is an object that is not there
    except (ValueError, RecursionError):
        return False


def _is_web_url(text: str) -> bool:
    try:
        return urlsplit(text).scheme in ("http", "https")
    except ValueError:
        return False


def _data_dir(configuration: Configuration, values: Values) -> None:
    if configuration.dev_mode:
        return
    path = configuration.data_dir
    if "\0" in path:
        raise values.refusal(f"data_dir {quoted(path)} is no path", "data_dir")
    if os.path.lexists(path) and not os.path.isdir(path):
        raise values.refusal(f"data_dir {quoted(path)} is not a directory", "data_dir")
    ancient = os.path.join(path, "mdb")  # the data of Consul 0.5, which nothing reads any more
    if configuration.server and os.path.lexists(ancient):
        raise values.refusal(f"CRITICAL: Deprecated data folder found at {quoted(ancient)}!", "data_dir", "server")


def _node_name(configuration: Configuration, values: Values) -> None:
    name = configuration.node_name
    if not name:
        raise values.refusal("node_name cannot be empty", "node_name")
    if not _DNS_LABEL.fullmatch(name):
        values.warnings.append(
            f"Node name {quoted(name)} will not be discoverable via DNS due to invalid characters."
            " Valid characters include all alpha-numerics and dashes."
        )
    elif len(name.encode()) > _LABEL_CHARACTERS_MAX:
        values.warnings.append(
            f"Node name {quoted(name)} will not be discoverable via DNS due to it being too long."
            " Valid lengths are between 1 and 63 bytes."
        )
    locality = values.get("locality") or {}
    if locality.get("zone") and not locality.get("region"):
        raise values.refusal("locality is invalid: zone cannot be set without region", "locality")


def _network(configuration: Configuration, values: Values) -> None:
    if is_any(configuration.advertise_address):
        raise values.refusal("Advertise address cannot be 0.0.0.0, :: or [::]", "advertise_addr")
    if is_any(configuration.advertise_address_wan):
        raise values.refusal("Advertise WAN address cannot be 0.0.0.0, :: or [::]", "advertise_addr_wan")
    for key in ("segment", "segments"):
        if values.get(key):
            raise values.refusal("Network segments are not supported in this version of Consul", key)
    if any(address.is_unix for address in configuration.dns_addresses):
        raise values.refusal("DNS address cannot be a unix socket", "addresses.dns")
    if any(map(is_any, configuration.dns.recursors)):
        raise values.refusal("DNS recursor address cannot be 0.0.0.0, :: or [::]", "recursors")
    datacenter = re.escape(configuration.datacenter)
    if re.match(rf"(service|connect|node|query|addr|{datacenter})\.({datacenter}\.)?", configuration.alt_domain):
        raise values.refusal(
            f"alt_domain cannot start with {{service,connect,node,query,addr,{configuration.datacenter}}}", "alt_domain"
        )


def _bootstrapping(configuration: Configuration, values: Values) -> None:
    server, bootstrap, expect = configuration.server, configuration.bootstrap, configuration.bootstrap_expect
    if bootstrap and not server:
        key = "bootstrap" if values.flag("bootstrap") else "bootstrap_expect"
        raise values.refusal("'bootstrap = true' requires 'server = true'", key, "server")
    if expect < 0:
        raise values.refusal(
            f"bootstrap_expect cannot be {expect}. Must be greater than or equal to zero", "bootstrap_expect"
        )
    if expect > 0 and not server:
        raise values.refusal("'bootstrap_expect > 0' requires 'server = true'", "bootstrap_expect", "server")
    if expect > 0 and configuration.dev_mode:
        raise values.refusal("'bootstrap_expect > 0' not allowed in dev mode", "bootstrap_expect")
    if expect > 0 and bootstrap:
        raise values.refusal(
            "'bootstrap_expect > 0' and 'bootstrap = true' are mutually exclusive", "bootstrap_expect", "bootstrap"
        )


def _numbers(configuration: Configuration, values: Values) -> None:
    if configuration.check_output_max_size < 1:
        key = "check_output_max_size"
        raise values.refusal(f"{key} must be positive, to discard check output use the discard_check_output flag", key)
    for key in ("autopilot.max_trailing_logs",):
        _not_negative(values, key)
    _basic_name(values, "primary_datacenter", configuration.primary_datacenter)
    if not configuration.dev_mode and configuration.ui.enabled and configuration.ui.dir:
        raise values.refusal(
            "ui_config.enabled serves the web interface of this program, ui_config.dir one of your own: set only one",
            "ui_config.dir",
            "ui_config.enabled",
        )
    for key in ("dns_config.udp_answer_limit", "dns_config.a_record_limit"):
        _not_negative(values, key)
    problem = metadata_problem(configuration.node_meta)
    if problem:
        raise values.refusal(f"node_meta invalid: {problem}", "node_meta")
    if configuration.encrypt:
        try:
            decode_base64(configuration.encrypt)
        except BadBase64 as error:
            raise values.refusal(f"encrypt has invalid key: {error}", "encrypt") from None


def _not_negative(values: Values, key: str) -> None:
    number = values.number(key)
    if number < 0:
        raise values.refusal(f"{key} cannot be {number}. Must be greater than or equal to zero", key)


def _federation(configuration: Configuration, values: Values) -> None:
    key = "connect.enable_mesh_gateway_wan_federation"
    if configuration.connect.enable_mesh_gateway_wan_federation:
        if not configuration.server:
            raise values.refusal(f"'{key} = true' requires 'server = true'", key, "server")
        if "/" in configuration.node_name:
            raise values.refusal(f"'{key} = true' requires that 'node_name' not contain '/' characters", key)
        if configuration.retry_join_wan:
            raise values.refusal(f"'retry_join_wan' is incompatible with '{key} = true'", "retry_join_wan", key)
    if values.texts("primary_gateways"):
        if not configuration.server:
            raise values.refusal("'primary_gateways' requires 'server = true'", "primary_gateways", "server")
        if configuration.primary_datacenter == configuration.datacenter:
            raise values.refusal(
                "'primary_gateways' should only be configured in a secondary datacenter", "primary_gateways"
            )


def _raft(configuration: Configuration, values: Values) -> None:
    if not configuration.server:
        return
    if values.text("raft_logstore.backend") not in ("", "default", "boltdb", "wal"):
        raise values.refusal("raft_logstore.backend must be one of 'boltdb' or 'wal'", "raft_logstore.backend")
    key = "raft_logstore.wal.segment_size_mb"
    if configuration.raft.segment_bytes < _MIB:
        raise values.refusal(f"{key} cannot be less than 1MB", key)
    if configuration.raft.segment_bytes > 1024 * _MIB:
        raise values.refusal(f"{key} cannot be greater than 1024 (1GiB)", key)


def _addresses_differ(configuration: Configuration, values: Values) -> None:
    """No two services may listen on, or be told to others as, the same address."""

    def named() -> Iterator[tuple[str, str, Address | None]]:
        for name, key, addresses in (
            ("DNS", "dns", configuration.dns_addresses),
            ("HTTP", "http", configuration.http_addresses),
            ("HTTPS", "https", configuration.https_addresses),
        ):
            for address in addresses:
                yield name, f"ports.{key}", address
        yield "RPC Advertise", "ports.server", configuration.rpc_advertise
        yield "Serf Advertise LAN", "ports.serf_lan", configuration.serf_lan_advertise
        yield "Serf Advertise WAN", "ports.serf_wan", configuration.serf_wan_advertise

    used: dict[Address, tuple[str, str]] = {}
    for name, key, address in named():
        if address is None:
            continue
        if address in used:
            other, other_key = used[address]
            raise values.refusal(f"{name} address {address} already configured for {other}", key, other_key)
        used[address] = (name, key)


def _definitions(configuration: Configuration, values: Values) -> None:
    kinds: tuple[tuple[str, str, tuple[object, ...], Callable[..., str]], ...] = (
        ("service", "services", configuration.services, definition_problem),
        ("check", "checks", configuration.checks, check_problem),
    )
    for word, key, definitions, problem_of in kinds:
        for definition in definitions:
            problem = problem_of(definition)
            if problem:
                name = definition.get("name", "")  # type: ignore[attr-defined]
                raise values.refusal(f"{word} {quoted(name)}: {problem}", key)


def _grpc(configuration: Configuration, values: Values) -> None:
    tls = configuration.tls.grpc
    automatic = tls.use_auto_cert and (values.flag("auto_encrypt.tls") or values.flag("auto_config.enabled"))
    if (tls.cert_file or automatic) and configuration.ports.grpc > 0 and values.get("ports.grpc_tls") is None:
        raise values.refusal(
            "the `ports.grpc` listener no longer supports TLS. Use `ports.grpc_tls` instead. This message is appearing"
            " because GRPC is configured to use TLS, but `ports.grpc_tls` is not defined",
            "ports.grpc",
        )


def _connect(configuration: Configuration, values: Values) -> None:
    provider = configuration.connect.ca_provider
    primary = configuration.primary_datacenter == configuration.datacenter
    problem = ca_problem(provider, configuration.connect.ca_config, primary) if provider else ""
    if problem:
        raise values.refusal(problem, "connect.ca_provider", "connect.ca_config")
    if configuration.server and values.flag("auto_encrypt.tls"):
        raise values.refusal("auto_encrypt.tls can only be used on a client.", "auto_encrypt.tls", "server")
    if not configuration.server and values.flag("auto_encrypt.allow_tls"):
        raise values.refusal("auto_encrypt.allow_tls can only be used on a server.", "auto_encrypt.allow_tls")
    if configuration.server and values.duration("advertise_reconnect_timeout"):
        key = "advertise_reconnect_timeout"
        raise values.refusal(f"{key} can only be used on a client", key, "server")
    for name in ("entry_fetch_max_burst", "entry_fetch_rate"):
        number = values.get(f"cache.{name}")
        if number is not None and (number == 0 if name == "entry_fetch_rate" else number <= 0):
            raise values.refusal(f"cache.{name} must be strictly positive, was: {number:g}", f"cache.{name}")


def _warnings(configuration: Configuration, values: Values) -> None:
    warn = values.warnings.append
    server, bootstrap, expect = configuration.server, configuration.bootstrap, configuration.bootstrap_expect
    see = "See https://developer.hashicorp.com/docs/internals/consensus.html#deployment-table"
    if server and not bootstrap and expect == 2:
        warn(f"bootstrap_expect = 2: A cluster with 2 servers will provide no failure tolerance. {see}")
    if server and not bootstrap and expect > 2 and expect % 2 == 0:
        warn(
            "bootstrap_expect is even number: A cluster with an even number of servers does not achieve optimum"
            f" fault tolerance. {see}"
        )
    if server and bootstrap and expect == 0:
        warn("bootstrap = true: do not enable unless necessary")
    if server and not bootstrap and expect > 1:
        warn(f"bootstrap_expect > 0: expecting {expect} servers")
    streaming = values.flag("rpc.enable_streaming", server)
    if server and configuration.use_streaming_backend and not streaming:
        warn("use_streaming_backend = true requires rpc.enable_streaming on servers to work properly")
    if not server and streaming:
        warn("rpc.enable_streaming = true has no effect when not running in server mode")
    if values.flag("auto_encrypt.allow_tls") and not configuration.tls.internal_rpc.verify_incoming:
        warn(
            "auto_encrypt.allow_tls is on and tls.internal_rpc.verify_incoming is off: turn it on (it may be set in"
            " tls.defaults) as soon as all agents use TLS"
        )
    unprotected = not configuration.acl.enabled and not configuration.http.allow_write_from
    if configuration.enable_script_checks and unprotected:
        warn(
            "enable_script_checks without ACLs and without http_config.allow_write_http_from lets everybody who reaches"
            " the HTTP API run commands here; enable_local_script_checks takes checks from files only"
        )


#: Where the keys come from that tokens are checked with.
_KEY_SOURCES = ("jwt_validation_pub_keys", "jwks_url", "oidc_discovery_url")


def _auto_config(configuration: Configuration, values: Values) -> None:
    enabled, key = values.flag("auto_config.enabled"), "auto_config.enabled"
    if enabled and values.flag("auto_encrypt.tls"):
        raise values.refusal(
            "both auto_encrypt.tls and auto_config.enabled cannot be set to true.", key, "auto_encrypt.tls"
        )
    authorizer = "auto_config.authorization.enabled"
    if values.flag(authorizer):
        secondary = configuration.primary_datacenter != configuration.datacenter
        if configuration.acl.enabled and secondary and not values.flag("acl.enable_token_replication"):
            raise values.refusal(
                f"Enabling auto-config authorization ({authorizer}) in non primary datacenters with ACLs enabled"
                " (acl.enabled) requires also enabling ACL token replication (acl.enable_token_replication)",
                authorizer,
            )
        if not configuration.server:
            raise values.refusal(f"{authorizer} cannot be set to true for client agents", authorizer)
        if not configuration.tls.internal_rpc.cert_file:
            raise values.refusal(
                f"{authorizer} cannot be set without providing a TLS certificate for the server", authorizer
            )
        static = "auto_config.authorization.static"
        if sum(bool(values.get(f"{static}.{name}")) for name in _KEY_SOURCES) != 1:
            raise values.refusal(
                f"{static} has invalid configuration: exactly one of 'JWTValidationPubKeys', 'JWKSURL', or"
                " 'OIDCDiscoveryURL' must be set for type \"jwt\"",
                authorizer,
            )
    if not enabled:
        return
    if not configuration.tls.internal_rpc.verify_outgoing:
        raise values.refusal(f"{key} cannot be set without configuring TLS for server communications", key)
    if configuration.server:
        raise values.refusal(f"{key} cannot be set to true for server agents.", key, "server")
    if not values.text("auto_config.intro_token") and not values.text("auto_config.intro_token_file"):
        raise values.refusal(
            "One of auto_config.intro_token, auto_config.intro_token_file or the CONSUL_INTRO_TOKEN environment"
            " variable must be set to enable auto_config",
            key,
        )
    if not values.texts("auto_config.server_addresses"):
        raise values.refusal(f"{key} is set without providing a list of addresses", key)
