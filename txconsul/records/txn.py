"""
Transactions: several operations that happen together or not at all.

Source: Consul's documentation of transactions; the wire documents' TxnRequest, TxnOp and TxnResponse.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from txconsul.records.base import OMIT_JSON, Duration, Record, Uint
from txconsul.records.catalog import Node
from txconsul.records.health import HealthCheck
from txconsul.records.kv import DirEntry
from txconsul.records.query import DEFAULT, QueryOptions
from txconsul.records.service import NodeService
from txconsul.records.session import Session

__all__ = [
    "TxnCheckOp",
    "TxnError",
    "TxnKVOp",
    "TxnNodeOp",
    "TxnOp",
    "TxnReadRequest",
    "TxnReadResponse",
    "TxnRequest",
    "TxnResponse",
    "TxnResult",
    "TxnServiceOp",
    "TxnSessionOp",
]


class TxnKVOp(Record, frozen=True):
    """
    @ivar verb: C{set}, C{delete}, C{delete-cas}, C{delete-tree}, C{cas}, C{lock}, C{unlock}, C{get}, C{get-tree},
        C{get-or-empty}, C{check-index}, C{check-session} or C{check-not-exists}.
    """

    dir_ent: DirEntry = DirEntry()
    verb: str = ""


class TxnNodeOp(Record, frozen=True):
    """
    @ivar verb: C{get}, C{set}, C{cas}, C{delete} or C{delete-cas}.
    """

    node: Node = Node()
    verb: str = ""


class TxnServiceOp(Record, frozen=True):
    """
    @ivar node: the name of the service's node.
    @ivar verb: C{get}, C{set}, C{cas}, C{delete} or C{delete-cas}.
    """

    node: str = ""
    service: NodeService = NodeService()
    verb: str = ""


class TxnCheckOp(Record, frozen=True):
    """
    @ivar verb: C{get}, C{set}, C{cas}, C{delete} or C{delete-cas}.
    """

    check: HealthCheck = HealthCheck()
    verb: str = ""


class TxnSessionOp(Record, frozen=True):
    """
    @ivar verb: C{delete}.
    """

    session: Session = Session()
    verb: str = ""


class TxnOp(Record, frozen=True):
    """
    One operation: one of the fields.

    @ivar intention: from logs older than Consul 1.9; kept, not understood.
    """

    check: TxnCheckOp | None = None
    intention: Any = None
    kv: TxnKVOp | None = None
    node: TxnNodeOp | None = None
    service: TxnServiceOp | None = None
    session: TxnSessionOp | None = None


class TxnRequest(Record, frozen=True):
    """Operations, some of which write."""

    datacenter: str = ""
    ops: tuple[TxnOp, ...] | None = None
    token: str = ""


class TxnReadRequest(Record, frozen=True):
    """Operations none of which writes."""

    datacenter: str = ""
    ops: tuple[TxnOp, ...] | None = None
    options: QueryOptions = DEFAULT


class TxnError(Record, frozen=True):
    """
    Why an operation failed.

    @ivar op_index: its place among the operations, from 0.
    """

    op_index: int = 0
    what: str = ""


class TxnResult(Record, frozen=True):
    """What one operation found or wrote: one of the fields."""

    check: Annotated[HealthCheck | None, OMIT_JSON] = None
    kv: Annotated[DirEntry | None, OMIT_JSON] = None
    node: Annotated[Node | None, OMIT_JSON] = None
    service: Annotated[NodeService | None, OMIT_JSON] = None


class TxnResponse(Record, frozen=True):
    """Either results, or errors (then nothing was written); the other one is None."""

    errors: tuple[TxnError, ...] | None = None
    results: tuple[TxnResult, ...] | None = None


class TxnReadResponse(Record, frozen=True):
    """The same of operations that only read, with what is known of the answer."""

    backend: int = 0
    consistency_level: str = ""
    errors: tuple[TxnError, ...] | None = None
    index: Uint = 0
    known_leader: bool = False
    last_contact: Duration = 0
    not_modified: bool = False
    results: tuple[TxnResult, ...] | None = None
    results_filtered_by_acls: bool = msgspec.field(name="ResultsFilteredByACLs", default=False)
