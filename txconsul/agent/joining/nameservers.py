"""
Names asked over TCP first.

An answer over TCP holds all addresses, where one over UDP may be cut, or hold as few as the server likes; Consul's own
gives three. Joining is rare enough to ask twice.

Source: memberlist, whose C{Join} does this.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from random import SystemRandom

from txconsul.dns.message import AAAA, ANY, A, BadName, Malformed, Message, Question, decode, encode, make_name
from txconsul.dns.recursor import Recursor
from txconsul.dns.settings import DNSSettings
from txconsul.interfaces import INetwork

__all__ = ["Nameserver", "ask", "first_nameserver", "system_nameserver"]

RESOLV_CONF = "/etc/resolv.conf"
PORT = 53

#: An address and a port.
Nameserver = tuple[str, int]


def first_nameserver(text: str) -> Nameserver | None:
    """
    The first server that a resolver's configuration names (resolv.conf(5)).

    >>> first_nameserver("search example.com\\nnameserver 10.0.0.2\\nnameserver 10.0.0.3\\n")
    ('10.0.0.2', 53)
    """
    for line in text.splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver":
            return words[1], PORT
    return None


def system_nameserver(path: str = RESOLV_CONF) -> Nameserver | None:
    """The first server of this machine's resolver, as it is now; None where nothing is said of one."""
    try:
        return first_nameserver(Path(path).read_text(errors="replace"))
    except OSError:
        return None


async def ask(network: INetwork, name: str, nameserver: Nameserver) -> list[str]:
    """
    All addresses of a fully qualified name, each once. None where there is no answer, or no such name.

    @param name: with or without a dot at its end. A name without any dot in it is not asked: what it stands for is the
        resolver's to know.
    """
    if "." not in name:
        return []
    try:
        question = Question(make_name(name), ANY)
        packet = encode(Message(recursion_desired=True, questions=[question]))
        settings = DNSSettings(datacenter="", recursors=(nameserver,))
        answer = await Recursor(network, settings, SystemRandom()).forward(packet, question, False)
        records = [] if answer is None else decode(answer).answer
    except (BadName, Malformed):
        return []
    addresses: dict[str, None] = {}
    for record in records:
        data = record.data[0] if record.data else b""
        if record.type == A and isinstance(data, bytes) and len(data) == 4:
            addresses[str(IPv4Address(data))] = None
        elif record.type == AAAA and isinstance(data, bytes) and len(data) == 16:
            addresses[str(IPv6Address(data))] = None
    return list(addresses)
