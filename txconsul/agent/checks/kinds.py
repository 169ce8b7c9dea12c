"""
The kinds of checks that are run again and again: which one a definition means, and what runs it.

Source: Consul's documentation of health checks. Where a definition names several kinds, one is shown and another may be
run, by two orders; both are Consul's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from txconsul.agent.checks import http2
from txconsul.agent.checks.dialing import CheckTLS, Secure
from txconsul.agent.checks.docker import DEFAULT_HOST, Daemon, DockerCheck, daemon_of
from txconsul.agent.checks.grpc import GRPCCheck
from txconsul.agent.checks.h2ping import H2PingCheck
from txconsul.agent.checks.http import HTTPCheck
from txconsul.agent.checks.http2 import ALPN
from txconsul.agent.checks.plugins import installed
from txconsul.agent.checks.programs import Start
from txconsul.agent.checks.script import ScriptCheck
from txconsul.agent.checks.tcp import TCPCheck
from txconsul.agent.checks.udp import UDPCheck
from txconsul.codec.duration import SECOND
from txconsul.errors import BadRequest, InvalidRequest, TxconsulError
from txconsul.interfaces import ICheck, ICheckKind, INetwork
from txconsul.records.service import CheckType

__all__ = ["Making", "NotRun", "Surroundings", "kind_of", "make", "runs_as", "runs_programs", "vet"]

#: Seconds that one run may take, where the definition does not say; of programs, and of all else.
PROGRAM_SECONDS = 30.0
TIMEOUT_SECONDS = 10.0

_SHOWN = ("grpc", "http", "ttl", "tcp", "udp", "alias", "docker", "script", "h2ping", "os_service", "plugin")
_RUN = ("ttl", "http", "tcp", "udp", "grpc", "docker", "os_service", "script", "h2ping", "alias", "plugin")


def _named(definition: CheckType) -> dict[str, bool]:
    """Which kinds a definition names."""
    repeated = definition.interval > 0
    program = bool(definition.script_args) and repeated
    return {
        "alias": bool(definition.alias_node or definition.alias_service),
        "docker": program and bool(definition.docker_container_id),
        "grpc": repeated and bool(definition.grpc),
        "h2ping": repeated and bool(definition.h2_ping),
        "http": repeated and bool(definition.http),
        "os_service": repeated and bool(definition.os_service),
        "plugin": repeated and bool(definition.plugin),
        "script": program and not definition.docker_container_id,
        "tcp": repeated and bool(definition.tcp),
        "ttl": definition.ttl > 0,
        "udp": repeated and bool(definition.udp),
    }


class NotRun(TxconsulError):
    """There is nothing here that runs this kind of check."""

    status = 501


def kind_of(definition: CheckType) -> str:
    """What kind of check this is said to be, a plugin by its own name; empty for none."""
    named = _named(definition)
    kind = next((kind for kind in _SHOWN if named[kind]), "")
    return definition.plugin if kind == "plugin" else kind


def runs_as(definition: CheckType) -> str:
    """As what kind of check this is run; empty for none."""
    named = _named(definition)
    return next((kind for kind in _RUN if named[kind]), "")


class Surroundings(NamedTuple):
    """
    What checks reach.

    @ivar tls: the TLS by which they call.
    @ivar start: starts programs.
    @ivar environment: variables, as this process has them.
    @ivar plugin: finds a kind that is none of Consul's by its name.
    """

    network: INetwork
    tls: CheckTLS
    start: Start
    environment: Mapping[str, str]
    plugin: Callable[[str], ICheckKind | None] = installed


class Making(NamedTuple):
    """
    What a check is made of.

    @ivar timeout: seconds that one run may take.
    @ivar output_size_max: bytes of output that are kept.
    """

    definition: CheckType
    surroundings: Surroundings
    timeout: float
    output_size_max: int

    def secure(self, *protocols: bytes) -> Secure:
        """How such a check speaks TLS, if it does."""
        it = self.definition
        return Secure(self.surroundings.tls, it.tls_server_name, not it.tls_skip_verify, protocols)


def _http(it: Making) -> ICheck:
    what = it.definition
    return HTTPCheck(
        it.surroundings.network,
        what.proxy_http or what.http,
        method=what.method,
        headers=what.header,
        body=what.body,
        timeout=it.timeout,
        output_size_max=it.output_size_max,
        redirects=not what.disable_redirects,
        secure=it.secure(),
        environment=it.surroundings.environment,
    )


def _tcp(it: Making) -> ICheck:
    what = it.definition
    return TCPCheck(it.surroundings.network, what.tcp, it.timeout, it.secure() if what.tcp_use_tls else None)


def _udp(it: Making) -> ICheck:
    return UDPCheck(it.surroundings.network, it.definition.udp, it.timeout)


def _script(it: Making) -> ICheck:
    arguments = it.definition.script_args or ()
    clock = it.surroundings.network.clock
    return ScriptCheck(it.surroundings.start, clock, arguments, it.timeout, it.output_size_max)


def _grpc(it: Making) -> ICheck:
    what = it.definition
    return GRPCCheck(
        it.surroundings.network,
        what.proxy_grpc or what.grpc,
        it.timeout,
        it.secure(ALPN) if what.grpc_use_tls else None,
    )


def _h2ping(it: Making) -> ICheck:
    what = it.definition
    secure = it.secure(ALPN) if what.h2_ping_use_tls else None
    return H2PingCheck(it.surroundings.network, what.h2_ping, it.timeout, secure)


def _docker(it: Making) -> ICheck:
    what, daemon = it.definition, _daemon(it.surroundings)
    arguments = what.script_args or ()
    network = it.surroundings.network
    return DockerCheck(network, daemon, what.docker_container_id, arguments, it.timeout, it.output_size_max)


def _plugin(it: Making) -> ICheck:
    kind = it.surroundings.plugin(it.definition.plugin)
    if kind is None:
        raise NotRun(f"no plugin for checks of the kind {it.definition.plugin!r} is installed")
    try:
        check: ICheck = kind.check(dict(it.definition.plugin_options or {}), it.timeout, it.surroundings.network)
    except ValueError as error:
        raise BadRequest(f"Invalid check: {it.definition.plugin}: {error}") from error
    return check


def runs_programs(definition: CheckType, surroundings: Surroundings) -> bool:
    """Whether a check can run programs here, so that not everybody may register it."""
    if definition.script_args or runs_as(definition) != "plugin":
        return bool(definition.script_args)
    kind = surroundings.plugin(definition.plugin)
    return kind is not None and bool(kind.runs_programs)


def _daemon(surroundings: Surroundings) -> Daemon:
    return daemon_of(surroundings.environment.get("DOCKER_HOST") or DEFAULT_HOST)


_MAKERS: dict[str, Callable[[Making], ICheck]] = {
    "docker": _docker,
    "grpc": _grpc,
    "h2ping": _h2ping,
    "http": _http,
    "plugin": _plugin,
    "script": _script,
    "tcp": _tcp,
    "udp": _udp,
}


def vet(definition: CheckType, surroundings: Surroundings) -> None:
    """
    See whether such a check can be run here.

    @raise TxconsulError: it cannot; the text says why.
    """
    kind = runs_as(definition)
    if not kind:
        raise InvalidRequest("Check type is not valid")
    if kind == "os_service":
        raise InvalidRequest("not implemented")  # Consul's answer, on every system but Windows
    if kind in ("grpc", "h2ping") and not http2.AVAILABLE:
        raise NotRun(f"{kind} checks need the Python package h2, which is not installed: pip install 'txconsul[grpc]'")
    if kind == "docker":
        _daemon(surroundings)
    if kind == "plugin":
        make(definition, surroundings, 0)


def make(definition: CheckType, surroundings: Surroundings, output_size_max: int) -> ICheck:
    """
    What runs a check of a repeated kind, which was vetted.

    @raise TxconsulError: nothing here does.
    """
    kind = runs_as(definition)
    seconds = PROGRAM_SECONDS if kind in ("script", "docker") else TIMEOUT_SECONDS
    timeout = definition.timeout / SECOND if definition.timeout > 0 else seconds
    return _MAKERS[kind](Making(definition, surroundings, timeout, output_size_max))
