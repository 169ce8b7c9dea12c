"""
The numbers that begin a command in the log, and a record in a snapshot.

Source: Consul 1.21's message types (the wire documents, Raft, section 2).
"""

from __future__ import annotations

from enum import IntEnum

__all__ = ["IGNORABLE", "Command"]

#: Set in a type byte that a server which does not know the type may skip; without it, it must stop.
IGNORABLE = 0x80


class Command(IntEnum):
    """Type bytes; some stand only in snapshots."""

    REGISTER = 0
    DEREGISTER = 1
    KVS = 2
    SESSION = 3
    ACL_LEGACY = 4
    TOMBSTONE = 5
    COORDINATE_BATCH_UPDATE = 6
    PREPARED_QUERY = 7
    TXN = 8
    AUTOPILOT = 9
    AREA = 10
    ACL_BOOTSTRAP = 11
    INTENTION = 12
    CONNECT_CA = 13
    CONNECT_CA_PROVIDER_STATE = 14
    CONNECT_CA_CONFIG = 15
    INDEX = 16
    ACL_TOKEN_SET = 17
    ACL_TOKEN_DELETE = 18
    ACL_POLICY_SET = 19
    ACL_POLICY_DELETE = 20
    CONNECT_CA_LEAF = 21
    CONFIG_ENTRY = 22
    ACL_ROLE_SET = 23
    ACL_ROLE_DELETE = 24
    ACL_BINDING_RULE_SET = 25
    ACL_BINDING_RULE_DELETE = 26
    ACL_AUTH_METHOD_SET = 27
    ACL_AUTH_METHOD_DELETE = 28
    CHUNKING_STATE = 29
    FEDERATION_STATE = 30
    SYSTEM_METADATA = 31
    SERVICE_VIRTUAL_IP = 32
    FREE_VIRTUAL_IP = 33
    PEERING_WRITE = 35
    PEERING_DELETE = 36
    PEERING_TERMINATE_BY_ID = 37
    PEERING_TRUST_BUNDLE_WRITE = 38
    PEERING_TRUST_BUNDLE_DELETE = 39
    PEERING_SECRETS_WRITE = 40
    RAFT_LOG_VERIFIER_CHECKPOINT = 41
    RESOURCE_OPERATION = 42
    UPDATE_VIRTUAL_IP = 43
