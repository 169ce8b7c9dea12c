"""
The flags of the agent, and what they set.

Consul's names, with one dash or two. A flag that configures something is a row of the table: its name, its kind, the
key that it sets, and a word for the list of flags.

Source: Consul's "Agent CLI reference".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from txconsul.codec.duration import format_duration
from txconsul.language.goflags import (
    LIST,
    OPTIONAL_BOOL,
    OPTIONAL_DURATION,
    OPTIONAL_INT,
    OPTIONAL_STRING,
    PAIRS,
    STRING,
    Flag,
    Kind,
    parse,
)

__all__ = ["AGENT_FLAGS", "AgentFlags", "agent_flags"]


@dataclass(frozen=True)
class AgentFlags:
    """
    What the command line says.

    @ivar values: keys of a configuration file and their values.
    @ivar origins: dotted key to the flag that set it.
    @ivar config_files: files and directories in their order.
    @ivar hcl: texts given with C{-hcl}.
    @ivar warnings: about flags of older versions.
    @ivar rest: arguments that are no flags.
    """

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    config_files: tuple[str, ...] = ()
    config_format: str = ""
    dev: bool = False
    hcl: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    rest: tuple[str, ...] = ()


#: Name, kind, key, usage. Flags without a key steer how the configuration is read.
_ROWS: tuple[tuple[str, Kind, str, str], ...] = (
    ("advertise", OPTIONAL_STRING, "advertise_addr", "The address that is told to others in this datacenter."),
    ("advertise-wan", OPTIONAL_STRING, "advertise_addr_wan", "The address that is told to other datacenters."),
    ("allow-write-http-from", LIST, "http_config.allow_write_http_from",
     "Network (CIDR) that HTTP requests which change something are taken from. May be repeated."),
    ("alt-domain", OPTIONAL_STRING, "alt_domain", "A second domain that DNS answers for."),
    ("auto-reload-config", OPTIONAL_BOOL, "auto_reload_config", "Read the configuration again when a file changes."),
    ("bind", OPTIONAL_STRING, "bind_addr", "The address for traffic within the cluster."),
    ("bootstrap", OPTIONAL_BOOL, "bootstrap", "Let this server elect itself. One server of a datacenter only."),
    ("bootstrap-expect", OPTIONAL_INT, "bootstrap_expect", "How many servers to wait for before the first election."),
    ("check_output_max_size", OPTIONAL_INT, "check_output_max_size", "Bytes of a check's output that are kept."),
    ("client", OPTIONAL_STRING, "client_addr", "Addresses for clients: HTTP, HTTPS, DNS and gRPC."),
    ("config-dir", LIST, "", "Directory whose .json and .hcl files are read, in the order of their names."
     " May be repeated."),
    ("config-file", LIST, "", "File to read, JSON or HCL by its extension. May be repeated."),
    ("config-format", STRING, "", "Format of all files whatever their extension: 'hcl' or 'json'."),
    ("data-dir", OPTIONAL_STRING, "data_dir", "Directory for what must survive a restart."),
    ("datacenter", OPTIONAL_STRING, "datacenter", "The datacenter of this agent."),
    ("default-query-time", OPTIONAL_DURATION, "default_query_time",
     "How long a blocking query waits when it does not say."),
    ("dev", OPTIONAL_BOOL, "", "Development: one server that keeps everything in memory."),
    ("disable-host-node-id", OPTIONAL_BOOL, "disable_host_node_id",
     "Make the node's ID by chance, not from the host's."),
    ("disable-keyring-file", OPTIONAL_BOOL, "disable_keyring_file", "Do not keep the gossip keys in a file."),
    ("dns-port", OPTIONAL_INT, "ports.dns", "Port for DNS."),
    ("domain", OPTIONAL_STRING, "domain", "The domain that DNS answers for."),
    ("enable-local-script-checks", OPTIONAL_BOOL, "enable_local_script_checks",
     "Allow script checks from configuration files."),
    ("enable-script-checks", OPTIONAL_BOOL, "enable_script_checks", "Allow script checks, from the HTTP API too."),
    ("encrypt", OPTIONAL_STRING, "encrypt", "Key of the gossip encryption, base64."),
    ("grpc-port", OPTIONAL_INT, "ports.grpc", "Port for gRPC without TLS."),
    ("grpc-tls-port", OPTIONAL_INT, "ports.grpc_tls", "Port for gRPC with TLS."),
    ("hcl", LIST, "", "A piece of configuration in HCL, read after everything else. May be repeated."),
    ("http-port", OPTIONAL_INT, "ports.http", "Port for HTTP."),
    ("https-port", OPTIONAL_INT, "ports.https", "Port for HTTPS."),
    ("join", LIST, "start_join", "Older spelling of -retry-join. May be repeated."),
    ("join-wan", LIST, "start_join_wan", "Older spelling of -retry-join-wan. May be repeated."),
    ("log-file", OPTIONAL_STRING, "log_file", "File that the log is written to."),
    ("log-json", OPTIONAL_BOOL, "log_json", "Write the log as JSON."),
    ("log-level", OPTIONAL_STRING, "log_level", "How much to log: trace, debug, info, warn or error."),
    ("log-rotate-bytes", OPTIONAL_INT, "log_rotate_bytes", "Begin a new log file after so many bytes."),
    ("log-rotate-duration", OPTIONAL_DURATION, "log_rotate_duration", "Begin a new log file after this time."),
    ("log-rotate-max-files", OPTIONAL_INT, "log_rotate_max_files", "How many older log files to keep."),
    ("max-query-time", OPTIONAL_DURATION, "max_query_time", "How long a blocking query may wait at most."),
    ("node", OPTIONAL_STRING, "node_name", "Name of this node, unique in the cluster."),
    ("node-id", OPTIONAL_STRING, "node_id", "ID of this node, a UUID; made and kept in the data directory otherwise."),
    ("node-meta", PAIRS, "node_meta", "Metadata of this node, `key:value`. May be repeated."),
    ("non-voting-server", OPTIONAL_BOOL, "read_replica", "Consul Enterprise; older spelling of -read-replica."),
    ("pid-file", OPTIONAL_STRING, "pid_file", "File that the process ID is written to."),
    ("primary-gateway", LIST, "primary_gateways",
     "Address of a mesh gateway of the primary datacenter. May be repeated."),
    ("protocol", OPTIONAL_INT, "protocol", "Version of Consul's protocol."),
    ("raft-protocol", OPTIONAL_INT, "raft_protocol", "Version of Raft's protocol."),
    ("read-replica", OPTIONAL_BOOL, "read_replica", "Consul Enterprise: a server that does not vote."),
    ("recursor", LIST, "recursors", "Address of a DNS server for all other names. May be repeated."),
    ("rejoin", OPTIONAL_BOOL, "rejoin_after_leave", "Join the cluster again although this node left it."),
    ("retry-interval", OPTIONAL_DURATION, "retry_interval", "Time between two tries to join."),
    ("retry-interval-wan", OPTIONAL_DURATION, "retry_interval_wan", "Time between two tries to join over the WAN."),
    ("retry-join", LIST, "retry_join", "Address of an agent to join, tried until it succeeds. May be repeated."),
    ("retry-join-wan", LIST, "retry_join_wan", "The same for servers of other datacenters. May be repeated."),
    ("retry-max", OPTIONAL_INT, "retry_max", "How often to try to join; 0 is without end."),
    ("retry-max-wan", OPTIONAL_INT, "retry_max_wan", "How often to try to join over the WAN; 0 is without end."),
    ("segment", OPTIONAL_STRING, "segment", "Consul Enterprise: the network segment to join."),
    ("serf-lan-allowed-cidrs", LIST, "serf_lan_allowed_cidrs",
     "Network that members of this datacenter may have addresses of. May be repeated."),
    ("serf-lan-bind", OPTIONAL_STRING, "serf_lan", "Address for the gossip of this datacenter."),
    ("serf-lan-port", OPTIONAL_INT, "ports.serf_lan", "Port for the gossip of this datacenter."),
    ("serf-wan-allowed-cidrs", LIST, "serf_wan_allowed_cidrs",
     "Network that servers of other datacenters may have addresses of. May be repeated."),
    ("serf-wan-bind", OPTIONAL_STRING, "serf_wan", "Address for the gossip between datacenters."),
    ("serf-wan-port", OPTIONAL_INT, "ports.serf_wan", "Port for the gossip between datacenters."),
    ("server", OPTIONAL_BOOL, "server", "Be a server."),
    ("server-port", OPTIONAL_INT, "ports.server", "Port for traffic between agents and servers."),
    ("syslog", OPTIONAL_BOOL, "enable_syslog", "Log to syslog too."),
    ("ui", OPTIONAL_BOOL, "ui_config.enabled", "Serve the web interface."),
    ("ui-content-path", OPTIONAL_STRING, "ui_config.content_path", "Path of the web interface. Default: /ui/."),
    ("ui-dir", OPTIONAL_STRING, "ui_config.dir", "Directory with a web interface of your own."),
)  # fmt: skip

_CONFIG_FILES = "config-files"
_KEYS = {name: key for name, _, key, _ in _ROWS if key}

#: For L{parse}; C{-config-dir} and C{-config-file} share one list, since their order counts.
AGENT_FLAGS: tuple[Flag, ...] = (
    *(
        Flag(name, kind, usage, into=_CONFIG_FILES if name in ("config-dir", "config-file") else "")
        for name, kind, _, usage in _ROWS
    ),
    Flag("dc", OPTIONAL_STRING, "Short for -datacenter.", into="datacenter", hidden=True),
)

_OLD = (
    ("join", "start_join", "retry_join", "-retry-join"),
    ("join-wan", "start_join_wan", "retry_join_wan", "-retry-join-wan"),
)


def agent_flags(arguments: Sequence[str]) -> AgentFlags:
    """
    Read the agent's arguments.

    @raise FlagError: a flag is unknown or has a value of the wrong kind.
    @raise HelpWanted: the list of flags is asked for.
    """
    parsed = parse(AGENT_FLAGS, arguments)
    values: dict[str, Any] = {}
    origins = {}
    for name, key in _KEYS.items():
        if name not in parsed.given:
            continue
        value = parsed[name]
        *path, last = key.split(".")
        block = values
        for step in path:
            block = block.setdefault(step, {})
        is_duration = any(flag.name == name and flag.kind is OPTIONAL_DURATION for flag in AGENT_FLAGS)
        block[last] = format_duration(value) if is_duration else value
        origins[key] = f"-{name}"
    warnings = []
    for name, old, new, instead in _OLD:
        if values.get(old):
            values[new] = [*values.get(new, []), *values.pop(old)]
            warnings.append(f"The flag '-{name}' is deprecated. Use the '{instead}' flag instead.")
    return AgentFlags(
        values,
        origins,
        tuple(parsed[_CONFIG_FILES]),
        parsed["config-format"],
        bool(parsed["dev"]),
        tuple(parsed["hcl"]),
        tuple(warnings),
        tuple(parsed.rest),
    )
