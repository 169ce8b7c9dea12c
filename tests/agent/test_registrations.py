"""What is registered with an agent: taken or refused, run, kept, brought back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.agent.local_agent import LocalAgent
from txconsul.agent.definitions import as_configured, from_configuration
from txconsul.agent.running_checks import Limits
from txconsul.codec.json import encode
from txconsul.endpoints.agent_services import shown_service
from txconsul.errors import BadRequest, InvalidRequest, NotFound
from txconsul.records.agent import CheckDefinition
from txconsul.records.health import CRITICAL, PASSING, WARNING
from txconsul.records.service import (
    CheckType,
    ConnectProxyConfig,
    ExposeConfig,
    ExposePath,
    MeshGatewayConfig,
    ServiceAddress,
    ServiceConnect,
    ServiceDefinition,
    Upstream,
    Weights,
)

SECOND = 1_000_000_000


class RegistrationTestCase(SynchronousTestCase):
    """A test case with an agent, whose data directory outlives it."""

    def setUp(self) -> None:
        """An agent that runs."""
        self.directory = self.mktemp()
        self.agent = self.started()

    def started(self, services: Any = (), checks: Any = (), **more: Any) -> LocalAgent:
        """An agent on the same data directory."""
        agent = LocalAgent(self.directory, **more)
        agent.registrations.load(services, checks)
        agent.registrations.startService()
        self.addCleanup(agent.registrations.stopService)
        return agent

    def register(self, name: str, *checks: CheckType, replace: bool = False, **more: Any) -> None:
        """Run a service."""
        definition = ServiceDefinition(name=name, checks=checks or None, **more)
        self.agent.registrations.register_service(definition, "secret", replace)

    def ttl(self, id: str = "", seconds: int = 600, **more: Any) -> CheckType:
        """A TTL check."""
        return CheckType(check_id=id, ttl=seconds * SECOND, **more)

    def status(self, id: str) -> tuple[str, str]:
        """What a check says."""
        check = self.agent.registrations.checks()[id]
        return check.status, check.output


class ServiceTests(RegistrationTestCase):
    """Services."""

    def test_completed(self) -> None:
        """Id, weights and tagged addresses follow from the rest."""
        self.register("web", address="127.0.0.9", port=80)
        found = self.agent.registrations.services()["web"]
        own = ServiceAddress(address="127.0.0.9", port=80)
        self.assertEqual(found.tagged_addresses, {"lan_ipv4": own, "wan_ipv4": own})
        self.assertEqual(found.weights, Weights(passing=1, warning=1))

    def test_upstreamsThroughGateways(self) -> None:
        """What a proxy says of gateways holds for its upstreams, in the agent and in the catalog."""
        proxy = ConnectProxyConfig(
            destination_service_name="web",
            mesh_gateway=MeshGatewayConfig(mode="local"),
            upstreams=(Upstream(destination_name="db", local_bind_port=1),),
            expose=ExposeConfig(paths=(ExposePath(path="/", listener_port=2),)),
        )
        self.register("side", kind="connect-proxy", port=1, proxy=proxy)
        found = self.agent.registrations.services()["side"]
        self.assertEqual([one.mesh_gateway.mode for one in found.proxy.upstreams or ()], ["local"])
        shown = shown_service(found, "dc1").proxy
        assert shown is not None
        self.assertEqual(json.loads(encode(shown))["Expose"]["Paths"][0]["ParsedFromCheck"], False)

    def test_checkIds(self) -> None:
        """A single check is named after its service, several are numbered; one with an id keeps it."""
        self.register("one", self.ttl())
        self.register("two", self.ttl(), self.ttl("own"), self.ttl())
        expected = {"service:one", "service:two:1", "own", "service:two:3"}
        self.assertEqual({*self.agent.registrations.checks()}, expected)

    def test_refused(self) -> None:
        """Definitions that contradict themselves, in Consul's words; nothing of them stays."""
        proxy = ConnectProxyConfig(destination_service_name="api")
        wild = ConnectProxyConfig(upstreams=(Upstream(destination_name="*", local_bind_port=1),))
        for definition, text in (
            (ServiceDefinition(), "Missing service name"),
            (ServiceDefinition(name="a", address="0.0.0.0"), "Invalid service address"),
            (
                ServiceDefinition(name="a", weights=Weights(passing=0, warning=1)),
                "Invalid Weights: Passing must be greater than 0",
            ),
            (
                ServiceDefinition(name="a", meta={"b c": ""}),
                "Invalid Service Meta: Couldn't load metadata pair ('b c', ''): Key contains invalid characters",
            ),
            (
                ServiceDefinition(name="a", kind="connect-proxy", proxy=proxy),
                "Validation failed: 1 error occurred:\n\t* Port or SocketPath must be set for a connect-proxy\n\n",
            ),
            (
                ServiceDefinition(name="a", connect=ServiceConnect(sidecar_service=ServiceDefinition(id="own"))),
                "Validation failed: 1 error occurred:\n\t* A SidecarService cannot specify an ID as this is managed by"
                " the agent\n\n",
            ),
            (
                ServiceDefinition(name="a", connect=ServiceConnect(sidecar_service=ServiceDefinition(proxy=wild))),
                "Failed Validation: 1 error occurred:\n\t* upstream destination name cannot be a wildcard\n\n",
            ),
            (
                ServiceDefinition(name="a", check=CheckType(name="no kind")),
                "Invalid check: TTL must be > 0 for TTL checks",
            ),
            (
                ServiceDefinition(name="a", check=self.ttl(status="fine")),
                "Status for checks must 'passing', 'warning', 'critical'",
            ),
        ):
            error = self.assertRaises(BadRequest, self.agent.registrations.register_service, definition, "", False)
            self.assertEqual(str(error), text)
        self.assertEqual(self.agent.registrations.services(), {})

    def test_kindsNotRun(self) -> None:
        """A check that this release cannot run is refused rather than never run."""
        unit = CheckType(os_service="cron", interval=SECOND)
        error = self.assertRaises(InvalidRequest, self.register, "web", unit)
        self.assertEqual(str(error), "not implemented")
        script = CheckType(script_args=("true",), interval=SECOND)
        error = self.assertRaises(InvalidRequest, self.register, "web", script)
        self.assertIn("disabled on this agent from remote calls", str(error))
        self.assertEqual(self.agent.registrations.services(), {})

    def test_unspeakable(self) -> None:
        """A name that DNS has no letters for, and an address by tag that is none, are refused of a sidecar, too."""
        said = "contains invalid characters. Valid characters include all alpha-numerics and dashes."
        places = {"lan_ipv6": ServiceAddress(address="10.0.0.1")}
        sidecar = ServiceConnect(sidecar_service=ServiceDefinition(name="b c"))
        for definition, text in (
            (ServiceDefinition(name="a.b"), f"Service name a.b {said}"),
            (ServiceDefinition(name=" "), f"Service name   {said}"),
            (ServiceDefinition(name="a", port=1, connect=sidecar), f"Service name b c {said}"),
            (
                ServiceDefinition(name="a", tagged_addresses=places),
                'Service tagged address "lan_ipv6" must be a valid ipv6 address',
            ),
        ):
            error = self.assertRaises(InvalidRequest, self.agent.registrations.register_service, definition, "", False)
            self.assertEqual(str(error), text)
        self.assertEqual(self.agent.registrations.services(), {})
        self.agent.registrations.register_service(ServiceDefinition(name="-A\\9"), "", False)

    def test_twice(self) -> None:
        """Of two checks of one id, the last runs, with what was said before the registration, not by the other."""
        checks = (self.ttl("same", status=PASSING), self.ttl("same", notes="last"))
        self.agent.registrations.register_service(ServiceDefinition(name="web", checks=checks), "", False)
        found = self.agent.registrations.checks()["same"]
        self.assertEqual((found.notes, found.status), ("last", CRITICAL))

    def test_replaced(self) -> None:
        """Checks that a new registration does not name stay, or go if they are to be replaced; a status is kept."""
        self.register("web", self.ttl("a", status=PASSING), self.ttl("b"))
        self.register("web", self.ttl("a"))
        self.assertEqual({*self.agent.registrations.checks()}, {"a", "b"})
        self.register("web", self.ttl("a"), self.ttl("c"), replace=True)
        self.assertEqual({*self.agent.registrations.checks()}, {"a", "c"})
        self.assertEqual(self.status("a"), (PASSING, ""))

    def test_deregistered(self) -> None:
        """It goes with its checks; what is not there cannot."""
        self.register("web", self.ttl())
        self.agent.registrations.deregister_service("web")
        self.assertEqual(self.agent.registrations.checks(), {})
        error = self.assertRaises(NotFound, self.agent.registrations.deregister_service, "web")
        self.assertIn('Unknown service ID "web"', str(error))

    def test_sidecar(self) -> None:
        """A sidecar comes and goes with its service, on a port of the configured range, with two checks."""
        nested = ServiceDefinition(
            proxy=ConnectProxyConfig(upstreams=(Upstream(destination_name="db", local_bind_port=9),))
        )
        self.register("web", port=80, tags=("v1",), connect=ServiceConnect(sidecar_service=nested))
        found = self.agent.registrations.services()["web-sidecar-proxy"]
        self.assertEqual((found.kind, found.port, found.tags), ("connect-proxy", 21000, ("v1",)))
        self.assertEqual((found.proxy.destination_service_id, found.proxy.local_service_port), ("web", 80))
        self.assertEqual((found.proxy.upstreams or ())[0].destination_type, "service")
        names = [one.name for one in self.agent.registrations.checks().values()]
        self.assertEqual(names, ["Connect Sidecar Listening", "Connect Sidecar Aliasing web"])
        self.register("web", port=81, connect=ServiceConnect(sidecar_service=nested))
        self.assertEqual(self.agent.registrations.services()["web-sidecar-proxy"].port, 21000)
        self.register("b", connect=ServiceConnect(sidecar_service=nested))
        full = ServiceConnect(sidecar_service=nested)
        self.assertRaises(InvalidRequest, self.register, "c", connect=full)
        self.agent.registrations.deregister_service("web")
        self.assertEqual({*self.agent.registrations.services()}, {"b", "b-sidecar-proxy"})

    def test_criticalForTooLong(self) -> None:
        """A service is deregistered after its check was critical for as long as it says, a minute at the least."""
        self.register("doomed", self.ttl("a", deregister_critical_service_after=SECOND))
        self.register("saved", self.ttl("b", deregister_critical_service_after=SECOND))
        self.register("kept", self.ttl("c"))
        self.agent.clock.advance(30)
        self.agent.registrations.update_check("b", PASSING, "")
        self.assertEqual(len(self.agent.registrations.services()), 3)
        self.agent.clock.pump([30] * 4)
        self.assertEqual({*self.agent.registrations.services()}, {"saved", "kept"})


class CheckTests(RegistrationTestCase):
    """Checks of their own, and what they are told."""

    def register_check(self, name: str, **more: Any) -> None:
        """Run a check."""
        self.agent.registrations.register_check(CheckDefinition(name=name, **more), "")

    def test_told(self) -> None:
        """A TTL check says what it was told; in time, or it is critical."""
        self.register_check("beat", ttl=3 * SECOND)
        self.assertEqual(self.status("beat"), (CRITICAL, ""))
        self.agent.registrations.update_check("beat", PASSING, "fine")
        self.agent.clock.advance(2.9)
        self.assertEqual(self.status("beat"), (PASSING, "fine"))
        self.agent.clock.advance(0.1)
        self.assertEqual(self.status("beat"), (CRITICAL, "TTL expired (last output before timeout follows): fine"))
        self.agent.registrations.update_check("beat", WARNING, "late")
        self.assertEqual(self.status("beat"), (WARNING, "late"))

    def test_refused(self) -> None:
        """Definitions and updates that cannot be."""
        for definition, text in (
            ({}, "Missing check name"),
            ({"name": "a", "status": "good", "ttl": SECOND}, "Bad check status"),
            (
                {"name": "a", "ttl": SECOND, "interval": SECOND},
                "Invalid check: Interval and TTL cannot both be specified",
            ),
            ({"name": "a", "ttl": SECOND, "output_max_size": -1}, "Invalid check: MaxOutputMaxSize must be positive"),
        ):
            given = CheckDefinition(**definition)  # type: ignore[arg-type]
            error = self.assertRaises(BadRequest, self.agent.registrations.register_check, given, "")
            self.assertEqual(str(error), text)
        orphan = CheckDefinition(name="a", ttl=SECOND, service_id="nobody")
        self.assertRaises(NotFound, self.agent.registrations.register_check, orphan, "")
        self.assertRaises(NotFound, self.agent.registrations.update_check, "none", PASSING, "")
        self.assertRaises(NotFound, self.agent.registrations.deregister_check, "none")
        self.assertRaises(BadRequest, self.agent.registrations.update_check, "none", "superb", "")
        self.register_check("page", http="http://127.0.0.1:1/", interval=SECOND)
        self.assertRaises(InvalidRequest, self.agent.registrations.update_check, "page", PASSING, "")

    def test_outputLimits(self) -> None:
        """Of an output only so much is kept as the agent, or the check, allows; none if it is to be discarded."""
        self.agent = LocalAgent(limits=Limits(output_size_max=8))
        self.register_check("a", ttl=SECOND)
        self.register_check("b", ttl=SECOND, output_max_size=2)
        for id in "ab":
            self.agent.registrations.update_check(id, PASSING, "123456789")
        self.assertEqual(self.status("a")[1], "12345678 ... (captured 8 of 9 bytes)")
        self.assertEqual(self.status("b")[1], "12 ... (captured 2 of 9 bytes)")
        self.agent = LocalAgent(discard=True)
        self.register_check("a", ttl=SECOND)
        self.agent.registrations.update_check("a", PASSING, "123")
        self.assertEqual(self.status("a"), (PASSING, ""))

    def test_maintenance(self) -> None:
        """A node or service in maintenance has a critical check that says why; twice is once."""
        own = self.agent.registrations
        self.register("web")
        own.set_service_maintenance("web", True, "new disks", "")
        own.set_service_maintenance("web", True, "again", "")
        own.set_node_maintenance(True, "", "")
        found = own.checks()
        self.assertEqual(found["_service_maintenance:web"].notes, "new disks")
        self.assertEqual(found["_node_maintenance"].type, "maintenance")
        self.assertIn("no reason was provided", found["_node_maintenance"].notes)
        own.set_service_maintenance("web", False, "", "")
        own.set_node_maintenance(False, "", "")
        own.set_node_maintenance(False, "", "")
        self.assertEqual(own.checks(), {})
        self.assertRaises(NotFound, own.set_service_maintenance, "none", True, "", "")


class PersistenceTests(RegistrationTestCase):
    """What outlives the process."""

    def test_restored(self) -> None:
        """Services, checks, maintenance and what TTL checks said last come back, if that still holds."""
        self.register("web", self.ttl("beat", 600), self.ttl("old", 10), port=80, meta={"a": "b"})
        own = self.agent.registrations
        own.update_check("beat", PASSING, "well")
        own.update_check("old", PASSING, "well")
        own.set_service_maintenance("web", True, "why", "")
        self.register("gone")
        own.deregister_service("gone")
        services = own.services()
        self.agent = self.started()
        self.agent.wall += 0
        self.assertEqual(self.agent.registrations.services(), services)
        self.assertEqual(self.status("beat"), (PASSING, "well"))
        self.assertEqual(self.agent.local.services["web"].token, "secret")
        self.assertIn("_service_maintenance:web", self.agent.registrations.checks())

    def test_expired(self) -> None:
        """What a TTL check said holds for its time, of which a restart takes nothing away and adds nothing."""
        self.register("web", self.ttl("beat", 600))
        self.agent.registrations.update_check("beat", PASSING, "well")
        late = LocalAgent(self.directory)
        late.wall += 599
        late.registrations.load((), ())
        self.agent = late
        self.assertEqual(self.status("beat"), (PASSING, "well"))
        late.clock.advance(1)
        self.assertEqual(
            self.status("beat"), (CRITICAL, "TTL expired"), "who expires says only what it was told itself"
        )
        later = LocalAgent(self.directory)
        later.wall += 601
        later.registrations.load((), ())
        self.agent = later
        self.assertEqual(self.status("beat"), (CRITICAL, ""))

    def test_damaged(self) -> None:
        """A file that cannot be read is told of and left alone, and the others are restored."""
        self.register("web")
        path = Path(self.directory) / "services" / "damaged"
        for text in (b"{", b"[]", b'{"Service": 3}', b'{"Service": {"Port": "x"}}', b"\xff"):
            path.write_bytes(text)
            self.agent = self.started()
            self.assertEqual([*self.agent.registrations.services()], ["web"])
            self.assertTrue(path.is_file())

    def test_private(self) -> None:
        """The files can be read by nobody else: there are tokens in them."""
        self.register("web")
        (file,) = (Path(self.directory) / "services").iterdir()
        self.assertEqual(file.stat().st_mode & 0o777, 0o600)

    def test_filesGoFirst(self) -> None:
        """What a configuration file defines takes the place of what was registered under its id, for good."""
        self.register("web", port=1)
        self.agent = self.started(services=[{"name": "web", "port": 2}])
        self.assertEqual(self.agent.registrations.services()["web"].port, 2)
        self.agent = self.started()
        self.assertEqual(self.agent.registrations.services(), {})


class ConfiguredTests(RegistrationTestCase):
    """Definitions in configuration files."""

    def test_read(self) -> None:
        """A definition's keys become fields, durations and other spellings included."""
        check = {"id": "c", "name": "n", "args": ["x"], "interval": "10s", "h2ping": "h:1", "header": {"A": ["b"]}}
        definition = from_configuration(
            ServiceDefinition,
            {
                "name": "web",
                "tags": ["a"],
                "tagged_addresses": {"lan": {"address": "h", "port": 1}},
                "checks": [check],
                "connect": {"sidecar_service": {"proxy": {"upstreams": [{"destination_name": "db"}]}}},
            },
        )
        (read,) = definition.checks or ()
        self.assertEqual(
            (read.check_id, read.script_args, read.interval, read.h2_ping), ("c", ("x",), 10 * SECOND, "h:1")
        )
        self.assertEqual(read.header, {"A": ("b",)})
        self.assertEqual(definition.tagged_addresses, {"lan": ServiceAddress(address="h", port=1)})
        self.assertEqual(from_configuration(ServiceDefinition, as_configured(definition)), definition)

    def test_weights(self) -> None:
        """Of weights with one number, the other is 1; a number of 0 stays one."""
        for given, wanted in (({"passing": 5}, (5, 1)), ({"warning": 0}, (1, 0)), ({}, (1, 1))):
            read = from_configuration(Weights, given)
            self.assertEqual((read.passing, read.warning), wanted)
            self.assertEqual(from_configuration(Weights, as_configured(read)), read)

    def test_loaded(self) -> None:
        """Services with their checks, and checks of their own, which tell no type."""
        self.agent = self.started(
            [{"name": "web", "check": {"id": "own", "ttl": "10m", "status": "passing"}}],
            [{"id": "disk", "name": "disk", "ttl": "1h"}, {"name": "more", "service_id": "web", "ttl": "1m"}],
        )
        found = self.agent.registrations.checks()
        self.assertEqual({id: one.type for id, one in found.items()}, {"own": "ttl", "disk": "", "more": ""})
        self.assertEqual(found["own"].status, PASSING)
        self.assertEqual(found["more"].service_name, "web")
        self.assertFalse((Path(self.directory) / "services").exists())

    def test_cannotBeRun(self) -> None:
        """A definition that cannot be run is told by its name; a reload with one leaves everything as it was."""
        script = {"name": "s", "args": ["true"], "interval": "1s"}
        off = "Scripts are disabled on this agent; to enable, configure 'enable_script_checks'"
        self.agent = self.started([{"name": "web"}], [{"id": "disk", "name": "disk", "ttl": "1h"}])
        sidecar = {"sidecar_service": {"check": script}}
        for services, checks, whose in (
            ([], [script], "check 's'"),
            ([{"name": "new", "check": script}], [], 'service "new"'),
            ([{"name": "new", "port": 1, "connect": sidecar}], [], 'service "new"'),
        ):
            error = self.assertRaises(InvalidRequest, self.agent.registrations.reload, services, checks)
            self.assertTrue(str(error).startswith(f"Failed to register {whose}: {off}"), str(error))
            self.assertEqual({*self.agent.registrations.services()}, {"web"})
            self.assertEqual({*self.agent.registrations.checks()}, {"disk"})
            self.assertRaises(InvalidRequest, self.started, services, checks)

    def test_nobodys(self) -> None:
        """A service without a name, and a check of a service that nobody runs, stop a reload before anything goes."""
        self.agent = self.started([{"name": "web", "connect": {"sidecar_service": {}}}], [])
        self.register("by-api")
        ttl = {"name": "c", "ttl": "1h"}
        for services, checks, text in (
            ([{"name": "new"}, {"port": 1}], [], 'Failed to register service "": Service name missing'),
            ([{"name": "new"}], [{**ttl, "service_id": "web"}], "check 'c': ServiceID \"web\" does not exist"),
        ):
            error = self.assertRaises(InvalidRequest, self.agent.registrations.reload, services, checks)
            self.assertIn(text, str(error))
            self.assertEqual({*self.agent.registrations.services()}, {"web", "web-sidecar-proxy", "by-api"})
        for owner in ("web", "web-sidecar-proxy", "by-api"):
            files = [{"name": "web", "connect": {"sidecar_service": {}}}], [{**ttl, "service_id": owner}]
            self.agent.registrations.reload(*files)
            self.assertEqual(self.agent.registrations.checks()["c"].service_id, owner)

    def test_everyKind(self) -> None:
        """Each kind in a file's words; a ping is by TLS and 4096 bytes of output are kept unless told otherwise."""
        every = {"interval": "10s"}
        kinds = {
            "http": {"http": "http://h/", "method": "POST", "body": "b", "disable_redirects": True},
            "tcp": {"tcp": "h:1", "tcp_use_tls": True},
            "udp": {"udp": "h:1"},
            "grpc": {"grpc": "h:1/s", "grpc_use_tls": True, "tls_server_name": "n", "tls_skip_verify": True},
            "h2ping": {"h2ping": "h:1"},
            "script": {"args": ["true"], "output_max_size": 9},
            "docker": {"args": ["true"], "docker_container_id": "c", "shell": "/bin/sh"},
        }
        checks = [{"id": kind, "name": kind, **every, **more} for kind, more in kinds.items()]
        checks += [{"id": "ttl", "ttl": "1m"}, {"id": "alias", "alias_service": "web", "alias_node": ""}]
        self.agent = self.started([{"name": "web", "checks": checks}], [], limits=Limits(scripts_local=True))
        found = self.agent.registrations.checks()
        self.assertEqual({id: one.type for id, one in found.items()}, {id: id for id in (*kinds, "ttl", "alias")})
        read = {one["id"]: from_configuration(CheckType, one) for one in checks}
        self.assertEqual((read["h2ping"].h2_ping_use_tls, read["http"].h2_ping_use_tls), (True, False))
        plain = from_configuration(CheckType, {"h2ping": "h:1", "h2ping_use_tls": False})
        self.assertFalse(plain.h2_ping_use_tls)
        self.assertEqual((read["script"].output_max_size, read["udp"].output_max_size), (9, 4096))

    def test_reloaded(self) -> None:
        """A reload takes up what files define now; what checks said and what the API registered stays."""
        checks = [{"id": "disk", "name": "disk", "ttl": "1h"}]
        self.agent = self.started([{"name": "web", "port": 1}, {"name": "old"}], checks)
        self.register("by-api")
        self.agent.registrations.register_check(CheckDefinition(name="of-old", service_id="old", ttl=SECOND), "")
        self.agent.registrations.register_check(CheckDefinition(name="of-web", service_id="web", ttl=SECOND), "")
        self.agent.registrations.update_check("disk", PASSING, "roomy")
        self.agent.registrations.reload([{"name": "web", "port": 2, "tags": ["blue"]}, {"name": "fresh"}], checks)
        self.assertEqual({*self.agent.registrations.services()}, {"web", "fresh", "by-api"})
        self.assertEqual(self.agent.registrations.services()["web"].port, 2)
        self.assertEqual({*self.agent.registrations.checks()}, {"disk", "of-web"})
        self.assertEqual(self.agent.registrations.checks()["of-web"].service_tags, ("blue",))
        self.assertEqual(self.status("disk"), (PASSING, "roomy"))
