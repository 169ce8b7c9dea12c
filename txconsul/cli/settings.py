"""
Which agent a command speaks to, and how: flags before the environment before the defaults.

The flags are the same for every command that speaks HTTP; L{CLIENT_FLAGS} says where and as whom, L{SERVER_FLAGS} which
servers answer, L{TENANCY_FLAGS} are Consul Enterprise's: they are passed on, and an agent of the community edition
refuses them in its own words.

Source: Consul's documentation of the command line, "CLI flags" and "Environment variables".
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from txconsul.cli.gotext import file_error, go_quoted
from txconsul.language.goflags import OPTIONAL_BOOL, OPTIONAL_STRING, Flag, Parsed, go_bool

__all__ = ["CLIENT_FLAGS", "HTTP_FLAGS", "SERVER_FLAGS", "TENANCY_FLAGS", "BadSettings", "Settings", "read_settings"]

_DEFAULT_ADDRESS = "127.0.0.1:8500"

CLIENT_FLAGS = (
    Flag(
        "http-addr",
        OPTIONAL_STRING,
        "`address` and port of the agent's HTTP interface, as HOST:PORT, with http:// or https:// before it, or "
        "unix:// and the path of a socket. Default http://127.0.0.1:8500, or what CONSUL_HTTP_ADDR says; "
        "CONSUL_HTTP_SSL=true makes HTTPS the default.",
    ),
    Flag(
        "token", OPTIONAL_STRING, "ACL token of the request, instead of CONSUL_HTTP_TOKEN. With neither, the agent's."
    ),
    Flag(
        "token-file",
        OPTIONAL_STRING,
        "File whose content is the ACL token. It counts before -token. Also set by CONSUL_HTTP_TOKEN_FILE.",
    ),
    Flag("ca-file", OPTIONAL_STRING, "PEM file of the authorities that TLS trusts. Also set by CONSUL_CACERT."),
    Flag("ca-path", OPTIONAL_STRING, "Folder of such files. Also set by CONSUL_CAPATH."),
    Flag(
        "client-cert",
        OPTIONAL_STRING,
        "PEM file of the certificate shown to an agent that has verify_incoming. Also set by CONSUL_CLIENT_CERT.",
    ),
    Flag("client-key", OPTIONAL_STRING, "PEM file of that certificate's key. Also set by CONSUL_CLIENT_KEY."),
    Flag(
        "tls-server-name",
        OPTIONAL_STRING,
        "Name to ask for and to expect in the agent's certificate. Also set by CONSUL_TLS_SERVER_NAME.",
    ),
)

SERVER_FLAGS = (
    Flag("datacenter", OPTIONAL_STRING, "Datacenter to ask, instead of the agent's own."),
    Flag(
        "stale",
        OPTIONAL_BOOL,
        "Let any server answer, not only the leader: sooner, and also while there is no leader, but perhaps with "
        "older data. Writes are not affected.",
    ),
)

PARTITION_FLAG = Flag(
    "partition",
    OPTIONAL_STRING,
    "Admin partition of the request, instead of the token's or the default one. Only Consul Enterprise has partitions.",
)
TENANCY_FLAGS = (
    Flag(
        "namespace",
        OPTIONAL_STRING,
        "Namespace of the request, instead of the token's or the default one. Only Consul Enterprise has namespaces.",
    ),
    PARTITION_FLAG,
)

#: What most commands take.
HTTP_FLAGS = CLIENT_FLAGS + SERVER_FLAGS + TENANCY_FLAGS


class BadSettings(ValueError):
    """The agent cannot be reached with these settings, whatever it is; the message is what the user sees."""


@dataclass(frozen=True)
class Settings:
    """
    Everything that a client must know.

    @ivar scheme: C{http} or C{https}.
    @ivar address: C{host:port} as it was given; the path of a socket where C{unix} is true.
    @ivar prefix: the path of a reverse proxy, put before every request's, beginning with a slash; or empty.
    @ivar auth: user and password for HTTP's basic authentication.
    @ivar server_name: expected in the agent's certificate; empty means the address's host.
    @ivar params: parameters of every request: dc, ns, partition.
    """

    address: str = _DEFAULT_ADDRESS
    scheme: str = "http"
    unix: bool = False
    prefix: str = ""
    token: str = ""
    auth: tuple[str, str] | None = None
    ca_file: str = ""
    ca_path: str = ""
    client_cert: str = ""
    client_key: str = ""
    server_name: str = ""
    verify: bool = True
    params: tuple[tuple[str, str], ...] = ()

    @property
    def host(self) -> str:
        """What requests call the agent."""
        return "localhost" if self.unix else self.address


def read_settings(parsed: Parsed, environment: Mapping[str, str], warn: Callable[[str], None]) -> Settings:
    """
    The settings of one command.

    @param parsed: of flags that may hold any of this module's.
    @param warn: told of environment variables that cannot be understood.
    @raise BadSettings: an unknown scheme, or a token file that cannot be read.
    """
    flags = parsed.values

    def choice(flag: str, variable: str) -> str:
        """A flag that was given counts even when it is empty; then the default follows, as in Consul."""
        given = flags.get(flag)
        return str(given) if given else environment.get(variable, "")

    scheme = "https" if _switch("CONSUL_HTTP_SSL", environment, False, warn) else "http"
    address = choice("http-addr", "CONSUL_HTTP_ADDR") or _DEFAULT_ADDRESS
    scheme, address, prefix, unix = _split_address(address, scheme)
    server_name = choice("tls-server-name", "CONSUL_TLS_SERVER_NAME")
    if server_name.rfind(":") > server_name.rfind("]"):
        server_name = server_name.rpartition(":")[0]
    params = {
        "dc": flags.get("datacenter") or "",
        "ns": choice("namespace", "CONSUL_NAMESPACE"),
        "partition": choice("partition", "CONSUL_PARTITION"),
    }
    user, _, password = environment.get("CONSUL_HTTP_AUTH", "").partition(":")
    return Settings(
        address=address,
        scheme=scheme,
        unix=unix,
        prefix=prefix,
        token=_token(flags, environment),
        auth=(user, password) if user or password else None,
        ca_file=choice("ca-file", "CONSUL_CACERT"),
        ca_path=choice("ca-path", "CONSUL_CAPATH"),
        client_cert=choice("client-cert", "CONSUL_CLIENT_CERT"),
        client_key=choice("client-key", "CONSUL_CLIENT_KEY"),
        server_name=server_name.strip("[]"),
        # Consul stops verifying when the word is none that it knows. A typing error must not do that.
        verify=_switch("CONSUL_HTTP_SSL_VERIFY", environment, True, warn),
        params=tuple((key, value) for key, value in params.items() if value),
    )


def _switch(variable: str, environment: Mapping[str, str], default: bool, warn: Callable[[str], None]) -> bool:
    text = environment.get(variable, "")
    if not text:
        return default
    try:
        return go_bool(text)
    except ValueError:
        reason = f"strconv.ParseBool: parsing {go_quoted(text)}: invalid syntax"
        warn(f"could not parse {variable}: error={go_quoted(reason)}")
        return default


def _split_address(address: str, scheme: str) -> tuple[str, str, str, bool]:
    """Scheme, address, path before every request's, and whether the address is a socket's path."""
    word, there, rest = address.partition("://")
    if not there:
        return scheme, address, "", False
    if word == "unix":
        return scheme, rest, "", True
    if word not in ("http", "https"):
        raise BadSettings(f"Unknown protocol scheme: {word}")
    host, slash, path = rest.partition("/")
    # http:// does not take back an HTTPS that the environment asks for
    return "https" if word == "https" else scheme, host, slash + path, False


def _token(flags: Mapping[str, object], environment: Mapping[str, str]) -> str:
    """In this order: -token-file, -token, CONSUL_HTTP_TOKEN_FILE, CONSUL_HTTP_TOKEN."""
    file_flag, flag = flags.get("token-file"), flags.get("token")
    variable_file, variable = environment.get("CONSUL_HTTP_TOKEN_FILE", ""), environment.get("CONSUL_HTTP_TOKEN", "")
    if file_flag:
        return _token_of_file(str(file_flag)) or str(flag or variable)
    if flag:
        return str(flag)
    if variable_file:
        return _token_of_file(variable_file) or variable
    return variable


def _token_of_file(name: str) -> str:
    try:
        with open(os.fsencode(name), "rb") as file:
            return file.read().strip().decode("utf-8", "surrogateescape")
    except OSError as error:
        raise BadSettings(f"Error loading token file {name} : {file_error(error, name)}") from None
