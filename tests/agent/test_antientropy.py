"""The catalog is made to say of a node what its agent says."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.agent.local_agent import NODE, LocalAgent, fields
from txconsul.agent.antientropy import (
    ADDRESSES_SECONDS,
    INTERVAL_SECONDS,
    REPAIRS_AT_ONCE,
    SETTLE_SECONDS,
    repairs,
    said,
    same_check,
    same_service,
    scale,
)
from txconsul.agent.local import LocalState
from txconsul.errors import InvalidRequest, NoLeader
from txconsul.records.agent import CheckDefinition, RegisterServiceRequest
from txconsul.records.autopilot import SystemMetadataEntry, SystemMetadataRequest
from txconsul.records.catalog import DeregisterRequest, RegisterRequest
from txconsul.records.health import CRITICAL, PASSING, SERF_HEALTH, WARNING, HealthCheck
from txconsul.records.service import CheckType, NodeService, ServiceAddress, ServiceConnect, ServiceDefinition

MINUTE = 60 * 1_000_000_000


def ttl(id: str, **more: Any) -> CheckType:
    """A TTL check that outlasts every test."""
    return CheckType(check_id=id, ttl=10_000 * MINUTE, **more)


class DifferenceTests(SynchronousTestCase):
    """What counts as a difference, and what does not."""

    def test_services(self) -> None:
        """Indexes and the spelling of emptiness are no difference, everything else is."""
        one = NodeService(id="web", service="web", tags=(), meta={})
        self.assertTrue(same_service(one, NodeService(id="web", service="web", create_index=4, modify_index=9)))
        self.assertFalse(same_service(one, NodeService(id="web", service="web", port=1)))
        self.assertFalse(same_service(one, NodeService(id="web", service="web", tags=("a",))))

    def test_checks(self) -> None:
        """An output counts only where it is not told later."""
        one = HealthCheck(node="a", check_id="c", status=PASSING, output="1")
        other = msgspec.structs.replace(one, output="2", node="A")
        self.assertFalse(same_check(one, other, with_output=True))
        self.assertTrue(same_check(one, other, with_output=False))
        self.assertFalse(same_check(one, msgspec.structs.replace(one, status=CRITICAL), with_output=False))

    def test_scale(self) -> None:
        """The interval grows by itself with each doubling of the cluster beyond 128 nodes."""
        self.assertEqual([scale(n) for n in (0, 1, 128, 129, 256, 257, 1024)], [1, 1, 1, 2, 2, 3, 4])


class RepairTests(SynchronousTestCase):
    """What is asked, and what at the same time."""

    def test_batches(self) -> None:
        """The first brings the node along; then services with their checks, many at once; then what is left."""
        local = LocalState(0.0, False, Random(1))
        for number in range(REPAIRS_AT_ONCE + 2):
            local.add_service(NodeService(id=f"s{number}", service="s"))
        local.add_check(HealthCheck(check_id="own", service_id="s1"), 0.0)
        local.add_check(HealthCheck(check_id="node"), 0.0)
        batches = []
        for batch in repairs(local, NODE):
            batches.append([(one.request.service, one.request.checks, one.request.skip_node_update) for one in batch])
            for one in batch:
                one.done(0.0)
        self.assertEqual([len(batch) for batch in batches], [1, REPAIRS_AT_ONCE, 1, 1])
        self.assertEqual([skipped for batch in batches for _, _, skipped in batch], [False] + [True] * 66)
        self.assertEqual([check.check_id for check in batches[1][0][1]], ["own"])
        self.assertEqual([check.check_id for check in batches[3][0][1]], ["node"])
        self.assertEqual(list(repairs(local, NODE)), [])

    def test_nodeAlone(self) -> None:
        """The node by itself, where nothing else is to be told."""
        ((one,),) = repairs(LocalState(0.0, False, Random(1)), NODE)
        self.assertEqual((one.request.service, one.request.checks), (None, None))


class SaidTests(SynchronousTestCase):
    """What the log says that the catalog was told."""

    def test_each(self) -> None:
        """Services, checks and the node by itself, told and taken back."""
        web = NodeService(id="web1")
        for told, words in (
            (RegisterRequest(node="n"), "Synced node info"),
            (RegisterRequest(service=web, checks=(HealthCheck(check_id="c"),)), "Synced service: service=web1"),
            (RegisterRequest(check=HealthCheck(check_id="c")), "Synced check: check=c"),
            (DeregisterRequest(service_id="web1"), "Deregistered service: service=web1"),
            (DeregisterRequest(check_id="c"), "Deregistered check: check=c"),
        ):
            self.assertEqual(said(told), words)


class SyncTests(SynchronousTestCase):
    """The service, by its clock."""

    def setUp(self) -> None:
        """An agent that runs."""
        self.agent = LocalAgent()
        self.agent.start()
        self.addCleanup(self.agent.stop)

    def register(self, name: str, *checks: CheckType, **more: Any) -> None:
        """Run a service."""
        definition = ServiceDefinition(name=name, checks=checks or None, **more)
        self.agent.registrations.register_service(definition, "", False)

    def told_checks(self, since: int) -> list[HealthCheck]:
        """The checks in what was proposed since."""
        requests = [request for _, request in self.agent.served.consensus.proposed[since:]]
        return [check for one in requests for check in getattr(one, "checks", None) or ()]

    def test_atOnce(self) -> None:
        """What is registered is told in the same turn, a service together with its checks."""
        self.register("web", ttl("beat", status=PASSING), port=80)
        before = len(self.agent.served.consensus.proposed)
        self.agent.clock.advance(0)
        self.assertEqual(len(self.agent.served.consensus.proposed), before + 1)
        self.assertEqual(self.agent.services()["web"].port, 80)
        self.assertEqual(self.agent.checks()["beat"].status, PASSING)

    def test_removed(self) -> None:
        """What is deregistered goes, its checks with it, and is forgotten here, too."""
        self.register("web", ttl("beat"))
        self.agent.clock.advance(0)
        self.agent.registrations.deregister_service("web")
        self.agent.clock.advance(0)
        self.assertEqual((self.agent.services(), self.agent.checks()), ({}, {}))
        self.assertEqual((self.agent.local.services, self.agent.local.checks), ({}, {}))

    def test_registeredAgain(self) -> None:
        """A registration that changes nothing writes nothing; clients send theirs again and again."""
        for _ in range(2):
            self.register("web", ttl("beat"), port=80)
            self.agent.clock.advance(0)
            before = len(self.agent.served.consensus.proposed)
        self.register("web", ttl("beat"), port=80)
        self.agent.clock.advance(0)
        self.assertEqual(len(self.agent.served.consensus.proposed), before)

    def test_outputWaits(self) -> None:
        """A new output alone is told within one and a half intervals, a new status at once."""
        self.register("web", ttl("beat", status=PASSING))
        self.agent.clock.advance(0)
        self.agent.registrations.update_check("beat", PASSING, "first")
        self.agent.clock.advance(1)
        self.assertEqual(self.agent.checks()["beat"].output, "")
        self.agent.registrations.update_check("beat", PASSING, "second")
        self.agent.clock.pump([50] * 10)
        self.assertEqual(self.agent.checks()["beat"].output, "second")
        self.agent.registrations.update_check("beat", WARNING, "third")
        self.agent.clock.advance(0)
        self.assertEqual(self.agent.checks()["beat"].output, "third")

    def test_firstResultEarly(self) -> None:
        """A result that comes before the registration was told is told after it, by a write of its own."""
        before = len(self.agent.served.consensus.proposed)
        self.register("web", ttl("beat"))
        self.agent.registrations.update_check("beat", PASSING, "well")
        self.agent.clock.advance(0)
        self.agent.clock.advance(0)
        told = self.told_checks(before)
        self.assertEqual([(one.status, one.output) for one in told], [(CRITICAL, ""), (PASSING, "well")])

    def test_firstOutputEarly(self) -> None:
        """Where only the output differs, that waits as it always does."""
        before = len(self.agent.served.consensus.proposed)
        self.register("web", ttl("beat", status=PASSING))
        self.agent.registrations.update_check("beat", PASSING, "well")
        self.agent.clock.advance(0)
        self.agent.clock.advance(1)
        self.assertEqual(len(self.agent.served.consensus.proposed), before + 1)
        self.agent.clock.pump([50] * 10)
        self.assertEqual(self.agent.checks()["beat"].output, "well")

    def test_unreachableMeanwhile(self) -> None:
        """While nobody can be told, only the latest is kept to be told."""
        self.agent.served.consensus.refused = NoLeader()
        self.agent.served.site.me = self.agent.served.site.me._replace(is_leader=False, leader_known=False)
        self.register("web", ttl("beat"))
        self.agent.registrations.update_check("beat", PASSING, "well")
        self.agent.clock.pump([1] * 60)
        self.agent.served.consensus.refused = None
        before = len(self.agent.served.consensus.proposed)
        self.agent.served.lead()
        self.agent.clock.pump([1] * 31)
        told = self.told_checks(before)
        self.assertEqual([(one.status, one.output) for one in told], [(PASSING, "well")])

    def test_strangers(self) -> None:
        """What others wrote in the catalog is undone by the next comparison; the servers' own entries stay."""
        self.register("web", port=80)
        self.agent.clock.advance(0)
        stranger = NodeService(id="stranger", service="stranger")
        edited = NodeService(id="web", service="web", port=9999)
        odd = HealthCheck(node="a", check_id="odd", name="odd", status=CRITICAL)
        for more in ({"service": stranger}, {"service": edited}, {"check": odd}):
            self.agent.served.call("Catalog.Register", RegisterRequest(**fields(NODE), **more))
        self.agent.clock.advance(2 * INTERVAL_SECONDS)
        self.assertEqual({id: one.port for id, one in self.agent.services().items()}, {"web": 80})
        self.assertEqual(self.agent.checks(), {})
        found = self.agent.served.store.catalog.node_services("a")[1]
        assert found is not None
        self.assertIn("consul", found[1])
        self.assertIn(SERF_HEALTH, [one.check_id for one in self.agent.served.store.catalog.node_checks("a")[1]])

    def test_nodeGone(self) -> None:
        """A node that somebody deregistered comes back, with all that it has."""
        self.register("web", ttl("beat"))
        self.agent.clock.advance(0)
        self.agent.served.call("Catalog.Deregister", DeregisterRequest(datacenter="dc1", node="a"))
        self.agent.clock.advance(2 * INTERVAL_SECONDS)
        self.assertEqual([*self.agent.services()], ["web"])
        self.assertEqual([*self.agent.checks()], ["beat"])

    def test_overriddenTags(self) -> None:
        """Tags of a service that allows it are the catalog's; those of another are the agent's."""
        for name, allowed in (("free", True), ("bound", False)):
            self.register(name, tags=("old",), enable_tag_override=allowed)
            self.agent.clock.advance(0)
            edited = NodeService(id=name, service=name, tags=("new",), enable_tag_override=allowed)
            self.agent.served.call("Catalog.Register", RegisterRequest(**fields(NODE), service=edited))
        self.agent.clock.advance(2 * INTERVAL_SECONDS)
        self.assertEqual(self.agent.services()["free"].tags, ("new",))
        self.assertEqual(self.agent.registrations.services()["free"].tags, ("new",))
        self.assertEqual(self.agent.services()["bound"].tags, ("old",))

    def test_virtualAddress(self) -> None:
        """A service of the mesh shows the address that the servers gave it a moment later; asking for it ends then."""
        entry = SystemMetadataEntry(key="virtual-ips", value="true")
        request = SystemMetadataRequest(datacenter="dc1", op="upsert", entry=entry)
        self.agent.served.call("SystemMetadata.Apply", request)
        self.register("web", port=80, connect=ServiceConnect(native=True))
        self.agent.clock.advance(0)
        asked = self.agent.served.door.asked
        before = asked["Catalog.NodeServices"]
        self.agent.clock.pump([ADDRESSES_SECONDS / 4] * 40)
        found = self.agent.registrations.services()["web"].tagged_addresses or {}
        self.assertEqual(found["consul-virtual"], ServiceAddress(address="240.0.0.1", port=80))
        self.assertEqual(asked["Catalog.NodeServices"], before + 1)

    def test_triedAgain(self) -> None:
        """What fails is tried again, more and more rarely, until it succeeds."""
        self.agent.served.consensus.refused = InvalidRequest("not now")
        self.register("web")
        self.agent.clock.pump([0.5] * 20)
        self.assertEqual(self.agent.services(), {})
        self.agent.served.consensus.refused = None
        self.agent.clock.pump([1] * 31)
        self.assertEqual([*self.agent.services()], ["web"])

    def test_oneIsRefused(self) -> None:
        """A registration that the servers refuse keeps no other from being told at once."""
        self.agent.local.add_service(NodeService(id="bad", service="bad", address="0.0.0.0"))
        self.agent.clock.pump([1] * 100)
        self.register("web")
        self.agent.clock.advance(0)
        self.assertEqual([*self.agent.services()], ["web"])

    def test_noLeader(self) -> None:
        """Without a leader nothing is lost; once there is one, everything is told."""
        self.agent.served.consensus.refused = NoLeader()
        self.agent.served.site.me = self.agent.served.site.me._replace(is_leader=False, leader_known=False)
        self.register("web")
        self.agent.clock.pump([1] * 60)
        self.agent.served.consensus.refused = None
        self.agent.served.lead()
        self.agent.clock.pump([1] * 31)
        self.assertEqual([*self.agent.services()], ["web"])

    def test_settled(self) -> None:
        """A change is answered when the catalog was told of the one before, or at the latest after half a second."""
        self.assertIsNone(self.agent.entropy.settled())
        for answered in (True, False):
            under_way: Deferred[None] = Deferred()
            self.patch(self.agent.served.consensus, "propose", lambda data, record, answer=under_way: answer)
            self.register(f"web{answered}")
            self.assertIsNone(self.agent.entropy.settled())
            self.agent.clock.advance(0)
            definition = ServiceDefinition(name="next")
            waiting = self.agent.served.call("Agent.RegisterService", RegisterServiceRequest(definition=definition))
            self.assertIn("next", self.agent.registrations.services())
            self.assertNoResult(waiting)
            if answered:
                under_way.callback(None)
            else:
                self.agent.clock.advance(SETTLE_SECONDS)
            self.successResultOf(waiting)

    def test_changedMeanwhile(self) -> None:
        """A check that changes while it is being told is told again."""
        self.register("web", ttl("beat", status=PASSING))
        self.agent.served.consensus.refused = NoLeader()
        self.agent.clock.advance(0)
        self.agent.registrations.update_check("beat", CRITICAL, "late")
        self.agent.served.consensus.refused = None
        self.agent.served.lead()
        self.agent.clock.pump([1] * 31)
        self.assertEqual(self.agent.checks()["beat"].status, CRITICAL)

    def test_stopped(self) -> None:
        """A service that was stopped asks nothing any more."""
        self.agent.entropy.stopService()
        before = dict(self.agent.served.door.asked)
        self.register("web")
        self.agent.clock.pump([10] * 20)
        self.assertEqual(self.agent.served.door.asked, before)


NAMES = st.sampled_from(["web", "db", "mail"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("register"), NAMES, st.integers(1, 3), st.sets(st.sampled_from("xyz"), max_size=2)),
        st.tuples(st.just("deregister"), NAMES),
        st.tuples(st.just("check"), st.sampled_from(["n1", "n2"]), st.sampled_from(["", "web", "db"])),
        st.tuples(st.just("uncheck"), st.sampled_from(["n1", "n2", "web-x", "db-y"])),
        st.tuples(st.just("say"), st.sampled_from(["n1", "web-x", "db-y"]), st.sampled_from([PASSING, CRITICAL])),
        st.tuples(st.just("edit"), NAMES, st.integers(4, 6)),
        st.tuples(st.just("stranger"), NAMES),
        st.tuples(st.just("wait"), st.sampled_from([0, 1, 200])),
        st.tuples(st.just("fail"), st.booleans()),
    ),
    max_size=25,
)


class Model:
    """What an agent runs, naively: services with their ports, checks with their services and statuses."""

    def __init__(self) -> None:
        self.services: dict[str, int] = {}
        self.checks: dict[str, tuple[str, str]] = {}

    def register(self, name: str, port: int, checks: set[str]) -> None:
        """Run a service; checks that are known keep their status."""
        self.services[name] = port
        for one in checks:
            id = f"{name}-{one}"
            self.checks[id] = (name, self.checks.get(id, ("", CRITICAL))[1])

    def deregister(self, name: str) -> None:
        """A service goes, its checks with it."""
        if self.services.pop(name, None) is not None:
            self.checks = {id: one for id, one in self.checks.items() if one[0] != name}

    def check(self, id: str, service: str) -> None:
        """Run a check; one that is known keeps its status."""
        if not service or service in self.services:
            self.checks[id] = (service, self.checks.get(id, ("", CRITICAL))[1])

    def say(self, id: str, status: str) -> None:
        """A check says something."""
        if id in self.checks:
            self.checks[id] = (self.checks[id][0], status)


class ConvergenceTests(SynchronousTestCase):
    """Whatever happens, in the end the catalog has what the agent has."""

    @settings(max_examples=60, deadline=None)
    @given(STEPS)
    def test_model(self, steps: list[Any]) -> None:
        """Any sequence of registrations, edits by others and failures ends in what a naive model has."""
        agent, model = LocalAgent(), Model()
        agent.start()
        for step in steps:
            self.do(agent, model, *step)
        agent.served.consensus.refused = None
        agent.clock.pump([10] * 60)
        self.assertEqual({id: one.port for id, one in agent.services().items()}, model.services)
        self.assertEqual({id: (one.service_id, one.status) for id, one in agent.checks().items()}, model.checks)
        self.assertEqual({*agent.local.services}, {*model.services})
        self.assertEqual({*agent.local.checks}, {*model.checks})
        settled = len(agent.served.consensus.proposed)
        agent.clock.pump([60] * 4)
        self.assertEqual(len(agent.served.consensus.proposed), settled, "it does not come to rest")
        agent.stop()
        self.assertEqual(agent.clock.getDelayedCalls(), [])

    def do(self, agent: LocalAgent, model: Model, what: str, *args: Any) -> None:
        """One step, for both."""
        agent.served.clock.advance(0)
        own = agent.registrations
        if what == "register":
            name, port, marks = args
            checks = tuple([ttl(f"{name}-{mark}") for mark in sorted(marks)])
            own.register_service(ServiceDefinition(name=name, port=port, checks=checks), "", False)
            model.register(name, port, marks)
        elif what == "deregister":
            if args[0] in model.services:
                own.deregister_service(args[0])
            model.deregister(args[0])
        elif what == "check":
            if not args[1] or args[1] in model.services:
                own.register_check(CheckDefinition(name=args[0], service_id=args[1], ttl=10_000 * MINUTE), "")
            model.check(*args)
        elif what == "uncheck":
            if model.checks.pop(args[0], None) is not None:
                own.deregister_check(args[0])
        elif what == "say":
            if args[0] in model.checks:
                own.update_check(args[0], args[1], "said")
            model.say(*args)
        elif what == "wait":
            agent.clock.advance(args[0])
        elif what == "fail":
            agent.served.consensus.refused = NoLeader() if args[0] else None
        elif agent.served.consensus.refused is None:
            name, port = (args[0], args[1]) if what == "edit" else (f"stranger-{args[0]}", 1)
            edited = NodeService(id=name, service=name, port=port)
            agent.served.call("Catalog.Register", RegisterRequest(**fields(NODE), service=edited))
