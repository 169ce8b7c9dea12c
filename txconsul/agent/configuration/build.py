"""
Merged values to a L{Configuration}: addresses resolved, durations read, what depends on other keys decided.

The order of steps is the order in which Consul finds mistakes, so that a file with several is reported alike.

Source: Consul's "Agent configuration file reference", and what its agent answers.
"""

from __future__ import annotations

import ipaddress
from typing import Any

import msgspec

from txconsul.agent.configuration.addresses import Address, Expander, is_any, make_addresses
from txconsul.agent.configuration.definitions import note_problems
from txconsul.agent.configuration.deprecated import move_user_interface
from txconsul.agent.configuration.interfaces import private_ipv4, public_ipv6
from txconsul.agent.configuration.merging import leaves
from txconsul.agent.configuration.model import Configuration, Ports
from txconsul.agent.configuration.sections import SECTIONS, build_prefix_filter
from txconsul.agent.configuration.sources import Collected
from txconsul.agent.configuration.surroundings import Surroundings
from txconsul.agent.configuration.tlssettings import build_tls
from txconsul.agent.configuration.values import Values
from txconsul.language.goflags import quoted

__all__ = ["build"]

#: gRPC with TLS, on servers that do not say otherwise.
_GRPC_TLS_PORT = 8503


def build(collected: Collected, dev_mode: bool, surroundings: Surroundings) -> tuple[Configuration, Values]:
    """
    Resolve everything. Mistakes of single values are noted in the L{Values} and not raised yet.

    @raise ConfigurationError: nothing sensible can follow.
    """
    values = Values(collected.values, collected.origins)
    values.warnings.extend(collected.warnings)
    server = values.flag("server")
    for key, text in values.mapping("dns_config.service_ttl").items():
        values.seconds(text, f'dns_config.service_ttl["{key}"]', "dns_config.service_ttl")
    checks, services = list(values.get("checks") or ()), list(values.get("services") or ())
    note_problems(values, services, checks)
    ports = _ports(values, server)
    expander = Expander(surroundings.interfaces)
    network = _network(values, ports, expander, surroundings)
    recursors = _recursors(values, expander)
    build_prefix_filter(values)
    multiplier = values.number("performance.raft_multiplier")
    if not 1 <= multiplier <= 10:
        key = "performance.raft_multiplier"
        raise values.refusal(f"{key} cannot be {multiplier}. Must be between 1 and 10", key)
    _connect_rules(values)
    values.warnings.extend(move_user_interface(collected.values))
    scripts = values.flag("enable_script_checks")
    sections = {name: section(values) for name, section in SECTIONS.items()}
    for key, message in ((message.partition(":")[0], message) for message in expander.errors):
        values.wrong(key, message)
    datacenter = values.text("datacenter").lower()
    expect = values.number("bootstrap_expect")
    bootstrap = values.flag("bootstrap")
    configuration = Configuration(
        node_name=_node_name(values, surroundings),
        node_id=values.text("node_id"),
        node_meta=values.mapping("node_meta"),
        datacenter=datacenter,
        primary_datacenter=values.text("primary_datacenter").lower() or datacenter,
        domain=values.text("domain"),
        alt_domain=values.text("alt_domain"),
        data_dir=values.text("data_dir"),
        server=server,
        dev_mode=dev_mode,
        bootstrap=bootstrap or expect == 1,
        bootstrap_expect=0 if expect == 1 else expect,
        ports=ports,
        retry_join=tuple(expander.texts("retry_join", values.texts("retry_join"))),
        retry_join_wan=tuple(expander.texts("retry_join_wan", values.texts("retry_join_wan"))),
        retry_interval=values.duration("retry_interval"),
        retry_interval_wan=values.duration("retry_interval_wan"),
        retry_max=values.number("retry_max"),
        retry_max_wan=values.number("retry_max_wan"),
        rejoin_after_leave=values.flag("rejoin_after_leave"),
        # A client that is stopped leaves; a server that is stopped will come back.
        leave_on_terminate=values.flag("leave_on_terminate", not server),
        skip_leave_on_interrupt=values.flag("skip_leave_on_interrupt", server),
        reconnect_timeout=values.duration("reconnect_timeout"),
        reconnect_timeout_wan=values.duration("reconnect_timeout_wan"),
        server_rejoin_age_max=values.duration("server_rejoin_age_max", low="6h"),
        encrypt=values.text("encrypt"),
        encrypt_verify_incoming=values.flag("encrypt_verify_incoming"),
        encrypt_verify_outgoing=values.flag("encrypt_verify_outgoing"),
        disable_keyring_file=values.flag("disable_keyring_file"),
        default_query_time=values.duration("default_query_time"),
        max_query_time=values.duration("max_query_time"),
        discovery_max_stale=values.duration("discovery_max_stale"),
        session_ttl_min=values.duration("session_ttl_min"),
        translate_wan_addrs=values.flag("translate_wan_addrs"),
        check_output_max_size=values.number("check_output_max_size"),
        discard_check_output=values.flag("discard_check_output"),
        check_update_interval=values.duration("check_update_interval"),
        enable_script_checks=scripts,
        enable_local_script_checks=values.flag("enable_local_script_checks", scripts),
        enable_agent_tls_for_checks=values.flag("enable_agent_tls_for_checks"),
        server_name=values.text("server_name"),
        enable_central_service_config=values.flag("enable_central_service_config"),
        enable_debug=values.flag("enable_debug"),
        disable_host_node_id=values.flag("disable_host_node_id"),
        disable_update_check=values.flag("disable_update_check"),
        disable_remote_exec=values.flag("disable_remote_exec"),
        disable_coordinates=values.flag("disable_coordinates"),
        coordinate_update_period=values.duration("consul.coordinate.update_period"),
        disable_http_unprintable_char_filter=values.flag("disable_http_unprintable_char_filter"),
        disable_kv_key_validation=values.flag("disable_kv_key_validation"),
        auto_reload_config=values.flag("auto_reload_config"),
        use_streaming_backend=values.flag("use_streaming_backend", True),
        default_intention_policy=values.text("default_intention_policy"),
        pid_file=values.text("pid_file"),
        protocol=values.number("protocol"),
        serf_lan_allowed_cidrs=values.networks("serf_lan_allowed_cidrs"),
        serf_wan_allowed_cidrs=values.networks("serf_wan_allowed_cidrs"),
        tls=build_tls(values),
        peering_enabled=values.flag("peering.enabled"),
        services=tuple(services),
        checks=tuple(checks),
        config_entries=tuple(values.get("config_entries.bootstrap") or ()),
        watches=tuple(values.get("watches") or ()),
        raw={key: values.get(key) for key in leaves(collected.values)},
        origins=dict(collected.origins),
        files=tuple(collected.files),
        warnings=(),
        **network,
        **{name: section for name, section in sections.items() if name != "dns"},
        dns=_with_recursors(sections["dns"], recursors),
    )
    if expect == 1:
        values.warnings.append("BootstrapExpect is set to 1; this is the same as Bootstrap mode.")
    return configuration, values


def _with_recursors(dns: Any, recursors: tuple[str, ...]) -> Any:
    return msgspec.structs.replace(dns, recursors=recursors)


def _ports(values: Values, server: bool) -> Ports:
    names = ("dns", "http", "https", "server", "grpc", "grpc_tls", "serf_lan", "serf_wan")
    ranges = ("proxy", "sidecar", "expose")
    found = {name: values.port(f"ports.{name}") for name in names}
    for name in ranges:
        found |= {f"{name}_{end}": values.port(f"ports.{name}_{end}_port") for end in ("min", "max")}
    if values.get("ports.grpc_tls") is None and server:
        found["grpc_tls"] = _GRPC_TLS_PORT
    for name, flag in (("server", "server-port"), ("serf_lan", "serf-lan-port")):
        if found[name] <= 0:
            raise values.refusal(f"{flag} must be greater than zero", f"ports.{name}")
    for name in ranges:
        if found[f"{name}_max"] < found[f"{name}_min"]:
            raise values.refusal(
                f"{name}_min_port must be less than {name}_max_port. To disable, set both to zero.",
                f"ports.{name}_min_port",
                f"ports.{name}_max_port",
            )
    return Ports(**found)


def _network(values: Values, ports: Ports, expander: Expander, surroundings: Surroundings) -> dict[str, Any]:
    """Every field of the configuration that is an address."""
    bind = _bind_address(values, expander)
    for key, word in (("advertise_addr", "Advertise"), ("advertise_addr_wan", "Advertise WAN")):
        if is_any(values.text(key)):
            raise values.refusal(f"{word} address cannot be 0.0.0.0, :: or [::]", key)
    advertise = expander.host("advertise_addr", values.get("advertise_addr")) or bind
    if is_any(advertise):
        advertise = _detected(values, advertise, surroundings)
    serf_lan = expander.host("serf_lan", values.get("serf_lan")) or bind
    serf_wan = expander.host("serf_wan", values.get("serf_wan")) or bind
    tagged = values.mapping("tagged_addresses")
    wan = expander.host("advertise_addr_wan", values.get("advertise_addr_wan")) or advertise
    for tag, key, default in (("lan", "advertise_addr", advertise), ("wan", "advertise_addr_wan", wan)):
        tagged[tag] = default
        for version in (4, 6):
            own = expander.host(f"{key}_ipv{version}", values.get(f"{key}_ipv{version}"))
            if own and ipaddress.ip_address(own).version != version:
                raise values.refusal(f"{key}_ipv{version} must be an ipv{version} address", f"{key}_ipv{version}")
            if own or ipaddress.ip_address(default).version == version:
                tagged[f"{tag}_ipv{version}"] = own or default
    clients = expander.hosts("client_addr", values.get("client_addr"))
    if not clients:
        values.warnings.append(
            "client_addr is empty, client services (DNS, HTTP, HTTPS, GRPC) will not be listening for connections"
        )

    def listening(name: str, port: int) -> tuple[Address, ...]:
        key = f"addresses.{name}"
        return make_addresses(expander.addresses(key, values.get(key)), clients, port)

    wan_on = ports.serf_wan > 0
    return {
        "bind_address": bind,
        "advertise_address": advertise,
        "advertise_address_wan": wan,
        "tagged_addresses": tagged,
        "client_addresses": tuple(clients),
        "dns_addresses": listening("dns", ports.dns),
        "http_addresses": listening("http", ports.http),
        "https_addresses": listening("https", ports.https),
        "grpc_addresses": listening("grpc", ports.grpc),
        "grpc_tls_addresses": listening("grpc_tls", ports.grpc_tls),
        "rpc_bind": Address(bind, ports.server),
        "rpc_advertise": Address(advertise, ports.server),
        "serf_lan_bind": Address(serf_lan, ports.serf_lan),
        "serf_lan_advertise": Address(advertise, ports.serf_lan),
        "serf_wan_bind": Address(serf_wan, ports.serf_wan) if wan_on else None,
        "serf_wan_advertise": Address(wan, ports.serf_wan) if wan_on else None,
    }


def _bind_address(values: Values, expander: Expander) -> str:
    found = expander.addresses("bind_addr", values.get("bind_addr"))
    if not found:
        reason = f": {expander.errors[0]}" if expander.errors else ""
        raise values.refusal(f"bind_addr cannot be empty{reason}", "bind_addr")
    if len(found) > 1:
        raise values.refusal(
            "bind_addr cannot contain multiple addresses. Use 'addresses.{dns,http,https}' instead.", "bind_addr"
        )
    if found[0].is_unix:
        raise values.refusal("bind_addr cannot be a unix socket", "bind_addr")
    return found[0].host


def _detected(values: Values, bound: str, surroundings: Surroundings) -> str:
    """The one address that others can reach this machine under, when it listens on all of a family."""
    family, find = ("private IPv4", private_ipv4) if bound == "0.0.0.0" else ("public IPv6", public_ipv6)
    found = find(surroundings.interfaces())
    if not found:
        raise values.refusal(f"No {family} address found", "bind_addr", "advertise_addr")
    if len(found) > 1:
        raise values.refusal(
            f"Multiple {family} addresses found. Please configure one with 'bind' and/or 'advertise'.",
            "bind_addr",
            "advertise_addr",
        )
    return found[0]


def _recursors(values: Values, expander: Expander) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for text in values.texts("recursors"):
        for word in expander.texts("recursors", [text]):
            for address in word.split():
                if address.startswith("unix://"):
                    raise values.refusal(f"DNS Recursors cannot be unix sockets: {address}", "recursors")
                found[address] = None
    return tuple(found)


def _connect_rules(values: Values) -> None:
    implied = values.flag("auto_encrypt.allow_tls") or values.flag("auto_config.enabled")
    federation = "connect.enable_mesh_gateway_wan_federation"
    if values.flag(federation) and not (values.flag("connect.enabled") or implied):
        raise values.refusal(f"'{federation}=true' requires 'connect.enabled=true'", federation, "connect.enabled")
    for section, key in (("AutoEncrypt.IPSAN", "auto_encrypt.ip_san"), ("auto_config.ip_sans", "auto_config.ip_sans")):
        for text in values.texts(key):
            try:
                ipaddress.ip_address(text)
            except ValueError:
                values.warnings.append(f"Cannot parse ip {quoted(text)} from {section}")


def _node_name(values: Values, surroundings: Surroundings) -> str:
    name = values.text("node_name")
    if not name:
        try:
            name = surroundings.hostname()
        except OSError as error:
            values.wrong("node_name", f"node_name: {error}")
    return name.strip()
