"""The group C{txconsul operator usage}."""

from __future__ import annotations

from txconsul.cli.commands import show_help as run

__all__ = ["HELP", "run"]

HELP = """
Usage: txconsul operator usage <subcommand> [options]

  Counts what is registered.

      $ txconsul operator usage instances
"""
