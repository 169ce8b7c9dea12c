"""
Every selector that Consul documents, with the operators that it documents for it.

Source: Consul's documentation of the catalog, health and agent HTTP APIs, the tables below each C{filter} parameter.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from txconsul.language.bexpr import BadExpression, filter_for
from txconsul.language.bexpr_grammar import Operator
from txconsul.records.agent import AgentService
from txconsul.records.base import Record
from txconsul.records.catalog import CheckServiceNode, Node, ServiceNode
from txconsul.records.health import HealthCheck
from txconsul.records.service import NodeService

#: How each operator is written, and a value that every kind of field takes.
WRITTEN = {
    Operator.EQUAL: "{} == 1",
    Operator.NOT_EQUAL: "{} != 1",
    Operator.IN: "1 in {}",
    Operator.NOT_IN: "1 not in {}",
    Operator.MATCHES: "{} matches 1",
    Operator.NOT_MATCHES: "{} not matches 1",
    Operator.IS_EMPTY: "{} is empty",
    Operator.IS_NOT_EMPTY: "{} is not empty",
}
EQUALITY = {Operator.EQUAL, Operator.NOT_EQUAL}
MEMBERSHIP = {Operator.IN, Operator.NOT_IN}
TEXT = EQUALITY | MEMBERSHIP | {Operator.MATCHES, Operator.NOT_MATCHES}
EMPTINESS = {Operator.IS_EMPTY, Operator.IS_NOT_EMPTY}

_CHECK = {"text": "CheckID Name Node Notes Output ServiceID ServiceName Status", "list": "ServiceTags"}
_NODE = {
    "text": "Address Datacenter ID Meta.any Node TaggedAddresses.any",
    "list": "Meta TaggedAddresses",
}
_SERVICE = {
    "text": "Address ID Kind Meta.any Service SocketPath TaggedAddresses.any.Address Proxy.DestinationServiceID"
    " Proxy.DestinationServiceName Proxy.LocalServiceAddress Proxy.LocalServiceSocketPath Proxy.MeshGateway.Mode"
    " Proxy.Mode Proxy.Upstreams.Datacenter Proxy.Upstreams.DestinationName Proxy.Upstreams.DestinationNamespace"
    " Proxy.Upstreams.DestinationType Proxy.Upstreams.LocalBindAddress Proxy.Upstreams.LocalBindSocketMode"
    " Proxy.Upstreams.LocalBindSocketPath Proxy.Upstreams.MeshGateway.Mode",
    "plain": "Connect.Native EnableTagOverride Port Proxy.LocalServicePort Proxy.TransparentProxy.OutboundListenerPort"
    " Proxy.Upstreams.LocalBindPort TaggedAddresses.any.Port Weights.Passing Weights.Warning",
    "list": "Meta TaggedAddresses Tags",
    "records": "Proxy.Upstreams",
}


def _below(prefix: str, fields: dict[str, str]) -> dict[str, str]:
    return {kind: " ".join(f"{prefix}.{name}" for name in names.split()) for kind, names in fields.items()}


def _together(*parts: dict[str, str]) -> dict[str, str]:
    kinds = {kind for part in parts for kind in part}
    return {kind: " ".join(part[kind] for part in parts if kind in part) for kind in kinds}


SELECTORS: dict[type[Record], dict[str, str]] = {
    Node: _NODE,
    HealthCheck: _CHECK,
    NodeService: _SERVICE,
    AgentService: _SERVICE,
    CheckServiceNode: _together(
        {"records": "Checks"}, _below("Checks", _CHECK), _below("Node", _NODE), _below("Service", _SERVICE)
    ),
    ServiceNode: {
        "text": "Address Datacenter ID Node NodeMeta.any ServiceAddress ServiceID ServiceKind ServiceMeta.any"
        " ServiceName ServiceProxy.DestinationServiceName ServiceProxy.Upstreams.DestinationName"
        " ServiceTaggedAddresses.any.Address TaggedAddresses.any ServiceSocketPath",
        "plain": "ServiceConnect.Native ServiceEnableTagOverride ServicePort ServiceWeights.Passing"
        " ServiceWeights.Warning ServiceTaggedAddresses.any.Port ServiceProxy.LocalServicePort",
        "list": "NodeMeta ServiceMeta ServiceTaggedAddresses ServiceTags TaggedAddresses",
        "records": "ServiceProxy.Upstreams",
    },
}
OPERATORS = {"text": TEXT, "plain": EQUALITY, "list": MEMBERSHIP | EMPTINESS, "records": EMPTINESS}


class SelectorTests(SynchronousTestCase):
    """Fields, and what may be asked of each."""

    def test_everyPair(self) -> None:
        """Each documented selector takes the documented operators, and refuses all others."""
        for record, kinds in SELECTORS.items():
            for kind, names in kinds.items():
                for name in names.split():
                    for operator, form in WRITTEN.items():
                        self.assertEqual(
                            self.taken(form.format(name), record), operator in OPERATORS[kind], (record, name, operator)
                        )

    def taken(self, expression: str, record: type[Record]) -> bool:
        """Is there such a filter? If not, it is because of the operator."""
        try:
            filter_for(expression, record)
        except BadExpression as error:
            self.assertIn("Invalid match operator", str(error), expression)
            return False
        return True
