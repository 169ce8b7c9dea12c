"""The port at which servers meet, on a network in memory."""

from __future__ import annotations
