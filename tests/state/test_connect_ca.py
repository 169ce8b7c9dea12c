"""The certificate authority and the federation, as Consul's leaders write them to the log."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from tests import vectors
from tests.state.driving import Driven, rows
from txconsul.errors import InvalidRequest
from txconsul.records.command import IGNORABLE, Command
from txconsul.records.connect_ca import CAConfiguration, CAConsulProviderState, CALeafRequest, CARequest, CARoot
from txconsul.records.federation import FederationState, FederationStateRequest
from txconsul.records.intention import IntentionRequest
from txconsul.state.commands import UnknownCommand
from txconsul.state.machine import StateMachine

ACTIVE, OTHER = CARoot(id="a", active=True, name="A"), CARoot(id="b", name="B")


class DrivenTestCase(SynchronousTestCase):
    """A state that is driven by commands."""

    def setUp(self) -> None:
        self.it = Driven()
        self.tables = self.it.store.tables

    def ca(self, op: str, **fields: Any) -> Any:
        """A command to the authority."""
        return self.it.apply(Command.CONNECT_CA, CARequest(op=op, **fields))

    def refused(self, result: object, text: str) -> None:
        """It was, with this text."""
        self.assertIsInstance(result, InvalidRequest)
        self.assertEqual(str(result), text)


class RootsTests(DrivenTestCase):
    """Root certificates."""

    def test_replaced(self) -> None:
        """The roots that are given are all there are; one that was there keeps its CreateIndex."""
        self.assertIs(self.ca("set-roots", roots=(ACTIVE, OTHER)), True)
        first = self.it.index
        again = replace(OTHER, active=True)
        self.assertIs(self.ca("set-roots", index=first, roots=(again,)), True)
        self.assertEqual(
            self.tables.ca_roots.rows, {"b": replace(again, create_index=first, modify_index=self.it.index)}
        )
        self.assertEqual(self.tables.index("connect-ca-roots"), self.it.index)

    def test_outdatedIndex(self) -> None:
        """With another index than that of the roots nothing happens, though the answer is yes."""
        self.ca("set-roots", roots=(ACTIVE,))
        before = rows(self.it.store)
        self.assertIs(self.ca("set-roots", index=77, roots=(replace(OTHER, active=True),)), True)
        self.assertEqual(rows(self.it.store), before)

    def test_refused(self) -> None:
        """Exactly one root is active, and each has an id; else nothing changes."""
        before = rows(self.it.store)
        for roots in ((), (OTHER,), (ACTIVE, replace(OTHER, active=True))):
            self.refused(self.ca("set-roots", roots=roots), "there must be exactly one active CA")
        self.refused(self.ca("set-roots", roots=(ACTIVE, CARoot())), "Missing CA Root ID")
        self.refused(self.ca("burn"), "Invalid CA operation 'burn'")
        self.assertEqual(rows(self.it.store), before)

    def test_withTheConfiguration(self) -> None:
        """Roots and configuration together; a configuration that is refused leaves the new roots, as Consul does."""
        self.ca("set-config", config=CAConfiguration(cluster_id="c"))
        known = self.it.index
        result = self.ca("set-roots-config", roots=(ACTIVE,), config=CAConfiguration(modify_index=known, provider="x"))
        self.assertIs(result, True)
        self.assertEqual(self.tables.ca_config.rows[""].provider, "x")
        newer = replace(OTHER, active=True)
        result = self.ca(
            "set-roots-config", index=self.it.index, roots=(newer,), config=CAConfiguration(modify_index=1)
        )
        self.refused(result, "ModifyIndex did not match existing")
        self.assertEqual((list(self.tables.ca_roots.rows), self.tables.ca_config.rows[""].provider), (["b"], "x"))


class ConfigurationTests(DrivenTestCase):
    """Which authority there is."""

    def test_set(self) -> None:
        """It keeps its CreateIndex, and the cluster's id where none is given."""
        self.assertIsNone(self.ca("set-config", config=CAConfiguration(cluster_id="c", provider="x")))
        first = self.it.index
        self.ca("set-config", config=CAConfiguration(provider="y"))
        expected = CAConfiguration(cluster_id="c", provider="y", create_index=first, modify_index=self.it.index)
        self.assertEqual(self.tables.ca_config.rows, {"": expected})

    def test_compared(self) -> None:
        """With a ModifyIndex, only where that is the present one."""
        refusal = "ModifyIndex did not match existing"
        self.refused(self.ca("set-config", config=CAConfiguration(modify_index=3)), refusal)
        self.ca("set-config", config=CAConfiguration(cluster_id="c"))
        self.assertIs(self.ca("set-config", config=CAConfiguration(modify_index=self.it.index, provider="z")), True)
        self.refused(self.ca("set-config", config=CAConfiguration(modify_index=1)), refusal)
        self.assertEqual(self.tables.ca_config.rows[""].provider, "z")


class BuiltinTests(DrivenTestCase):
    """What the built-in authority keeps."""

    def test_states(self) -> None:
        """They are set and deleted by id."""
        self.assertIs(self.ca("set-provider-state", provider_state=CAConsulProviderState(id="p")), True)
        first = self.it.index
        self.ca("set-provider-state", provider_state=CAConsulProviderState(id="p", root_cert="r"))
        row = self.tables.ca_builtin.rows["p"]
        self.assertEqual((row.create_index, row.modify_index, row.root_cert), (first, self.it.index, "r"))
        changed = self.it.index
        self.assertIs(self.ca("delete-provider-state", provider_state=CAConsulProviderState(id="q")), True)
        self.assertEqual(self.tables.index("connect-ca-builtin"), changed)
        self.ca("delete-provider-state", provider_state=CAConsulProviderState(id="p"))
        self.assertEqual((self.tables.ca_builtin.rows, self.tables.index("connect-ca-builtin")), ({}, self.it.index))
        self.assertIsInstance(self.ca("set-provider-state"), InvalidRequest)

    def test_serials(self) -> None:
        """Serial numbers begin after the index of the states, and go up by one."""
        self.ca("set-provider-state", provider_state=CAConsulProviderState(id="p"))
        first = self.it.index
        self.assertEqual(self.ca("increment-provider-serial"), first + 1)
        self.ca("set-provider-state", provider_state=CAConsulProviderState(id="p"))
        self.assertEqual(self.ca("increment-provider-serial"), first + 2)

    def test_leaves(self) -> None:
        """A signed leaf certificate changes nothing."""
        before = rows(self.it.store)
        self.assertEqual(self.it.apply(Command.CONNECT_CA_LEAF, CALeafRequest(op="increment-index")), self.it.index)
        self.refused(self.it.apply(Command.CONNECT_CA_LEAF, CALeafRequest(op="x")), "Invalid CA operation 'x'")
        self.assertEqual(rows(self.it.store), before)


class FederationTests(DrivenTestCase):
    """How other datacenters are reached."""

    def ask(self, op: str, **fields: Any) -> Any:
        """A command."""
        request = FederationStateRequest(op=op, state=FederationState(**fields))
        return self.it.apply(Command.FEDERATION_STATE, request)

    def test_kept(self) -> None:
        """By datacenter, whatever its case; an index of the primary's is kept, or made."""
        self.assertIs(self.ask("upsert", datacenter="dc2"), True)
        first = self.it.index
        row = self.tables.federation_states.rows["dc2"]
        self.assertEqual((row.create_index, row.modify_index, row.primary_modify_index), (first, first, first))
        self.ask("upsert", datacenter="DC2", primary_modify_index=77)
        row = self.tables.federation_states.rows["dc2"]
        self.assertEqual((row.create_index, row.modify_index, row.primary_modify_index), (first, self.it.index, 77))
        self.assertIsNone(self.ask("delete", datacenter="dc3"))
        self.assertEqual(self.tables.index("federation-states"), first + 1)
        self.ask("delete", datacenter="dc2")
        self.assertEqual(
            (self.tables.federation_states.rows, self.tables.index("federation-states")), ({}, self.it.index)
        )

    def test_refused(self) -> None:
        """It names a datacenter and what to do."""
        self.refused(self.ask("upsert"), "missing datacenter on federation state")
        self.refused(self.ask("sow", datacenter="x"), "invalid federation state operation type: sow")


class IntentionTests(DrivenTestCase):
    """What was before the config entries of intentions."""

    def test_endOfTheOldForm(self) -> None:
        """All are gone, and it is noted that there will be no more."""
        self.tables.kept[Command.INTENTION] = [{b"ID": b"x"}]
        self.assertIsNone(self.it.apply(Command.INTENTION, IntentionRequest(op="delete-all")))
        self.assertNotIn(Command.INTENTION, self.tables.kept)
        self.assertEqual(self.tables.metadata.rows["intention-format"].value, "config-entry")
        self.assertEqual(self.tables.index("connect-intentions"), self.it.index)

    def test_othersStop(self) -> None:
        """Another change cannot be applied: the server stops rather than diverge."""
        for request in (IntentionRequest(op="create"), IntentionRequest(op="delete-all", mutation={"ID": "x"})):
            self.assertRaises(UnknownCommand, self.it.apply, Command.INTENTION, request)


class CapturedTests(SynchronousTestCase):
    """A real leader's log."""

    def test_applies(self) -> None:
        """Every one of these commands that was captured is applied, and the state survives a snapshot."""
        machine, seen = StateMachine(), 0
        kinds = {Command.CONNECT_CA, Command.CONNECT_CA_LEAF, Command.FEDERATION_STATE}
        for index, vector in enumerate(vectors.load("log_captured"), 1):
            if vectors.data(vector)[0] & ~IGNORABLE in kinds:
                machine.apply(index, vectors.data(vector), None)
                seen += 1
        self.assertGreater(seen, 3)
        self.assertEqual(sorted(machine.store.tables.federation_states.rows), ["dc1", "dc2"])
        frozen = b"".join(machine.freeze())
        other = StateMachine()
        for _ in other.restore(BytesIO(frozen)):
            continue
        self.assertEqual(b"".join(other.freeze()), frozen)
