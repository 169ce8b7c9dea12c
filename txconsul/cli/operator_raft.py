"""The group C{txconsul operator raft}."""

from __future__ import annotations

from txconsul.cli.commands import show_help as run

__all__ = ["HELP", "run"]

HELP = """
Usage: txconsul operator raft <subcommand> [options]

  Shows and changes which servers replicate the state.

      $ txconsul operator raft list-peers
      $ txconsul operator raft transfer-leader
"""
