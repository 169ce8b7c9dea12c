"""
The network of Twisted's endpoints: whatever an endpoint string can say, TLS included.
"""

from __future__ import annotations

import re
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import clientFromString, serverFromString
from zope.interface import implementer

from txconsul.interfaces import INetwork

__all__ = ["ReactorNetwork", "parse_description"]


def parse_description(description: str) -> tuple[str, list[str], dict[str, str]]:
    r"""
    Take an endpoint string apart: kind, positional arguments, named arguments. C{\:} and C{\=} stand for themselves.

    >>> parse_description(r"tcp:8500:interface=\:\:1")
    ('tcp', ['8500'], {'interface': '::1'})
    """
    positional: list[str] = []
    named: dict[str, str] = {}
    kind, *rest = re.findall(r"(?:^|:)((?:[^:\\]|\\.)*)", description)
    for part in rest:
        match = re.fullmatch(r"([a-zA-Z]+)=(.*)", part, re.DOTALL)
        if match:
            named[match[1]] = re.sub(r"\\(.)", r"\1", match[2])
        else:
            positional.append(re.sub(r"\\(.)", r"\1", part))
    return kind, positional, named


@implementer(INetwork)
class ReactorNetwork:
    """
    An L{INetwork} over Twisted's endpoints.

    @param reactor: given to the endpoints; its C{seconds()} is monotonic.
    """

    def __init__(self, reactor: Any) -> None:
        self.clock = reactor

    def listen(self, description: str, factory: Any) -> Deferred[Any]:
        """See L{INetwork}."""
        return maybeDeferred(self._listen, description, factory)

    def connect(self, description: str, factory: Any) -> Deferred[Any]:
        """See L{INetwork}."""
        return maybeDeferred(self._connect, description, factory)

    def _listen(self, description: str, factory: Any) -> Deferred[Any]:
        listening: Deferred[Any] = serverFromString(self.clock, description).listen(factory)  # type: ignore[no-untyped-call]
        return listening

    def _connect(self, description: str, factory: Any) -> Deferred[Any]:
        connected: Deferred[Any] = clientFromString(self.clock, description).connect(factory)  # type: ignore[no-untyped-call]
        return connected
