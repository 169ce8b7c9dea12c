"""
Kinds of checks that are none of Consul's: Twisted plugins, looked for when a definition asks for one.
"""

from __future__ import annotations

from twisted.plugin import getPlugins

from txconsul.interfaces import ICheckKind

__all__ = ["installed"]


def installed(name: str) -> ICheckKind | None:
    """The kind of this name; None where no plugin is."""
    found: ICheckKind | None = next((kind for kind in getPlugins(ICheckKind) if kind.name == name), None)
    return found
