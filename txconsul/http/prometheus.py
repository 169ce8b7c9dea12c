"""
The agent's metrics as Prometheus reads them.

Source: Consul's documentation of C{/v1/agent/metrics}; Prometheus' documentation of its text format, version 0.0.4.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from txconsul.metrics.instruments import QUANTILES
from txconsul.metrics.metrics import Exposed

__all__ = ["CONTENT_TYPE", "is_wanted", "render"]

CONTENT_TYPE = b"Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"

#: What may be a line before a counter.
_TOTAL = re.compile(rb"^(# (?:HELP|TYPE) )(\S+)_total ", re.MULTILINE)
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_:]")


def is_wanted(form: str, accept: str) -> bool:
    """
    Is it Prometheus who asks?

    @param form: the value of C{?format}.
    @param accept: the Accept header.
    """
    if form == "prometheus":
        return True
    for kind in accept.split(","):
        name, *parameters = [part.strip(" ") for part in kind.split(";")]
        if name.lower() == "application/openmetrics-text":
            return True
        if name.lower() == "text/plain" and parameters[:1] == ["version=0.4.0"]:  # as Consul spells it
            return True
    return False


def render(exposed: Iterable[Exposed]) -> bytes:
    """
    What C{Agent.ExposedMetrics} tells, in the text format.

    The library names counters C{x_total}; dashboards for Consul know them as C{x}, so that the lines that announce
    them are set right afterwards.
    """
    # Only who scrapes needs it, and it takes a while to load.
    from prometheus_client.exposition import generate_latest
    from prometheus_client.metrics_core import Metric
    from prometheus_client.utils import floatToGoString

    families: dict[str, Metric] = {}
    for one in exposed:
        name = _NOT_IN_NAMES.sub("_", one.name)
        labels = {_NOT_IN_NAMES.sub("_", label): value for label, value in one.labels}
        family = families.get(name)
        if family is None:
            family = families[name] = Metric(name, one.help or name, one.kind)
        if family.type != one.kind:
            continue  # a gauge and a counter whose names differ in signs only
        if one.kind != "summary":
            family.add_sample(name, labels, one.value)
            continue
        for share, value in zip(QUANTILES, one.quantiles, strict=True):
            family.add_sample(name, labels | {"quantile": floatToGoString(share)}, value)
        family.add_sample(f"{name}_sum", labels, one.value)
        family.add_sample(f"{name}_count", labels, one.count)
    text: bytes = generate_latest(_Collected(families))  # type: ignore[arg-type]  # all it does is collect
    counters = {name.encode() for name, family in families.items() if family.type == "counter"}

    def announced(line: re.Match[bytes]) -> bytes:
        return line[1] + line[2] + b" " if line[2] in counters else line[0]

    return _TOTAL.sub(announced, text)


class _Collected:
    """What the library writes: the families, by their names."""

    def __init__(self, families: dict[str, Any]) -> None:
        self._families = families

    def collect(self) -> Iterable[Any]:
        """All of them."""
        return [family for _, family in sorted(self._families.items())]
