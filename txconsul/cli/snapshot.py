"""The group C{txconsul snapshot}."""

from __future__ import annotations

from txconsul.cli.commands import show_help as run

__all__ = ["HELP", "run"]

HELP = """
Usage: txconsul snapshot <subcommand> [options] [args]

  Saves the servers' whole state to a file, puts such a file in the place of
  the state, and shows what is in it. A snapshot is of one moment: keys,
  sessions, catalog, queries, tokens and policies.

  Where ACLs are enabled the token needs management rights.

      $ txconsul snapshot save monday.snap
      $ txconsul snapshot inspect monday.snap
      $ txconsul snapshot restore monday.snap
"""
