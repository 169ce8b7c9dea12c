"""C{txconsul operator usage instances}."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from txconsul.cli.api import ApiError
from txconsul.cli.call import Call, Failed, command
from txconsul.cli.catalog import no_arguments
from txconsul.cli.settings import CLIENT_FLAGS, SERVER_FLAGS
from txconsul.cli.tabwriter import align
from txconsul.language.goflags import BOOL, Flag

__all__ = ["FLAGS", "HELP", "run"]

HELP = """
Usage: txconsul operator usage instances [options]

  Counts the services of a datacenter, their instances, and its nodes.

      $ txconsul operator usage instances
      $ txconsul operator usage instances -connect
"""

FLAGS = (
    Flag("billable", BOOL, "Only services that are neither Consul's own nor proxies or gateways."),
    Flag("connect", BOOL, "Only what takes part in the mesh."),
    Flag("all-datacenters", BOOL, "In all datacenters."),
    *CLIENT_FLAGS,
    *SERVER_FLAGS,
)

#: Datacenter -> its counts, as the API gives them.
_Usage = Mapping[str, Mapping[str, Any]]


@command(FLAGS)
def run(call: Call) -> None:
    """Count."""
    no_arguments(call)
    billable, connect, everywhere = (call.flags[name] for name in ("billable", "connect", "all-datacenters"))
    if billable and connect:
        raise Failed("Cannot specify both -billable and -connect flags")
    client = call.client()
    try:
        answer = client.call("GET", "/v1/operator/usage", {"global": ""} if everywhere else {}).fields()
    except ApiError as error:
        raise Failed(f"Error fetching usage information: {error}") from None
    usage: _Usage = dict(sorted((answer.get("Usage") or {}).items()))
    if not connect:
        call.say(f"Billable Service Instances Total: {_total(usage, 'BillableServiceInstances')}")
        for name, counts in usage.items():
            call.say(f"{name} Billable Service Instances: {counts.get('BillableServiceInstances', 0)}")
        call.say("\nBillable Services")
        call.say(_set(_billable(usage, everywhere)) + b"\n")
        call.say("\nNodes")
        call.say(_set(_nodes(usage)) + b"\n\n")
    if not billable:
        call.say("Connect Services")
        call.say(_set(_connect(usage, everywhere)))


def _total(usage: _Usage, name: str) -> int:
    return sum(counts.get(name, 0) for counts in usage.values())


def _set(lines: list[str]) -> bytes:
    return align("\n".join(lines).encode()).strip()


def _nodes(usage: _Usage) -> list[str]:
    rows = [f"{name}\t{counts.get('Nodes', 0)}" for name, counts in usage.items()]
    return ["Datacenter\tCount\t\t", *rows, "\t", f"Total\t{_total(usage, 'Nodes')}"]


def _billable(usage: _Usage, everywhere: bool) -> list[str]:
    rows = [
        (f"{name}\t" if everywhere else "")
        + f"{counts.get('Services', 0)}\t{counts.get('BillableServiceInstances', 0)}"
        for name, counts in usage.items()
    ]
    if not everywhere:
        return ["Services\tService instances", *rows]
    sums = f"Total\t{_total(usage, 'Services')}\t{_total(usage, 'BillableServiceInstances')}"
    return ["Datacenter\tServices\tService instances", *rows, "\t\t", sums]


def _connect(usage: _Usage, everywhere: bool) -> list[str]:
    found = [
        (name, kind, count)
        for name, counts in usage.items()
        for kind, count in sorted((counts.get("ConnectServiceInstances") or {}).items())
    ]
    rows = [(f"{name}\t" if everywhere else "") + f"{kind}\t{count}" for name, kind, count in found]
    if not everywhere:
        return ["Type\tService instances", *rows]
    return [
        "Datacenter\tType\tService instances",
        *rows,
        "\t\t",
        f"Total\t\t{sum(count for _, _, count in found)}",
    ]
