"""
Addresses of services as a user gives them: what is surely none is refused before an agent is asked.

A name is taken as it is. What looks like an IP address must be one: C{10.0.0.1.7} and C{1..2} are typing errors.
"""

from __future__ import annotations

import ipaddress

from txconsul.language.goflags import quoted

__all__ = ["check_address", "host_and_port", "split_host_port"]


def split_host_port(text: str) -> tuple[str, str]:
    """
    C{HOST:PORT} or C{[HOST]:PORT} taken apart, as Go's net.SplitHostPort does.

    @raise ValueError: it is neither; the message is Go's.
    """
    colon = text.rfind(":")
    problem, host = "", text[:colon]
    if colon < 0:
        problem = "missing port in address"
    elif text[0] == "[":
        end = text.find("]")
        host = text[1:end]
        if end < 0:
            problem = "missing ']' in address"
        elif end + 1 != colon:
            problem = "too many colons in address" if text[end + 1 : end + 2] == ":" else "missing port in address"
    elif ":" in host:
        problem = "too many colons in address"
    if not problem:
        for bracket in "[]":
            if bracket in host or bracket in text[colon:]:
                problem = f"unexpected '{bracket}' in address"
                break
    if problem:
        raise ValueError(f"address {text}: {problem}")
    return host, text[colon + 1 :]


def host_and_port(text: str) -> tuple[str, int]:
    """
    Likewise, with the port as a number.

    @raise ValueError: it is none.
    """
    host, port = split_host_port(text)
    try:
        if "_" in port or port.strip() != port:
            raise ValueError
        return host, int(port)
    except ValueError:
        raise ValueError(f"strconv.Atoi: parsing {quoted(port)}: invalid syntax") from None


def check_address(address: str, *, port_allowed: bool = False) -> None:
    """
    See that an address can be one. An empty one is: the node's stands for it.

    @raise ValueError: it cannot; the message says why.
    """
    if not address:
        return
    try:
        host, port = split_host_port(address)
    except ValueError:
        host, port = address, ""
    if not _is_ip(host):
        if _looks_like_ip(host):
            raise ValueError(f"malformed IP address: {host}")
        if not host.strip():
            raise ValueError("address cannot be empty")
    if port and not port_allowed:
        raise ValueError("address should not contain port")


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def _looks_like_ip(text: str) -> bool:
    if ".." in text or ":::" in text or text.count("::") > 1 or text.count(":") > 7:
        return True
    parts = text.split(".")
    return len(parts) > 4 and sum(part.isascii() and part.isdigit() for part in parts) > 2
