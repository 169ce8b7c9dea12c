"""The group C{txconsul kv}."""

from __future__ import annotations

from txconsul.cli.commands import show_help as run

__all__ = ["HELP", "run"]

HELP = """
Usage: txconsul kv <subcommand> [options] [args]

  Reads and writes the key-value store.

  Write the value "20" to the key "shop/limits/cart" and read it again:

      $ txconsul kv put shop/limits/cart 20
      $ txconsul kv get shop/limits/cart

  All that is known of the key, and every key of the shop:

      $ txconsul kv get -detailed shop/limits/cart
      $ txconsul kv get -recurse shop/

  Delete it:

      $ txconsul kv delete shop/limits/cart
"""
