"""The group C{txconsul operator}."""

from __future__ import annotations

from txconsul.cli.commands import show_help as run

__all__ = ["HELP", "run"]

HELP = """
Usage: txconsul operator <subcommand> [options]

  Tools for those who look after a group of servers. Some of them can cost the
  group its majority, and with it every write: read what a command does first.
"""
