"""
Sessions: who may hold the locks of keys, and for how long.

Source: Consul's documentation of sessions; the wire documents' Session and SessionRequest.
"""

from __future__ import annotations

from typing import Annotated

from txconsul.records.base import OMIT_JSON, Duration, Record, Uint
from txconsul.records.query import DEFAULT, QueryOptions

__all__ = ["LOCK_DELAY_MAX", "ServiceCheck", "Session", "SessionRequest", "SessionSpecificRequest"]

#: The longest lock delay that takes effect, in ns: Consul's documented bound of one minute.
LOCK_DELAY_MAX = 60_000_000_000


class ServiceCheck(Record, frozen=True):
    """A service's check that a session depends on."""

    id: str = ""
    namespace: str = ""


class Session(Record, frozen=True):
    """
    One session.

    @ivar lock_delay: how long its keys cannot be locked after it was invalidated, in ns.
    @ivar behavior: C{release} or C{delete}: what becomes of its keys.
    @ivar ttl: a Go duration; empty is none.
    @ivar node_checks: ids of checks of its node, any of which ends it by going critical.
    @ivar checks: the same, in the words of Consul before 1.7.
    """

    behavior: str = ""
    checks: Annotated[tuple[str, ...] | None, OMIT_JSON] = None
    create_index: Uint = 0
    id: str = ""
    lock_delay: Duration = 0
    modify_index: Uint = 0
    name: str = ""
    node: str = ""
    node_checks: tuple[str, ...] | None = None
    service_checks: tuple[ServiceCheck, ...] | None = None
    ttl: str = ""


class SessionRequest(Record, frozen=True):
    """
    Begin or end a session.

    @ivar op: C{create} or C{destroy}.
    """

    datacenter: str = ""
    op: str = ""
    session: Session = Session()
    token: str = ""


class SessionSpecificRequest(Record, frozen=True):
    """
    Ask for, or renew, one session.

    @ivar session: its id, in the words of Consul before 1.7; C{session_id} goes first.
    """

    datacenter: str = ""
    session_id: str = ""
    session: str = ""
    options: QueryOptions = DEFAULT
