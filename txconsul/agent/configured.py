"""
What configuration files define, read as records; and whether an agent can run it, before it runs any of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

from txconsul.agent.definitions import from_configuration
from txconsul.agent.registration_rules import vet_runnable
from txconsul.agent.sidecar import SUFFIX, checks_of
from txconsul.codec.goquote import quote
from txconsul.errors import InvalidRequest, TxconsulError
from txconsul.records.agent import CheckDefinition
from txconsul.records.service import CheckType, ServiceDefinition

__all__ = ["Configured", "configured"]

T = TypeVar("T")


class Configured(NamedTuple):
    """Services, with their checks and sidecars, and checks that stand by themselves."""

    services: list[ServiceDefinition]
    checks: list[CheckDefinition]


def configured(
    services: Iterable[Mapping[str, Any]],
    checks: Iterable[Mapping[str, Any]],
    elsewhere: Collection[str],
    vet: Callable[[CheckType], object],
) -> Configured:
    """
    Read definitions, which were checked when the files were read.

    @param elsewhere: ids of services that the files do not define, and that checks may be of, too.
    @param vet: raises L{TxconsulError} for a check that cannot be run.
    @raise TxconsulError: of the same class, or L{InvalidRequest} for a service; the text says whose, and why.
    """
    found = Configured(
        [from_configuration(ServiceDefinition, one) for one in services],
        [from_configuration(CheckDefinition, one) for one in checks],
    )
    ids = {*elsewhere}
    for service in found.services:
        whose = f"service {quote(service.name)}"
        _vet(vet_runnable, service, whose)
        id = service.id or service.name
        nested = None if service.connect is None else service.connect.sidecar_service
        ids.update((id,) if nested is None else (id, f"{id}{SUFFIX}"))
        for check in (*checks_of(service), *(() if nested is None else checks_of(nested))):
            _vet(vet, check, whose)
    for standing in found.checks:
        whose = f"check '{standing.name}'"
        if standing.service_id and standing.service_id not in ids:
            raise InvalidRequest(f"Failed to register {whose}: ServiceID {quote(standing.service_id)} does not exist")
        _vet(vet, standing, whose)
    return found


def _vet(vet: Callable[[T], object], what: T, whose: str) -> None:
    try:
        vet(what)
    except TxconsulError as error:
        raise type(error)(f"Failed to register {whose}: {error}") from error
