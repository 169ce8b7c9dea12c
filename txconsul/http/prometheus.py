"""
The agent's metrics as Prometheus reads them.

Source: Consul's documentation of C{/v1/agent/metrics}; Prometheus' documentation of its text format, version 0.0.4.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

__all__ = ["CONTENT_TYPE", "is_wanted", "render"]

CONTENT_TYPE = b"Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"

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


def render(document: dict[str, Any]) -> bytes:
    """What C{Agent.Metrics} tells, in the text format."""
    lines: list[str] = []
    for section, kind, value in (("Gauges", "gauge", "Value"), ("Counters", "counter", "Count")):
        rows: dict[str, list[dict[str, Any]]] = {}
        for one in document.get(section) or ():
            rows.setdefault(_NOT_IN_NAMES.sub("_", one["Name"]), []).append(one)
        for name, measured in sorted(rows.items()):
            lines += [f"# HELP {name} {name}", f"# TYPE {name} {kind}"]
            lines += [f"{name}{_labels(one['Labels'].items())} {one[value]}" for one in measured]
    return "".join(line + "\n" for line in lines).encode()


def _labels(labels: Iterable[tuple[str, str]]) -> str:
    shown = [f'{_NOT_IN_NAMES.sub("_", name)}="{_escape(value)}"' for name, value in sorted(labels)]
    return "{" + ",".join(shown) + "}" if shown else ""


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
