"""
The whole catalog's health, counted now and then.
"""

from __future__ import annotations

from txconsul.records.ui import CatalogSummary
from txconsul.state.overview import overview
from txconsul.state.tables import Tables

__all__ = ["INTERVAL_SECONDS", "Overview"]

#: As often as Consul's servers count: it goes through everything.
INTERVAL_SECONDS = 300.0


class Overview:
    """
    What was counted last.

    @param now: when the server started: as Consul's, it has counted nothing before the first interval has passed.
    """

    def __init__(self, now: float) -> None:
        self._counted = now
        self._summary = CatalogSummary()

    def summary(self, tables: Tables, now: float) -> CatalogSummary:
        """The health of everything, at most L{INTERVAL_SECONDS} old."""
        if now - self._counted >= INTERVAL_SECONDS:
            self._counted = now
            self._summary = overview(tables)
        return self._summary
