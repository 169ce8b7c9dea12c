"""
Who knows where other agents are: Twisted plugins, looked for when C{retry_join} asks for one.
"""

from __future__ import annotations

from twisted.plugin import getPlugins

from txconsul.interfaces import IAddressProvider

__all__ = ["installed", "names"]


def installed(name: str) -> IAddressProvider | None:
    """The provider of this name; None where no plugin is."""
    found: IAddressProvider | None = next((one for one in getPlugins(IAddressProvider) if one.name == name), None)
    return found


def names() -> list[str]:
    """Those that could be asked for, sorted."""
    return sorted({one.name for one in getPlugins(IAddressProvider)})
