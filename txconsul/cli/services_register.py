"""C{txconsul services register}."""

from __future__ import annotations

from typing import Any

from txconsul.cli.api import ApiError
from txconsul.cli.call import Call, Failed, command
from txconsul.cli.gotext import go_quoted
from txconsul.cli.service_address import check_address, host_and_port
from txconsul.cli.settings import HTTP_FLAGS
from txconsul.language.goflags import INT, KEY_VALUES, LIST, STRING, Flag

__all__ = ["FLAGS", "HELP", "run"]

HELP = """
Usage: txconsul services register [options] [FILE...]

  Registers services with the agent that is asked: those that configuration
  files (HCL or JSON) define, or one that flags describe.

      $ txconsul services register web.json
      $ txconsul services register -name=web -port=8080 -tag=v1

  They stay, also when the agent starts again, until they are taken back:
  see "txconsul services deregister".
"""

FLAGS = (
    Flag("address", STRING, "Address of the service. Without it, the node's."),
    Flag("id", STRING, "ID of the service, unique at the agent. Without it, the name."),
    Flag("kind", STRING, "Kind of the service, such as connect-proxy."),
    Flag("meta", KEY_VALUES, "Metadata of the service, `key=value`. May be repeated."),
    Flag("name", STRING, "Name of the service."),
    Flag("port", INT, "Port of the service."),
    Flag("socket", STRING, "Path of a Unix socket, instead of address and port."),
    Flag("tag", LIST, "Tag of the service. May be repeated."),
    Flag("tagged-address", KEY_VALUES, "A further address, `name=address:port`. May be repeated."),
    *HTTP_FLAGS,
)


@command(FLAGS)
def run(call: Call) -> None:
    """Register one service or several."""
    described = _described(call)
    if not call.rest and not described["Name"]:
        raise Failed("Service registration requires at least one argument or flags.")
    if call.rest and described["Name"]:
        raise Failed("Service registration requires arguments or -id, not both.")
    services = _defined(call) if call.rest else [described]
    client = call.client()
    from txconsul.codec.json import encode

    for service in services:
        name = service["Name"]
        try:
            client.call("PUT", "/v1/agent/service/register", body=encode(service))
        except ApiError as error:
            raise Failed(f"Error registering service {go_quoted(name)}: {error}") from None
        call.say(f"Registered service: {name}")


def _described(call: Call) -> dict[str, Any]:
    """The service of the flags, as the agent takes it."""
    flags = call.flags
    try:
        check_address(flags["address"])
    except ValueError as error:
        raise Failed(f"Invalid Service address when using CLI flags. Use -port flag instead: {error}") from None
    service: dict[str, Any] = {
        "Kind": flags["kind"],
        "ID": flags["id"],
        "Name": flags["name"],
        "Address": flags["address"],
        "Port": flags["port"],
        "SocketPath": flags["socket"],
        "Tags": flags["tag"],
        "Meta": flags["meta"],
        "TaggedAddresses": {name: _tagged(name, text) for name, text in flags["tagged-address"].items()},
    }
    return {key: value for key, value in service.items() if value or key == "Name"}


def _tagged(name: str, text: str) -> dict[str, Any]:
    try:
        host, port = host_and_port(text)
    except ValueError as error:
        raise Failed(f"Invalid Tagged address: {error}") from None
    try:
        check_address(host, port_allowed=True)
    except ValueError as error:
        raise Failed(f"Invalid Tagged address for tagged address '{name}': {error}") from None
    return {"Address": host, "Port": port}


def _defined(call: Call) -> list[dict[str, Any]]:
    """The services of the files, likewise."""
    from msgspec.structs import replace

    from txconsul.cli.service_files import services_of_files
    from txconsul.codec.json import to_json
    from txconsul.records.service import CheckType, ServiceDefinition

    found = []
    for definition in services_of_files(call):
        name = definition.name
        try:
            check_address(definition.address)
        except ValueError as error:
            lead = f"Invalid Service address for service '{name}'. Use port field instead"
            raise Failed(f"{lead}: {error}") from None
        for tag, address in (definition.tagged_addresses or {}).items():
            try:
                check_address(address.address, port_allowed=True)
            except ValueError as error:
                lead = f"Invalid Tagged address for tagged address '{tag}' in service '{name}'"
                raise Failed(f"{lead}: {error}") from None
        # A token in the file is the agent's own, for files that it reads itself.
        shown = to_json(ServiceDefinition)(replace(definition, token=""))
        if definition.check == CheckType():
            del shown["Check"]
        found.append(shown)
    return found
