"""
The mesh's certificate authority, as far as it is replicated.

Nothing here signs or makes anything: it is what Consul's leaders keep, so that a server of ours beside them has the
same.

Source: Consul's documentation of the service mesh's certificate management; the wire documents, Raft, section 2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from txconsul.errors import InvalidRequest
from txconsul.records.connect_ca import CAConfiguration, CAConsulProviderState, CALeafRequest, CARequest, CARoot

if TYPE_CHECKING:
    from txconsul.state.tables import Tables

__all__ = ["ConnectCA"]

#: Entries of the index table.
ROOTS, BUILTIN, SERIAL = "connect-ca-roots", "connect-ca-builtin", "connect-ca-builtin-serial"


class ConnectCA:
    """Its tables: roots by id, the built-in authority's states by id, the one configuration."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def change(self, index: int, request: CARequest) -> object:
        """
        Carry out a command.

        @return: whether it was carried out; for C{increment-provider-serial} the new number, for C{set-config} without
            a ModifyIndex nothing.
        @raise InvalidRequest: it cannot be.
        """
        match request.op:
            case "set-config":
                return self._set_config(index, request.config or CAConfiguration())
            case "set-roots":
                return self._set_roots(index, request.index, request.roots or ())
            case "set-provider-state":
                return self._set_provider_state(index, request.provider_state or CAConsulProviderState())
            case "delete-provider-state":
                return self._delete_provider_state(index, (request.provider_state or CAConsulProviderState()).id)
            case "set-roots-config":
                self._set_roots(index, request.index, request.roots or ())
                try:
                    return self._replace_config(index, request.config or CAConfiguration())
                except InvalidRequest as refusal:
                    return refusal  # the roots are replaced all the same, as Consul's are
            case "increment-provider-serial":
                return self._increment_serial()
        raise InvalidRequest(f"Invalid CA operation '{request.op}'")

    def leaf_signed(self, index: int, request: CALeafRequest) -> object:
        """@return: the index. Nothing else comes of it: Consul means to note it, and does not."""
        if request.op != "increment-index":
            raise InvalidRequest(f"Invalid CA operation '{request.op}'")
        return index

    # ---- the configuration ----

    def _set_config(self, index: int, config: CAConfiguration) -> object:
        if config.modify_index:
            return self._replace_config(index, config)
        self._write_config(index, config)
        return None

    def _replace_config(self, index: int, config: CAConfiguration) -> bool:
        present = self._tables.ca_config.rows.get("")
        if config.modify_index != (0 if present is None else present.modify_index):
            raise InvalidRequest("ModifyIndex did not match existing")
        self._write_config(index, config)
        return True

    def _write_config(self, index: int, config: CAConfiguration) -> None:
        table = self._tables.ca_config
        present = table.rows.get("")
        created, cluster = index, config.cluster_id
        if present is not None:
            created, cluster = present.create_index, cluster or present.cluster_id
        table.put("", replace(config, create_index=created, modify_index=index, cluster_id=cluster))

    # ---- roots ----

    def _set_roots(self, index: int, expected: int, roots: tuple[CARoot | None, ...]) -> bool:
        """All roots are replaced. Consul says yes also where the index was outdated and nothing happened."""
        given = [root or CARoot() for root in roots]
        if sum(root.active for root in given) != 1:
            raise InvalidRequest("there must be exactly one active CA")
        tables = self._tables
        if tables.index(ROOTS) != expected:
            return True
        if not all(root.id for root in given):
            raise InvalidRequest("Missing CA Root ID")
        present = dict(tables.ca_roots.rows)
        for id in present:
            tables.ca_roots.remove(id)
        for root in given:
            known = present.get(root.id)
            created = index if known is None else known.create_index
            tables.ca_roots.put(root.id, replace(root, create_index=created, modify_index=index))
        tables.indexes.put(ROOTS, index)
        return True

    # ---- the built-in authority ----

    def _set_provider_state(self, index: int, state: CAConsulProviderState) -> bool:
        tables = self._tables
        if not state.id:
            raise InvalidRequest("failed updating built-in CA state: missing value for index 'id'")
        present = tables.ca_builtin.rows.get(state.id)
        created = index if present is None else present.create_index
        tables.ca_builtin.put(state.id, replace(state, create_index=created, modify_index=index))
        tables.indexes.put(BUILTIN, index)
        return True

    def _delete_provider_state(self, index: int, id: str) -> bool:
        tables = self._tables
        if id in tables.ca_builtin.rows:
            tables.ca_builtin.remove(id)
            tables.indexes.put(BUILTIN, index)
        return True

    def _increment_serial(self) -> int:
        """Serial numbers go on from where indexes were, which they once were taken from."""
        tables = self._tables
        last = tables.indexes.rows.get(SERIAL)
        number = (tables.index(BUILTIN) if last is None else last) + 1
        tables.indexes.put(SERIAL, number)
        return number
