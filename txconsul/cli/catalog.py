"""The group C{txconsul catalog}, and what its subcommands share."""

from __future__ import annotations

from txconsul.cli.api import Params
from txconsul.cli.call import Call, Failed
from txconsul.cli.commands import show_help as run

__all__ = ["HELP", "no_arguments", "node_meta", "run"]

HELP = """
Usage: txconsul catalog <subcommand> [options] [args]

  Shows what the catalog knows: datacenters, nodes, services.

      $ txconsul catalog datacenters
      $ txconsul catalog nodes -service=web
      $ txconsul catalog services -tags
"""


def no_arguments(call: Call) -> None:
    """
    These commands take flags only.

    @raise Failed: there are arguments.
    """
    if call.rest:
        raise Failed(f"Too many arguments (expected 0, got {len(call.rest)})")


def node_meta(call: Call) -> Params:
    """The parameter of the flag C{-node-meta}, if it was given."""
    pairs = call.flags["node-meta"]
    return {"node-meta": [f"{key}:{value}" for key, value in pairs.items()]} if pairs else {}
