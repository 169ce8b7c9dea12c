"""py-consul on services: its agent, catalog, health, query, coordinate, transaction and session calls."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tests.clients.python_client import ClientTestCase, InThread, consul
from tests.real.process import DEADLINE_SECONDS


class DiscoveryTestCase(ClientTestCase):
    """Services and nodes with names of the test's own."""

    def setUp(self) -> None:
        super().setUp()
        self.name = self.prefix.replace(".", "-").replace("_", "-")

    def run_service(self, suffix: str = "", **more: Any) -> str:
        """Register a service with the agent; its id."""
        id = self.name + suffix
        self.assertIs(self.client.agent.service.register(self.name, service_id=id, **more), True)
        self.addCleanup(self.client.agent.service.deregister, id)
        return id

    def node(self, suffix: str = "", meta: dict[str, str] | None = None, **more: Any) -> str:
        """Register a node of the catalog; its name. C{catalog.register} cannot send metadata: they go another way."""
        name = self.name + suffix
        if meta:
            node = {"Node": name, "Address": "10.0.0.1", "Meta": meta}
            self.client.txn.put([{"Node": {"Verb": "set", "Node": node}}])
            more["skip_node_update"] = True
        self.assertIs(self.client.catalog.register(name, "10.0.0.1", **more), True)
        self.addCleanup(self.client.catalog.deregister, name)
        return name

    def comes(self, look: Callable[..., tuple[str, Any]], fits: Callable[[Any], bool]) -> Any:
        """Wait by blocking queries until an answer is right."""
        until = time.monotonic() + DEADLINE_SECONDS
        index, found = look()
        while not fits(found):
            self.assertLess(time.monotonic(), until, found)
            index, found = look(index=index, wait="1s")
        return found

    def healthy(self, wanted: set[str], **more: Any) -> Any:
        """Wait until the catalog has these instances of the test's service."""
        return self.comes(
            lambda **wait: self.client.health.service(self.name, **more, **wait),
            lambda found: {one["Service"]["ID"] for one in found} == wanted,
        )


class AgentTests(DiscoveryTestCase):
    """C{client.agent}"""

    def test_services(self) -> None:
        """A service is registered with all that it may have, shown, found in the catalog, and gone."""
        id = self.run_service(
            "-1",
            address="10.0.0.7",
            port=80,
            tags=["a", "b"],
            meta={"version": "1"},
            weights={"Passing": 5, "Warning": 2},
            enable_tag_override=True,
            tagged_addresses={"lan": {"address": "10.0.0.8", "port": 81}},
            check=consul.Check.ttl("10m"),
        )
        shown = self.client.agent.services()[id]
        for key, value in {
            "Service": self.name,
            "Address": "10.0.0.7",
            "Port": 80,
            "Tags": ["a", "b"],
            "Meta": {"version": "1"},
            "Weights": {"Passing": 5, "Warning": 2},
            "EnableTagOverride": True,
        }.items():
            self.assertEqual(shown[key], value)
        self.assertEqual(shown["TaggedAddresses"]["lan"], {"Address": "10.0.0.8", "Port": 81})
        self.assertEqual(self.client.agent.service_definition(id)["ID"], id)
        self.assertEqual(list(self.client.agent.services(filter_expr=f'ID == "{id}"')), [id])
        (found,) = self.healthy({id})
        self.assertEqual((found["Node"]["Node"], found["Service"]["Port"]), ("one", 80))
        self.assertIs(self.client.agent.service.deregister(id), True)
        self.assertNotIn(id, self.client.agent.services())
        self.healthy(set())
        self.assertIsNone(self.client.agent.service_definition(id))

    def test_replacedChecks(self) -> None:
        """A service is registered again, with other checks or beside those it has."""
        ttl = consul.Check.ttl("10m")
        id = self.run_service(
            check={**ttl, "CheckID": f"{self.name}-a"}, extra_checks=[{**ttl, "CheckID": f"{self.name}-b"}]
        )

        def own() -> set[str]:
            return {key for key in self.client.agent.checks() if key.startswith(self.name)}

        self.assertEqual(own(), {f"{id}-a", f"{id}-b"})
        register = self.client.agent.service.register
        register(self.name, check={**ttl, "CheckID": f"{id}-c"})
        self.assertEqual(own(), {f"{id}-a", f"{id}-b", f"{id}-c"})
        register(self.name, check={**ttl, "CheckID": f"{id}-c"}, replace_existing_checks=True)
        self.assertEqual(own(), {f"{id}-c"})

    def test_timeToLive(self) -> None:
        """A check is passed, warned and failed, with notes, and the catalog follows."""
        id = self.run_service(check=consul.Check.ttl("10m"))
        check, agent = f"service:{id}", self.client.agent
        for act, status in (
            (agent.check.ttl_pass, "passing"),
            (agent.check.ttl_warn, "warning"),
            (agent.check.ttl_fail, "critical"),
        ):
            self.assertIs(act(check, f"is {status}"), True)
            it = agent.checks(filter_expr=f'CheckID == "{check}"')[check]
            self.assertEqual((it["Status"], it["Output"]), (status, f"is {status}"))
            self.comes(
                lambda **wait: self.client.health.checks(self.name, **wait),
                lambda found, status=status: [one["Status"] for one in found] == [status],
            )
        self.healthy(set(), passing=True)
        agent.check.ttl_pass(check)
        self.healthy({id}, passing=True)

    def test_checks(self) -> None:
        """Checks of the node and of a service are registered and deregistered; HTTP and TCP are tried at once."""
        register, deregister = self.client.agent.check.register, self.client.agent.check.deregister
        host, port = self.place
        id = self.run_service(port=port)
        for name, check in {
            "http": consul.Check.http(
                f"http://{host}:{port}/v1/status/leader", "1s", timeout="5s", header={"x-a": ["b"]}
            ),
            "tcp": consul.Check.tcp(host, port, "1s", timeout="5s", deregister="10m"),
        }.items():
            self.assertIs(register(name, check, check_id=f"{id}-{name}", notes="tried", service_id=id), True)
            self.addCleanup(deregister, f"{id}-{name}")
        found = self.comes(
            lambda **wait: self.client.health.checks(self.name, **wait),
            lambda found: {one["Status"] for one in found} == {"passing"} and len(found) == 2,
        )
        self.assertEqual({one["Notes"] for one in found}, {"tried"})
        self.assertIs(register("ours", consul.Check.ttl("1h"), check_id=f"{id}-node"), True)
        it = self.client.agent.checks()[f"{id}-node"]
        self.assertEqual((it["Name"], it["Status"], it["ServiceID"]), ("ours", "critical", ""))
        self.assertIs(deregister(f"{id}-node"), True)
        self.assertNotIn(f"{id}-node", self.client.agent.checks())

    def test_refused(self) -> None:
        """What is wrong is told in the client's exceptions; of what is not there it says False."""
        agent, none = self.client.agent, f"{self.name}-none"
        for wrong in (
            lambda: agent.service.register(""),
            lambda: agent.service.register("a", check={"interval": "1s"}),
            lambda: agent.services(filter_expr="nonsense =="),
        ):
            with self.assertRaises(consul.ConsulException):
                wrong()
        self.assertIs(agent.check.ttl_pass(none), False)
        self.assertIs(agent.check.register("x", consul.Check.ttl("1s"), service_id=none), False)
        self.assertIs(agent.service.maintenance(none, True), False)

    def test_maintenance(self) -> None:
        """A service and the whole node are taken out of use, with a reason, and put back."""
        id = self.run_service()
        agent = self.client.agent
        self.healthy({id}, passing=True)
        self.assertIs(agent.service.maintenance(id, True, "works"), True)
        self.healthy(set(), passing=True)
        self.assertEqual(agent.checks()[f"_service_maintenance:{id}"]["Notes"], "works")
        self.assertIs(agent.service.maintenance(id, False), True)
        self.healthy({id}, passing=True)
        self.assertIs(agent.maintenance(True, "all works"), True)
        self.healthy(set(), passing=True)
        self.assertIs(agent.maintenance(False), True)
        self.healthy({id}, passing=True)

    def test_itself(self) -> None:
        """Itself, its members, its metrics, in both forms; it reads its configuration again."""
        agent = self.client.agent
        self.assertEqual(agent.self()["Member"]["Name"], "one")
        self.assertEqual([one["Name"] for one in agent.members()], ["one"])
        self.assertIn("Gauges", agent.metrics())
        self.assertIs(agent.reload(), True)


class CatalogTests(DiscoveryTestCase):
    """C{client.catalog}"""

    def test_services(self) -> None:
        """The instances of a service by tag, metadata and filter, on their nodes."""
        catalog = self.client.catalog
        for number, tags in enumerate((["a"], ["a", "b"], [])):
            self.node(
                f"-{number}",
                service={"Service": self.name, "ID": f"s{number}", "Port": number, "Tags": tags},
                meta={"rack": f"r{number % 2}"},
            )

        def ids(**more: Any) -> list[str]:
            return [one["ServiceID"] for one in catalog.service(self.name, **more)[1]]

        self.assertEqual(ids(), ["s0", "s1", "s2"])
        self.assertEqual(ids(tag="a"), ["s0", "s1"])
        self.assertEqual(ids(node_meta={"rack": "r0"}), ["s0", "s2"])
        self.assertEqual(ids(filter_expr="ServicePort != 0"), ["s1", "s2"])
        self.assertEqual(ids(near="_agent"), ["s0", "s1", "s2"])
        self.assertEqual(catalog.services()[1][self.name], ["a", "b"])
        self.assertEqual(set(catalog.services(node_meta={"rack": "r1"})[1]), {self.name})
        nodes = [one["Node"] for one in catalog.nodes(node_meta={"rack": "r1"})[1]]
        self.assertEqual(nodes, [f"{self.name}-1"])
        _, node = catalog.node(f"{self.name}-1")
        self.assertEqual((node["Node"]["Address"], list(node["Services"])), ("10.0.0.1", ["s1"]))
        self.assertIsNone(catalog.node("none")[1])
        for consistency in ("default", "consistent", "stale"):
            self.assertEqual(len(catalog.service(self.name, consistency=consistency)[1]), 3)

    def test_blocking(self) -> None:
        """Waiting for one service is not ended by another, nor for one node."""
        catalog = self.client.catalog
        name = self.node(service={"Service": self.name, "Port": 1})
        index, _ = catalog.service(self.name)
        node_index, _ = catalog.node(name)
        calls = [
            InThread(lambda: catalog.service(self.name, index=index, wait="60s")),
            InThread(lambda: self.connect().catalog.node(name, index=node_index, wait="60s")),
        ]
        self.node("-other", service={"Service": f"{self.name}-other"})
        self.other.catalog.register(name, "10.0.0.1", service={"Service": self.name, "Port": 2})
        later, (instance,) = calls[0].answer()
        self.assertEqual(instance["ServicePort"], 2)
        self.assertEqual(int(later), instance["ModifyIndex"])
        self.assertEqual(calls[1].answer()[1]["Services"][self.name]["Port"], 2)

    def test_deregistering(self) -> None:
        """A service goes with its checks, a node with everything."""
        catalog = self.client.catalog
        name = self.node(
            service={"Service": self.name, "ID": "s"},
            check={"CheckID": "c", "Name": "c", "Status": "passing", "ServiceID": "s"},
        )
        catalog.register(name, "10.0.0.1", check={"CheckID": "n", "Name": "n", "Status": "passing"})
        self.assertIs(catalog.deregister(name, service_id="s"), True)
        self.assertEqual([one["CheckID"] for one in self.client.health.node(name)[1]], ["n"])
        self.assertIs(catalog.deregister(name), True)
        self.assertEqual(self.client.health.node(name)[1], [])


class HealthTests(DiscoveryTestCase):
    """C{client.health}"""

    def setUp(self) -> None:
        super().setUp()
        for number, status in enumerate(("passing", "warning", "critical")):
            self.node(
                f"-{number}",
                service={"Service": self.name, "ID": f"s{number}", "Port": number, "Tags": [f"t{number}", "all"]},
                check={"CheckID": f"c{number}", "Name": "c", "Status": status, "ServiceID": f"s{number}"},
                meta={"test": self.name, "number": str(number)},
            )

    def test_service(self) -> None:
        """Instances by health, tags, metadata and filter, with their node and checks."""
        health = self.client.health

        def ids(**more: Any) -> list[str]:
            return [one["Service"]["ID"] for one in health.service(self.name, **more)[1]]

        self.assertEqual(ids(), ["s0", "s1", "s2"])
        self.assertEqual(ids(passing=True), ["s0"])
        self.assertEqual(ids(tag="t1"), ["s1"])
        self.assertEqual(ids(tag=["t1", "all"]), ["s1"])
        self.assertEqual(ids(node_meta={"number": "2"}), ["s2"])
        self.assertEqual(ids(filter_expr='Checks.Status != "critical"'), ["s0", "s1"])
        self.assertEqual(ids(near="_agent"), ["s0", "s1", "s2"])
        (first, *_) = health.service(self.name)[1]
        self.assertEqual((first["Node"]["Node"], first["Checks"][0]["Status"]), (f"{self.name}-0", "passing"))

    def test_checks(self) -> None:
        """Checks of a service, of a node, and in a state."""
        health = self.client.health
        self.assertEqual([one["CheckID"] for one in health.checks(self.name)[1]], ["c0", "c1", "c2"])
        self.assertEqual([one["CheckID"] for one in health.checks(self.name, node_meta={"number": "1"})[1]], ["c1"])
        self.assertEqual([one["Status"] for one in health.node(f"{self.name}-1")[1]], ["warning"])
        states = {
            state: [one["CheckID"] for one in health.state(state, node_meta={"test": self.name})[1]]
            for state in ("any", "passing", "warning", "critical")
        }
        self.assertEqual(states["any"], ["c0", "c1", "c2"])
        self.assertEqual([states[one] for one in ("passing", "warning", "critical")], [["c0"], ["c1"], ["c2"]])

    def test_blocking(self) -> None:
        """Who waits for the healthy is told when one is healthy again."""
        index, _ = self.client.health.service(self.name, passing=True)
        call = InThread(lambda: self.client.health.service(self.name, passing=True, index=index, wait="60s"))
        check = {"CheckID": "c2", "Name": "c", "Status": "passing", "ServiceID": "s2"}
        self.other.catalog.register(f"{self.name}-2", "10.0.0.1", check=check, skip_node_update=True)
        self.assertEqual([one["Service"]["ID"] for one in call.answer()[1]], ["s0", "s2"])


class MoreTests(DiscoveryTestCase):
    """C{client.coordinate}, C{query}, C{txn} and C{session}, where they have to do with services."""

    def test_coordinates(self) -> None:
        """A node's coordinate is told of, and comes to be known."""
        coordinate, name = self.client.coordinate, self.node()
        self.assertEqual([one["Datacenter"] for one in coordinate.datacenters()], ["dc1"])
        point = {"Vec": [0.1] * 8, "Error": 1.5, "Adjustment": 0.0, "Height": 1e-5}
        self.assertIs(coordinate.update(name, point), True)
        (found,) = self.comes(
            lambda **wait: coordinate.nodes(**wait) and _of_node(coordinate, name, wait),
            lambda found: bool(found),
        )
        self.assertEqual((found["Node"], found["Coord"]["Vec"]), (name, [0.1] * 8))

    def test_queries(self) -> None:
        """
        A prepared query is created, shown, changed, carried out by its name, explained, and deleted. This client makes
        each a template, and templates are not carried out by id.
        """
        query = self.client.query
        for number, status in enumerate(("passing", "critical")):
            self.node(
                f"-{number}",
                service={"Service": self.name, "ID": f"s{number}", "Tags": ["all", f"t{number}"]},
                check={"CheckID": "c", "Name": "c", "Status": status, "ServiceID": f"s{number}"},
            )
        id = query.create(self.name, name=f"{self.name}-query", tags=["all"], ttl="10s")["ID"]
        self.assertIn(id, [one["ID"] for one in query.list()])
        self.assertEqual(query.get(id)[0]["Service"]["Tags"], ["all"])
        found = query.execute(f"{self.name}-query")
        self.assertEqual([one["Service"]["ID"] for one in found["Nodes"]], ["s0"])
        self.assertEqual((found["DNS"]["TTL"], found["Datacenter"], found["Failovers"]), ("10s", "dc1", 0))
        with self.assertRaises(consul.ConsulException):
            query.execute(id)
        self.assertIs(query.update(id, self.name, name=f"{self.name}-query", tags=["t1"]), True)
        self.assertEqual(query.execute(f"{self.name}-query")["Nodes"], [])
        template = query.create(service="${match(1)}", name=f"{self.name}-find-", regexp=f"^{self.name}-find-(.*)$")[
            "ID"
        ]
        self.addCleanup(query.delete, template)
        self.assertEqual(query.explain(f"{self.name}-find-web")["Query"]["Service"]["Service"], "web")
        self.assertEqual(len(query.execute(f"{self.name}-find-{self.name}", limit=1)["Nodes"]), 1)
        self.assertIs(query.delete(id), True)
        self.assertIsNone(query.execute(f"{self.name}-query"))

    def test_transaction(self) -> None:
        """Node, service and check are set, read and deleted together."""
        name = self.name
        node = {"Node": name, "Address": "10.0.0.1"}
        service = {"ID": "s", "Service": name, "Port": 80}
        check = {"Node": name, "CheckID": "c", "Name": "c", "Status": "passing", "ServiceID": "s"}
        done = self.client.txn.put(
            [
                {"Node": {"Verb": "set", "Node": node}},
                {"Service": {"Verb": "set", "Node": name, "Service": service}},
                {"Check": {"Verb": "set", "Check": check}},
                {"Service": {"Verb": "get", "Node": name, "Service": service}},
            ]
        )
        self.assertIsNone(done["Errors"])
        self.assertEqual([next(iter(one)) for one in done["Results"]], ["Node", "Service", "Check", "Service"])
        self.healthy({"s"}, passing=True)
        self.client.txn.put([{"Node": {"Verb": "delete", "Node": node}}])
        self.assertEqual(self.client.health.service(name)[1], [])

    def test_sessionOfService(self) -> None:
        """A session ends when the check of a service that it names fails."""
        id = self.run_service(check={**consul.Check.ttl("10m"), "CheckID": self.name, "Status": "passing"})
        self.healthy({id}, passing=True)
        session = self.client.session.create(checks=["serfHealth", self.name], lock_delay=0)
        index, _ = self.client.session.info(session)
        call = InThread(lambda: self.client.session.info(session, index=index, wait="60s"))
        self.other.agent.check.ttl_fail(self.name, "down")
        self.assertIsNone(call.answer()[1])


def _of_node(coordinate: Any, name: str, wait: dict[str, Any]) -> tuple[str, Any]:
    """The coordinates of one node, which is not found as long as there are none."""
    try:
        answer: tuple[str, Any] = coordinate.node(name, **wait)
    except consul.ConsulException:
        return "0", []
    return answer
