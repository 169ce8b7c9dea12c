"""C{txconsul catalog services}."""

from __future__ import annotations

from txconsul.cli.api import ApiError, Client, Params
from txconsul.cli.call import Call, Failed, command
from txconsul.cli.catalog import no_arguments, node_meta
from txconsul.cli.gotext import to_bytes
from txconsul.cli.settings import HTTP_FLAGS
from txconsul.cli.tabwriter import align
from txconsul.language.goflags import BOOL, KEY_VALUES, STRING, Flag

__all__ = ["FLAGS", "HELP", "run"]

HELP = """
Usage: txconsul catalog services [options]

  Lists the services of a datacenter, by default the agent's own.

      $ txconsul catalog services

  With the tags of their instances:

      $ txconsul catalog services -tags

  Only those on one node, or on nodes with some metadata:

      $ txconsul catalog services -node=n1
      $ txconsul catalog services -node-meta=rack=r2
"""

FLAGS = (
    Flag("node", STRING, "Only services of the node with this `id or name`."),
    Flag("node-meta", KEY_VALUES, "Only services of nodes with this metadata, `key=value`. May be repeated."),
    Flag("tags", BOOL, "Show the tags beside each service, separated by commas."),
    *HTTP_FLAGS,
)


@command(FLAGS)
def run(call: Call) -> None:
    """List services, and their tags if asked."""
    no_arguments(call)
    client, params, node = call.client(), node_meta(call), call.flags["node"]
    try:
        services = _of_node(client, node, params) if node else _all(client, params)
    except ApiError as error:
        raise Failed(f"Error listing services{' for node' if node else ''}: {error}") from None
    if not services:
        call.complain("No services match the given query - try expanding your search.")
        return
    if not call.flags["tags"]:
        for name in sorted(services):
            call.say(name)
        return
    lines = (f"{name}\t{','.join(sorted(tags))}" for name, tags in sorted(services.items()))
    call.say(align(to_bytes("\n".join(lines) + "\n")).strip())


def _all(client: Client, params: Params) -> dict[str, list[str]]:
    found = client.call("GET", "/v1/catalog/services", params).fields()
    return {name: list(tags or ()) for name, tags in found.items()}


def _of_node(client: Client, node: str, params: Params) -> dict[str, list[str]]:
    found = client.call("GET", f"/v1/catalog/node/{node}", params).fields()
    services: dict[str, list[str]] = {}
    instances = found.get("Services")
    for one in instances.values() if isinstance(instances, dict) else ():
        services.setdefault(str(one.get("Service", "")), []).extend(one.get("Tags") or ())
    return services
