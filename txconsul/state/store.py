"""
The replicated state: tables, the parts that read and change them, and who waits for what.

Rule 1: it changes only by applying committed commands (L{txconsul.state.commands}) or by taking another store over.
Rule 2: nothing here knows the time, does I/O, or draws lots: the same commands give the same state everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable

from txconsul.records.txn import TxnOp, TxnResponse
from txconsul.state.catalog import Catalog
from txconsul.state.connect_ca import ConnectCA
from txconsul.state.coordinates import Coordinates
from txconsul.state.kv import KV
from txconsul.state.listings import Listings
from txconsul.state.prepared_queries import PreparedQueries
from txconsul.state.registrations import Registrations
from txconsul.state.sessions import Sessions
from txconsul.state.tables import Tables
from txconsul.state.txn import transact
from txconsul.state.virtual_ips import VirtualIPs
from txconsul.state.watches import Key, Watches

__all__ = ["Store"]


class Store:
    """
    One server's copy of the state. Its parts are replaced when another store is taken over: look them up each time.

    @ivar tables: the rows.
    @ivar kv: keys and values.
    @ivar prepared_queries: prepared queries.
    @ivar sessions: sessions.
    @ivar catalog: nodes, services and checks, as they are read.
    @ivar registrations: the same, as they are written.
    @ivar virtual_ips: addresses of services in the mesh.
    @ivar listings: lists of all nodes and of all services, kept row by row.
    @ivar connect_ca: the mesh's certificate authority.
    @ivar coordinates: where nodes are in the network.
    @ivar watches: who waits; survives a restore.
    @ivar derived: what was made from the state; it is told first, so that whoever is woken finds nothing old.
    """

    def __init__(self) -> None:
        self.watches = Watches()
        self.derived = Watches()
        self._take(Tables())

    def _take(self, tables: Tables) -> None:
        self.tables = tables
        self.kv = KV(tables)
        self.prepared_queries = PreparedQueries(tables)
        self.sessions = Sessions(tables, self.kv, self.prepared_queries)
        self.virtual_ips = VirtualIPs(tables)
        self.registrations = Registrations(tables, self.sessions, self.virtual_ips)
        self.catalog = Catalog(tables)
        self.listings = Listings(tables, self.catalog)
        self.coordinates = Coordinates(tables)
        self.connect_ca = ConnectCA(tables)

    @property
    def index(self) -> int:
        """The highest index of any table; 0 while nothing was written."""
        return max(self.tables.indexes.rows.values(), default=0)

    def read_txn(self, operations: Iterable[TxnOp]) -> TxnResponse:
        """
        Run a transaction none of whose operations writes.

        @return: results, or errors. The index of what it saw is L{index}.
        """
        return transact(self, 0, operations)

    def applied(self) -> None:
        """A batch of commands ends: wake whoever waits for what it touched."""
        journal = self.tables.journal
        if self.watches or self.derived or self.listings:
            touched: set[Key] = set()
            for table, key, before, after in journal:
                if table.touches is not None:
                    touched.update(table.touches(key, before, after))
            journal.clear()
            if touched:
                self.listings.touched(touched)
                self.derived.wake(touched)
                self.watches.wake(touched)
        else:
            journal.clear()

    def take_lock_delays(self) -> list[tuple[bytes, int]]:
        """
        The keys that lost their holder since the last call, with the time, in ns, for which their locks are to stay
        free. Whoever has a clock keeps it; the delay is not replicated.
        """
        delays = self.tables.lock_delays
        taken = delays[:]
        delays.clear()
        return taken

    def adopt(self, other: Store) -> None:
        """
        Become what C{other} is; it must not be used any more. Everybody who waits is woken.
        """
        self._take(other.tables)
        self.derived.wake_all()
        self.watches.wake_all()
