"""
How long questions took, by their type.

Source: Consul's "Agent telemetry reference": C{dns.domain_query}, C{dns.ptr_query} and C{dns.query}.
"""

from __future__ import annotations

from collections.abc import Callable

from txconsul.metrics.instruments import OTHER, Sample
from txconsul.metrics.metrics import Metrics

__all__ = ["QuestionTimes"]

_TYPES = {
    1: "A",
    2: "NS",
    5: "CNAME",
    6: "SOA",
    12: "PTR",
    15: "MX",
    16: "TXT",
    28: "AAAA",
    33: "SRV",
    35: "NAPTR",
    65: "HTTPS",
    255: "ANY",
}
#: Of a message before its first question (RFC 1035 4.1.1).
_HEADER_BYTES = 12
_PTR = b"\x00\x0c"


class QuestionTimes:
    """Measures questions by the type that stands in them; the rest of a message is not looked at."""

    def __init__(self, metrics: Metrics, node: str, seconds: Callable[[], float]) -> None:
        """
        @param node: the node's name, which every measure has as a label.
        @param seconds: monotonic.
        """
        self.seconds = seconds
        self._by_type = {
            code.to_bytes(2, "big"): metrics.sample("dns.query", node=node, type=name) for code, name in _TYPES.items()
        }
        self._other = metrics.sample("dns.query", node=node, type=OTHER)
        reverse = self._by_type[_PTR]
        forward = [one for one in (*self._by_type.values(), self._other) if one is not reverse]
        metrics.together("dns.domain_query", forward, node=node)
        metrics.together("dns.ptr_query", [reverse], node=node)

    def taken(self, packet: bytes, began: float) -> None:
        """
        A question is answered.

        @param packet: as it came.
        @param began: when.
        """
        end = packet.find(0, _HEADER_BYTES)
        sample: Sample = self._by_type.get(packet[end + 1 : end + 3], self._other)
        sample.add((self.seconds() - began) * 1000)
