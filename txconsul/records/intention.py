"""
Who may talk to whom, in the form that Consul had before 1.9: what is left of it in the log.

Source: the wire documents' IntentionRequest.
"""

from __future__ import annotations

from typing import Any

from txconsul.records.base import Record

__all__ = ["IntentionRequest"]


class IntentionRequest(Record, frozen=True):
    """
    Change intentions.

    @ivar op: C{delete-all} ends the old form; every new leader of Consul's makes sure that somebody has said it.
    @ivar mutation: a change of the new form, which belongs to config entries.
    """

    datacenter: str = ""
    intention: Any = None
    mutation: Any = None
    op: str = ""
    token: str = ""
