"""
Who may do what. Every endpoint is given an authorizer; until ACLs come, there is one, and it allows all.
"""

from __future__ import annotations

__all__ = ["ALLOW_ALL", "Authorizer"]


class Authorizer:
    """
    The decision for one token.

    Endpoints ask before they act, and filter what they found; a refusal raises
    L{txconsul.errors.PermissionDenied}.
    """

    #: Whether everything may be read, so that answers can be shared.
    reads_all = True

    def require_key_read(self, key: bytes) -> None:
        """May this key be read?"""

    def require_key_list(self, prefix: bytes) -> None:
        """May keys under this prefix be listed?"""

    def require_key_write(self, key: bytes) -> None:
        """May this key be written?"""

    def require_key_write_prefix(self, prefix: bytes) -> None:
        """May every key under this prefix be written?"""

    def require_session_write(self, node: str) -> None:
        """May sessions of this node be created and destroyed?"""

    def require_node_write(self, node: str) -> None:
        """May this node be registered?"""

    def require_service_write(self, service: str) -> None:
        """May this service be registered?"""

    def require_service_read(self, service: str) -> None:
        """May this service be seen?"""

    def require_mesh_write(self) -> None:
        """May the mesh as a whole be changed?"""

    def require_query_write(self, name: str) -> None:
        """May prepared queries of this name, and templates for names that begin so, be written?"""

    def require_agent_read(self) -> None:
        """May this agent tell of itself?"""

    def require_agent_write(self) -> None:
        """May this agent be told what to do?"""

    def require_event_write(self, name: str) -> None:
        """May events of this name be fired?"""

    def may_read_event(self, name: str) -> bool:
        """May events of this name be seen?"""
        return True

    def require_keyring_read(self) -> None:
        """May gossip keys be listed?"""

    def require_keyring_write(self) -> None:
        """May gossip keys be changed?"""

    def require_operator_read(self) -> None:
        """May the cluster's internals be seen?"""

    def require_operator_write(self) -> None:
        """May the cluster's internals be changed?"""

    def require_management(self) -> None:
        """May everything be done, snapshots included?"""


#: The authorizer of everybody while ACLs are off.
ALLOW_ALL = Authorizer()
