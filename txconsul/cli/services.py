"""The group C{txconsul services}."""

from __future__ import annotations

from txconsul.cli.commands import show_help as run

__all__ = ["HELP", "run"]

HELP = """
Usage: txconsul services <subcommand> [options] [args]

  Registers services with the agent that is asked, and takes them back.

      $ txconsul services register -name=web -port=8080 -tag=v1
      $ txconsul services register web.hcl
      $ txconsul services deregister -id=web

  "txconsul catalog services" lists them.
"""
