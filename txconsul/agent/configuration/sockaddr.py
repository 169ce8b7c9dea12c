"""
Address templates: C{{{ GetPrivateIP }}} and a subset of what go-sockaddr offers.

A template is text with parts in double braces. Each part is a source, followed by filters after bars. Sources are
C{GetPrivateIP}, C{GetPrivateIPs}, C{GetPublicIP}, C{GetPublicIPs}, C{GetInterfaceIP "NAME"},
C{GetInterfaceIPs "NAME"}, C{GetAllInterfaces}, C{GetDefaultInterfaces}, C{GetPrivateInterfaces} and
C{GetPublicInterfaces}. Filters are C{include} and C{exclude} (by name, type, flag, flags, network, rfc "6890",
address, size), C{sort}, C{unique}, C{limit}, C{offset}, C{attr} and C{join}. Anything else is refused by name.

Source: the documentation of go-sockaddr's template package.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Sequence
from typing import Any

from txconsul.agent.configuration.interfaces import Interface, is_private

__all__ = ["BadTemplate", "expand"]


class BadTemplate(ValueError):
    """The template cannot be read, or asks for more than the subset."""


_PART = re.compile(r"\{\{-?(.*?)-?\}\}", re.DOTALL)
_WORD = re.compile(r'\s*(?:([A-Za-z]+)|"((?:[^"\\]|\\.)*)"|`([^`]*)`|(-?[0-9]+)|(\|))')


def expand(text: str, interfaces: Callable[[], Sequence[Interface]]) -> str:
    """
    A text with its templates filled in.

    @param interfaces: called only if there is a template.
    @raise BadTemplate: the message says what is not understood.
    """
    if "{{" not in text:
        return text
    read = list(interfaces())
    expanded = _PART.sub(lambda found: _evaluate(found[1], read), text)
    if "{{" in expanded or "}}" in expanded:
        raise BadTemplate("unclosed action")
    return expanded


def _evaluate(expression: str, interfaces: list[Interface]) -> str:
    stages = _stages(expression)
    value = _source(stages[0], interfaces)
    for stage in stages[1:]:
        value = _filter(stage, value)
    if isinstance(value, list):
        raise BadTemplate(f'"{expression.strip()}" gives interfaces, not a text; end it with | attr "address"')
    return str(value)


def _stages(expression: str) -> list[list[Any]]:
    stages: list[list[Any]] = [[]]
    at = 0
    expression = expression.rstrip()
    while at < len(expression):
        match = _WORD.match(expression, at)
        if match is None:
            raise BadTemplate(f"unexpected {expression[at:].strip()[:1]!r} in template")
        name, double, raw, number, bar = match.groups()
        if bar:
            stages.append([])
        elif number is not None:
            stages[-1].append(int(number))
        else:
            stages[-1].append(name or raw or re.sub(r"\\(.)", r"\1", double or ""))
        at = match.end()
    if not all(stages):
        raise BadTemplate("missing value for command")
    return stages


def _source(stage: list[Any], interfaces: list[Interface]) -> Any:
    name, *arguments = stage
    if name in ("GetInterfaceIP", "GetInterfaceIPs"):
        wanted = _arguments(name, arguments, 1)[0]
        ours = _sorted([one for one in interfaces if _matches(str(wanted), one.name)], "type,size")
        return _addresses(ours, one=name == "GetInterfaceIP")
    sources: dict[str, Callable[[], list[Interface]]] = {
        "GetAllInterfaces": lambda: interfaces,
        "GetDefaultInterfaces": lambda: [one for one in interfaces if one.default],
        "GetPrivateInterfaces": lambda: _usable(interfaces, private=True),
        "GetPublicInterfaces": lambda: _usable(interfaces, private=False),
    }
    if name in sources:
        _arguments(name, arguments, 0)
        return sources[name]()
    if name in ("GetPrivateIP", "GetPrivateIPs", "GetPublicIP", "GetPublicIPs"):
        _arguments(name, arguments, 0)
        return _addresses(_usable(interfaces, private="Private" in name), one=name.endswith("IP"))
    raise BadTemplate(f'function "{name}" not defined')


def _usable(interfaces: list[Interface], private: bool) -> list[Interface]:
    """Interfaces that lead elsewhere, with a private or a public address; the default route's first."""
    found = [one for one in interfaces if one.up and not one.loopback and not one.address.is_link_local]
    return _sorted([one for one in found if is_private(one.address) == private], "default,type,size")


def _addresses(interfaces: list[Interface], one: bool) -> str:
    found = [str(interface.address.ip) for interface in interfaces]
    return found[0] if one and found else " ".join([] if one else found)


def _filter(stage: list[Any], value: Any) -> Any:
    name, *arguments = stage
    if name not in ("include", "exclude", "sort", "unique", "limit", "offset", "attr", "join"):
        raise BadTemplate(f'function "{name}" not defined')
    if not isinstance(value, list):
        raise BadTemplate(f"{name} needs interfaces, and was given a text")
    if name in ("include", "exclude"):
        by, wanted = map(str, _arguments(name, arguments, 2))
        return [one for one in value if _selected(one, by, wanted) == (name == "include")]
    if name == "join":
        attribute, separator = map(str, _arguments(name, arguments, 2))
        return separator.join(_attribute(one, attribute) for one in value)
    argument = _arguments(name, arguments, 1)[0]
    if name == "sort":
        return _sorted(value, str(argument))
    if name == "attr":
        return _attribute(value[0], str(argument)) if value else ""
    if name == "unique":
        seen: dict[str, Interface] = {}
        for one in value:
            seen.setdefault(_attribute(one, str(argument)), one)
        return list(seen.values())
    if not isinstance(argument, int) or argument < 0:
        raise BadTemplate(f"{name} needs a number from 0 on")
    return value[:argument] if name == "limit" else value[argument:]


def _arguments(name: str, arguments: list[Any], number: int) -> list[Any]:
    if len(arguments) != number:
        raise BadTemplate(f"wrong number of args for {name}: want {number} got {len(arguments)}")
    return arguments


def _matches(pattern: str, text: str) -> bool:
    try:
        return re.search(pattern, text) is not None
    except re.error:
        raise BadTemplate(f"unable to compile regexp {pattern!r}") from None


def _selected(one: Interface, by: str, wanted: str) -> bool:
    if by == "name":
        return _matches(wanted, one.name)
    if by == "address":
        return _matches(wanted, str(one.address.ip))
    if by == "type":
        types = {"ip": (4, 6), "ipv4": (4,), "ipv6": (6,)}
        return one.address.version in types.get(wanted.lower(), ())
    if by in ("flag", "flags"):
        return all(_has_flag(one, flag) for flag in re.split(r"[|,\s]+", wanted.strip()))
    if by == "network":
        return any(_within(one, network) for network in wanted.split("|"))
    if by == "size":
        return one.address.network.prefixlen == int(wanted.lstrip("/")) if wanted.lstrip("/").isdigit() else False
    if by == "rfc" and wanted == "6890":
        return is_private(one.address)
    raise BadTemplate(f'cannot select interfaces by {by} "{wanted}"')


def _within(one: Interface, network: str) -> bool:
    try:
        wanted = ipaddress.ip_network(network.strip(), strict=False)
    except ValueError:
        raise BadTemplate(f"unable to parse network {network!r}") from None
    return wanted.version == one.address.version and one.address.ip in wanted


def _has_flag(one: Interface, flag: str) -> bool:
    flags = {
        "up": one.up,
        "loopback": one.loopback,
        "forwardable": not one.loopback and not one.address.is_link_local,
        "link-local unicast": one.address.is_link_local,
        "global unicast": not one.loopback and not one.address.is_link_local,
    }
    if flag not in flags:
        raise BadTemplate(f"unknown interface flag {flag!r}")
    return flags[flag]


def _sorted(interfaces: list[Interface], by: str) -> list[Interface]:
    orders: dict[str, Callable[[Interface], Any]] = {
        "default": lambda one: not one.default,
        "type": lambda one: one.address.version,
        "size": lambda one: one.address.network.num_addresses,
        "name": lambda one: one.name,
        "address": lambda one: (one.address.version, one.address.ip),
        "private": lambda one: not is_private(one.address),
    }
    # Sorting is stable: the last key first.
    for key in reversed(by.split(",")):
        order = orders.get(key.strip().lstrip("+-"))
        if order is None:
            raise BadTemplate(f"cannot sort interfaces by {key.strip()!r}")
        interfaces = sorted(interfaces, key=order, reverse=key.strip().startswith("-"))
    return interfaces


def _attribute(one: Interface, name: str) -> str:
    values = {
        "address": str(one.address.ip),
        "name": one.name,
        "network": str(one.address.network),
        "type": f"IPv{one.address.version}",
        "size": str(one.address.network.num_addresses),
        "mask_bits": str(one.address.network.prefixlen),
        "host": str(one.address.ip),
        "string": str(one.address),
    }
    if name not in values:
        raise BadTemplate(f"unsupported attribute name {name!r}")
    return values[name]
