"""
From what users write to addresses, and from addresses to members.

Only addresses and names are understood here: what runs programs or asks providers (L{txconsul.agent.joining.discovery})
is for the configuration alone, since this is what anybody may ask of an agent over HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import DNSLookupError
from twisted.logger import Logger

from txconsul.agent.joining.addresses import BadAddress, address_of, parse, shown
from txconsul.agent.joining.nameservers import Nameserver, ask
from txconsul.errors import TxconsulError, Unavailable, several
from txconsul.interfaces import INetwork

__all__ = ["CannotJoin", "CannotResolve", "join_all", "resolve"]

_log = Logger("txconsul.agent.joining")


class CannotResolve(Unavailable):
    """Nothing is known of this host."""


class CannotJoin(TxconsulError):
    """Nobody could be joined. The text lists why, one line for each address."""


def resolve(
    network: INetwork, text: str, default_port: int, *, nameserver: Nameserver | None = None
) -> Deferred[list[tuple[str, int]]]:
    """
    Where the agents are that somebody speaks of.

    @param text: see L{parse}.
    @param default_port: where it names none.
    @param nameserver: who is asked over TCP before the resolver is; nobody if None.
    @return: fires with IP addresses and ports, at least one; fails with L{BadAddress} or L{CannotResolve}.
    """
    return Deferred.fromCoroutine(_resolve(network, text, default_port, nameserver))


async def _resolve(
    network: INetwork, text: str, default_port: int, nameserver: Nameserver | None
) -> list[tuple[str, int]]:
    _, host, port = parse(text, default_port)
    address = address_of(host)
    if address is not None:
        return [(address, port)]
    found = [] if nameserver is None else await ask(network, host, nameserver)
    if not found:
        try:
            found = await network.resolve_all(host)
        except DNSLookupError:
            raise CannotResolve(f"lookup {host}: no such host") from None
    return [(each, port) for each in found]


def join_all(
    network: INetwork,
    texts: Sequence[str],
    default_port: int,
    join: Callable[[str, int], Deferred[Any]],
    *,
    nameserver: Nameserver | None = None,
) -> Deferred[int]:
    """
    Join by all who are spoken of, one after the other: what each of them knows is then known here.

    @param texts: see L{parse}.
    @param join: joins by the agent at an IP address and a port; what it fails with says why not.
    @return: fires with the number of those who were joined; fails with L{CannotJoin} where nobody was.
    """
    return Deferred.fromCoroutine(_join_all(network, texts, default_port, join, nameserver))


async def _join_all(
    network: INetwork,
    texts: Sequence[str],
    default_port: int,
    join: Callable[[str, int], Deferred[Any]],
    nameserver: Nameserver | None,
) -> int:
    joined = 0
    problems: list[str] = []
    for text in texts:
        try:
            places = await resolve(network, text, default_port, nameserver=nameserver)
        except (BadAddress, CannotResolve) as error:
            problems.append(f"Failed to resolve {text}: {error}")
            _log.warn("{problem}", problem=problems[-1])
            continue
        for host, port in places:
            try:
                await join(host, port)
            except Exception as error:  # of whatever kind: the others may be there
                problems.append(f"Failed to join {shown(host, port)}: {error}")
                _log.debug("{problem}", problem=problems[-1])
            else:
                joined += 1
    if not joined and problems:
        raise CannotJoin(several(problems))
    return joined
