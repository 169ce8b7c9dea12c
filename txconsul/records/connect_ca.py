"""
The mesh's certificate authority, as servers keep and replicate it.

Source: Consul's documentation of the service mesh's certificate management; the wire documents' CARequest and CARoot.
"""

from __future__ import annotations

from typing import Any

from txconsul.records.base import Record, Time, Uint
from txconsul.records.raft import NO_TIME

__all__ = ["CAConfiguration", "CAConsulProviderState", "CALeafRequest", "CARequest", "CARoot"]


class CARoot(Record, frozen=True):
    """
    A root certificate.

    @ivar id: its fingerprint.
    @ivar active: whether it is the one that signs. Exactly one does.
    @ivar external_trust_domain: the first part of the trust domain.
    @ivar rotated_out_at: when it stopped being the active one; zero before.
    """

    active: bool = False
    create_index: Uint = 0
    external_trust_domain: str = ""
    id: str = ""
    intermediate_certs: tuple[str, ...] | None = None
    modify_index: Uint = 0
    name: str = ""
    not_after: Time = NO_TIME
    not_before: Time = NO_TIME
    private_key_bits: int = 0
    private_key_type: str = ""
    root_cert: str = ""
    rotated_out_at: Time = NO_TIME
    serial_number: Uint = 0
    signing_cert: str = ""
    signing_key: str = ""
    signing_key_id: str = ""


class CAConsulProviderState(Record, frozen=True):
    """What the built-in authority keeps of one configuration of itself."""

    create_index: Uint = 0
    id: str = ""
    intermediate_cert: str = ""
    modify_index: Uint = 0
    private_key: str = ""
    root_cert: str = ""


class CAConfiguration(Record, frozen=True):
    """
    Which authority there is.

    @ivar provider: such as C{consul}.
    @ivar config: what that one is told.
    """

    cluster_id: str = ""
    config: dict[str, Any] | None = None
    create_index: Uint = 0
    force_without_cross_signing: bool = False
    modify_index: Uint = 0
    provider: str = ""
    state: dict[str, str] | None = None


class CARequest(Record, frozen=True):
    """
    Change some of it.

    @ivar op: C{set-config}, C{set-roots}, C{set-provider-state}, C{delete-provider-state}, C{set-roots-config} or
        C{increment-provider-serial}.
    @ivar index: of the roots that are to be replaced.
    """

    config: CAConfiguration | None = None
    datacenter: str = ""
    index: Uint = 0
    op: str = ""
    provider_state: CAConsulProviderState | None = None
    roots: tuple[CARoot | None, ...] | None = None
    token: str = ""


class CALeafRequest(Record, frozen=True):
    """A leaf certificate was signed: C{increment-index}."""

    datacenter: str = ""
    op: str = ""
    token: str = ""
