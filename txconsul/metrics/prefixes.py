"""
Which metrics are told: the rules of C{telemetry.prefix_filter}.

Source: Consul's "Agent configuration file reference", telemetry.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["ALL", "PrefixRules"]


class PrefixRules:
    """Of the prefixes that a name has, the longest decides; where one is both allowed and blocked, it is blocked."""

    def __init__(self, allowed: Iterable[str], blocked: Iterable[str], otherwise: bool) -> None:
        """@param otherwise: whether a name that has none of them is told (C{telemetry.filter_default})."""
        self._rules = dict.fromkeys(allowed, True) | dict.fromkeys(blocked, False)
        self._lengths = sorted({len(prefix) for prefix in self._rules}, reverse=True)
        self._otherwise = otherwise

    def __call__(self, name: str) -> bool:
        """Is a metric of this name told?"""
        for length in self._lengths:
            found = self._rules.get(name[:length])
            if found is not None:
                return found
        return self._otherwise


#: Everything is told.
ALL = PrefixRules((), (), True)
