"""
What configuration files define, read as records; and whether an agent can run it, before it runs any of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from txconsul.agent.definitions import from_configuration
from txconsul.agent.sidecar import checks_of
from txconsul.codec.goquote import quote
from txconsul.errors import TxconsulError
from txconsul.records.agent import CheckDefinition
from txconsul.records.service import CheckType, ServiceDefinition

__all__ = ["Configured", "configured"]


class Configured(NamedTuple):
    """Services, with their checks and sidecars, and checks that stand by themselves."""

    services: list[ServiceDefinition]
    checks: list[CheckDefinition]


def configured(
    services: Iterable[Mapping[str, Any]], checks: Iterable[Mapping[str, Any]], vet: Callable[[CheckType], object]
) -> Configured:
    """
    Read definitions, which were checked when the files were read.

    @param vet: raises L{TxconsulError} for a check that cannot be run.
    @raise TxconsulError: of the same class; the text says whose check it is, and why.
    """
    found = Configured(
        [from_configuration(ServiceDefinition, one) for one in services],
        [from_configuration(CheckDefinition, one) for one in checks],
    )
    for service in found.services:
        nested = None if service.connect is None else service.connect.sidecar_service
        for check in (*checks_of(service), *(() if nested is None else checks_of(nested))):
            _vet(vet, check, f"service {quote(service.name)}")
    for standing in found.checks:
        _vet(vet, standing, f"check '{standing.name}'")
    return found


def _vet(vet: Callable[[CheckType], object], check: CheckType, whose: str) -> None:
    try:
        vet(check)
    except TxconsulError as error:
        raise type(error)(f"Failed to register {whose}: {error}") from error
