"""The group C{txconsul operator autopilot}."""

from __future__ import annotations

from txconsul.cli.commands import show_help as run

__all__ = ["HELP", "run"]

HELP = """
Usage: txconsul operator autopilot <subcommand> [options]

  Shows how the servers are, and how the leader is to look after them.

      $ txconsul operator autopilot state
      $ txconsul operator autopilot set-config -min-quorum=3
"""
