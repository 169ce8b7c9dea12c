"""
Paths of Consul's API that this release does not serve.

They are known, so that C{OPTIONS} and methods that no version takes are answered rightly, and so that whoever asks
hears plainly that it is this release, and not the path, that is at fault. ACLs are off, which is an answer of its own.

Source: Consul's documentation of its HTTP API.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from txconsul.errors import TxconsulError
from txconsul.http.routes import IGNORED, Action, Call, Route

if TYPE_CHECKING:
    from txconsul.http.api import API
    from txconsul.http.request import Request
    from txconsul.http.response import Response

__all__ = ["ROUTES"]


class NotServed(TxconsulError):
    """This release does not do that."""

    status = 501
    text = "This endpoint is not served by this release of txconsul"


class ACLDisabled(TxconsulError):
    """ACLs are off."""

    status = 401
    text = "ACL support disabled"


def _not_served(api: API, call: Call, request: Request) -> Response:
    raise NotServed()


def _acl_disabled(api: API, call: Call, request: Request) -> Response:
    raise ACLDisabled()


_ACL = """
    PUT                /v1/acl/bootstrap
    POST               /v1/acl/login
    POST               /v1/acl/logout
    GET                /v1/acl/replication
    GET                /v1/acl/policies
    PUT                /v1/acl/policy
    GET,PUT,DELETE     /v1/acl/policy/
    GET                /v1/acl/policy/name/
    GET                /v1/acl/roles
    PUT                /v1/acl/role
    GET,PUT,DELETE     /v1/acl/role/
    GET                /v1/acl/role/name/
    GET                /v1/acl/binding-rules
    PUT                /v1/acl/binding-rule
    GET,PUT,DELETE     /v1/acl/binding-rule/
    GET                /v1/acl/auth-methods
    PUT                /v1/acl/auth-method
    GET,PUT,DELETE     /v1/acl/auth-method/
    GET                /v1/acl/tokens
    PUT                /v1/acl/token
    GET                /v1/acl/token/self
    GET,PUT,DELETE     /v1/acl/token/
    GET                /v1/acl/templated-policies
    GET                /v1/acl/templated-policy/name/
    POST               /v1/acl/templated-policy/preview/
    PUT                /v1/agent/token/
"""

_UNSERVED = """
    POST               /v1/agent/connect/authorize
    GET                /v1/agent/connect/ca/roots
    GET                /v1/agent/connect/ca/leaf/
    PUT                /v1/config
    GET,DELETE         /v1/config/
    GET,PUT            /v1/connect/ca/configuration
    GET                /v1/connect/ca/roots
    GET,POST           /v1/connect/intentions
    GET                /v1/connect/intentions/match
    GET                /v1/connect/intentions/check
    GET,PUT,DELETE     /v1/connect/intentions/exact
    GET,PUT,DELETE     /v1/connect/intentions/
    GET,POST           /v1/discovery-chain/
    GET                /v1/exported-services
    POST               /v1/internal/acl/authorize
    GET                /v1/internal/federation-states
    GET                /v1/internal/federation-states/mesh-gateways
    GET                /v1/internal/federation-state/
    GET,DELETE         /v1/peering/
    POST               /v1/peering/establish
    POST               /v1/peering/token
    GET                /v1/peerings
"""


def _rows(table: str, action: Action) -> list[Route]:
    """The table's rows, all served by one action."""
    pairs = (line.split() for line in table.strip().splitlines())
    return [Route(path.encode(), dict.fromkeys(methods.split(","), action)) for methods, path in pairs]


ROUTES = [
    *_rows(_ACL, Action(_acl_disabled, tenancy=IGNORED)),
    *_rows(_UNSERVED, Action(_not_served, tenancy=IGNORED)),
]
