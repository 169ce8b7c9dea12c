"""C{txconsul version}: which program this is, and which Consul it works like."""

from __future__ import annotations

from txconsul import CONSUL_VERSION, __version__
from txconsul.cli.call import Call, Failed, command
from txconsul.language.goflags import STRING, Flag

__all__ = ["FLAGS", "HELP", "run"]

HELP = """
Usage: txconsul version [options]

  Shows the version of Consul that this program works like, its own version,
  and the protocols that it speaks.
"""

FLAGS = (Flag("format", STRING, "How to show it, {pretty|json}.", default="pretty"),)

#: Consul's RPC protocol versions: spoken by default, oldest and newest understood.
_DEFAULT, _MIN, _MAX = 2, 2, 3


@command(FLAGS)
def run(call: Call) -> None:
    """Show the version."""
    form = call.flags["format"]
    if form == "json":
        call.say(_json())
    elif form == "pretty":
        call.say(_pretty())
    else:
        raise Failed(f"Unknown format: {form}")


def _pretty() -> str:
    return (
        f"Consul v{CONSUL_VERSION}\n"
        f"Revision txconsul-{__version__}\n"
        f"Protocol {_DEFAULT} spoken by default, understands {_MIN} to {_MAX} "
        f"(agent will automatically use protocol >{_DEFAULT} when speaking to compatible agents)\n"
    )


def _json() -> str:
    import json

    shown = {
        "Version": CONSUL_VERSION,
        "Revision": f"txconsul-{__version__}",
        "Prerelease": "",
        "BuildDate": "0001-01-01T00:00:00Z",
        "RPC": {"Default": _DEFAULT, "Min": _MIN, "Max": _MAX},
    }
    return json.dumps(shown, indent=3)
