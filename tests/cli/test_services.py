"""txconsul services, maint and keygen."""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.cli.invoking import FakeAgent, answer, invoke
from txconsul.cli.service_address import check_address, host_and_port, split_host_port
from txconsul.codec.json import decode
from txconsul.records.service import ServiceDefinition

REGISTER = "PUT /v1/agent/service/register"


class RegisterTests(SynchronousTestCase):
    """txconsul services register."""

    def file(self, content: str, name: str = "svc.hcl") -> str:
        """The name of a new file in a new folder."""
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / name).write_text(content)
        return str(folder / name)

    def test_flags(self) -> None:
        """Flags describe one service; what is not said is not sent."""
        agent = FakeAgent({REGISTER: answer()})
        words = ["-name=web", "-id=w1", "-port=80", "-tag=a", "-tag=b", "-meta=team=x", "-tagged-address=wan=[::1]:9"]
        outcome = invoke("services", "register", *words, agent=agent)
        self.assertEqual((outcome.status, outcome.out, outcome.err), (0, b"Registered service: web\n", ""))
        expected = {
            "Name": "web",
            "ID": "w1",
            "Port": 80,
            "Tags": ["a", "b"],
            "Meta": {"team": "x"},
            "TaggedAddresses": {"wan": {"Address": "::1", "Port": 9}},
        }
        self.assertEqual(json.loads(agent.bodies[0]), expected)

    def test_files(self) -> None:
        """Definitions of files are sent whole, checks with their durations, but not the token."""
        name = self.file(
            """
            service { name = "web", port = 80, token = "secret", weights { passing = 2, warning = 1 }
              check { id = "c", http = "http://127.0.0.1", interval = "10s", header { X = ["y"] } }
              connect { sidecar_service { port = 81 } } }
            services { id = "two-x", name = "two", checks = [{ ttl = "10m" }] }
            """
        )
        agent = FakeAgent({REGISTER: answer()})
        outcome = invoke("services", "register", name, agent=agent)
        self.assertEqual((outcome.status, outcome.err), (0, ""))
        # what stands in lists comes before what stands alone, as everywhere in configurations
        self.assertEqual(sorted(outcome.out.splitlines()), [b"Registered service: two", b"Registered service: web"])
        found = {one.name: one for one in (decode(ServiceDefinition, body) for body in agent.bodies)}
        web, two = found["web"], found["two"]
        self.assertEqual((web.port, web.token, web.check.interval), (80, "", 10_000_000_000))
        self.assertEqual((web.check.http, web.check.header), ("http://127.0.0.1", {"X": ("y",)}))
        assert web.weights is not None and web.connect is not None and web.connect.sidecar_service is not None
        self.assertEqual((web.weights.passing, web.connect.sidecar_service.port), (2, 81))
        assert two.checks is not None
        self.assertEqual((two.id, two.checks[0].ttl), ("two-x", 600_000_000_000))
        self.assertNotIn("Check", json.loads(agent.bodies[outcome.out.splitlines().index(b"Registered service: two")]))

    def test_refused(self) -> None:
        """What the agent refuses ends the command; services before it stay registered."""
        name = self.file('{"services": [{"name": "one"}, {"name": "two"}]}', "svc.json")
        answers = iter([answer(), answer("no", 400)])
        outcome = invoke("services", "register", name, agent=FakeAgent({REGISTER: lambda _: next(answers)}))
        self.assertEqual((outcome.status, outcome.out), (1, b"Registered service: one\n"))
        self.assertEqual(outcome.err, 'Error registering service "two": Unexpected response code: 400 (no)\n')

    def test_errors(self) -> None:
        """Mistakes are told before an agent is asked."""
        nothing = "Service registration requires at least one argument or flags."
        by_flag = "Invalid Service address when using CLI flags. Use -port flag instead: "
        tagged = "Invalid Tagged address for tagged address 'lan': "
        in_file = self.file('service { name = "w", address = "127.0.0.1:80" }')
        tagged_in_file = self.file('service { name = "w", tagged_addresses { lan { address = "1..2", port = 1 } } }')
        for words, text in (
            ([], nothing),
            (["-port=1"], nothing),
            (["-name=x", "svc.json"], "Service registration requires arguments or -id, not both."),
            (["-name=x", "-address=127.0.0.1:80"], by_flag + "address should not contain port"),
            (["-name=x", "-address=10.0.0.1.7"], by_flag + "malformed IP address: 10.0.0.1.7"),
            (["-name=x", "-address= "], by_flag + "address cannot be empty"),
            (["-name=x", "-tagged-address=lan=h"], "Invalid Tagged address: address h: missing port in address"),
            (["-name=x", "-tagged-address=lan=1..2:1"], tagged + "malformed IP address: 1..2"),
            (
                [in_file],
                "Invalid Service address for service 'w'. Use port field instead: address should not contain port",
            ),
            (
                [tagged_in_file],
                "Invalid Tagged address for tagged address 'lan' in service 'w': malformed IP address: 1..2",
            ),
            (["absent.hcl"], "Error: config: Open failed on absent.hcl. open absent.hcl: no such file or directory"),
        ):
            outcome = invoke("services", "register", *words)
            self.assertEqual((outcome.status, outcome.out, outcome.err), (1, b"", text + "\n"), words)


class DeregisterTests(SynchronousTestCase):
    """txconsul services deregister."""

    def test_id(self) -> None:
        """One service by its ID."""
        agent = FakeAgent({"PUT /v1/agent/service/deregister/web-2": answer()})
        outcome = invoke("services", "deregister", "-id=web-2", agent=agent)
        self.assertEqual((outcome.status, outcome.out), (0, b"Deregistered service: web-2\n"))

    def test_errors(self) -> None:
        """Files or an ID, and the agent may refuse."""
        for words, text in (
            ([], "Service deregistration requires at least one argument or -id.\n"),
            (["-id=a", "f"], "Service deregistration requires arguments or -id, not both.\n"),
        ):
            outcome = invoke("services", "deregister", *words)
            self.assertEqual((outcome.status, outcome.err), (1, text))
        agent = FakeAgent({"PUT /v1/agent/service/deregister/a": answer("Unknown", 404)})
        outcome = invoke("services", "deregister", "-id=a", agent=agent)
        expected = 'Error deregistering service "": Unexpected response code: 404 (Unknown)\n'
        self.assertEqual((outcome.status, outcome.err), (1, expected))


class ExportTests(SynchronousTestCase):
    """txconsul services export."""

    GET = "GET /v1/config/exported-services/default"

    def test_new(self) -> None:
        """Without an entry one is written."""
        agent = FakeAgent({self.GET: answer('Config entry not found for "exported-services"', 404)})
        agent.answers["PUT /v1/config?cas=0"] = answer("true")
        outcome = invoke("services", "export", "-name=web", "-consumer-peers=a,b", agent=agent)
        self.assertEqual(outcome.out, b'Successfully exported service "web" to cluster peers ["a" "b"]\n', outcome.err)
        services = [{"Name": "web", "Consumers": [{"Peer": "a"}, {"Peer": "b"}]}]
        expected = {"Kind": "exported-services", "Name": "default", "Services": services}
        self.assertEqual(json.loads(agent.bodies[1]), expected)

    def test_more(self) -> None:
        """Consumers are added where they are not there yet, if nobody changed the entry in between."""
        entry = {"Kind": "exported-services", "Name": "default", "ModifyIndex": 7}
        entry["Services"] = [{"Name": "web", "Consumers": [{"Peer": "a"}]}, {"Name": "db"}]
        agent = FakeAgent({self.GET: answer(json.dumps(entry)), "PUT /v1/config?cas=7": answer("false")})
        outcome = invoke("services", "export", "-name=web", "-consumer-peers=a,b", agent=agent)
        self.assertEqual(outcome.err, "Config entry was changed during update. Please try again\n")
        web = json.loads(agent.bodies[1])["Services"][0]
        self.assertEqual(web, {"Name": "web", "Consumers": [{"Peer": "a"}, {"Peer": "b"}]})

    def test_errors(self) -> None:
        """What is missing is told, and an agent without configuration entries."""
        for words, text in (
            ([], "Missing the required -name flag"),
            (["-name=a"], "Missing the required -consumer-peers or -consumer-partitions flag"),
            (["-name=a", "-consumer-peers=b,"], 'Invalid peer ""'),
        ):
            outcome = invoke("services", "export", *words)
            self.assertEqual((outcome.status, outcome.err), (1, text + "\n"))
        agent = FakeAgent({self.GET: answer("not served", 501)})
        outcome = invoke("services", "export", "-name=a", "-consumer-peers=b", agent=agent)
        lead = "Error reading config entry exported-services/default: "
        self.assertEqual(outcome.err, lead + "Unexpected response code: 501 (not served)\n")


class AddressTests(SynchronousTestCase):
    """Addresses of services."""

    def test_split(self) -> None:
        """Host and port, with Go's words for what is neither."""
        self.assertEqual(split_host_port("h:1"), ("h", "1"))
        self.assertEqual(split_host_port("[::1]:"), ("::1", ""))
        for bad, why in (
            ("h", "missing port in address"),
            ("::1", "too many colons in address"),
            ("[::1", "missing ']' in address"),
            ("[::1]", "missing port in address"),
            ("[::1]::2", "too many colons in address"),
            ("a[:1", "unexpected '[' in address"),
            ("a]:1", "unexpected ']' in address"),
        ):
            error = self.assertRaises(ValueError, split_host_port, bad)
            self.assertEqual(str(error), f"address {bad}: {why}")
        error = self.assertRaises(ValueError, host_and_port, "h:x")
        self.assertEqual(str(error), 'strconv.Atoi: parsing "x": invalid syntax')

    def test_taken(self) -> None:
        """Names and IP addresses are taken."""
        for good in ("", "a.example", "1.2.3.4", "::1", "fe80::1", "1.2.3"):
            check_address(good)
        check_address("1.2.3.4:80", port_allowed=True)

    @given(st.text(alphabet="0123456789.:[]ax ", max_size=24))
    def test_anything(self, address: str) -> None:
        """Any text is taken or refused, never more."""
        try:
            check_address(address)
        except ValueError as error:
            self.assertTrue(str(error))


class MaintTests(SynchronousTestCase):
    """txconsul maint."""

    def test_node(self) -> None:
        """The node is taken out of use and put back."""
        agent = FakeAgent({"PUT /v1/agent/maintenance?enable=true&reason=new+disk": answer()})
        outcome = invoke("maint", "-enable", "-reason=new disk", agent=agent)
        self.assertEqual((outcome.status, outcome.out), (0, b"Node maintenance is now enabled\n"))
        agent = FakeAgent({"PUT /v1/agent/maintenance?enable=false": answer()})
        self.assertEqual(invoke("maint", "-disable", agent=agent).out, b"Node maintenance is now disabled\n")

    def test_service(self) -> None:
        """A service likewise; what the agent refuses is shown."""
        path = "PUT /v1/agent/service/maintenance/web"
        agent = FakeAgent({f"{path}?enable=true&reason=": answer()})
        outcome = invoke("maint", "-enable", "-service=web", agent=agent)
        self.assertEqual(outcome.out, b'Service maintenance is now enabled for "web"\n')
        agent = FakeAgent({f"{path}?enable=false": answer("Unknown", 404)})
        outcome = invoke("maint", "-disable", "-service=web", agent=agent)
        expected = "Error disabling service maintenance: Unexpected response code: 404 (Unknown)\n"
        self.assertEqual((outcome.status, outcome.err), (1, expected))

    def test_shown(self) -> None:
        """What is out of use is listed, and nothing else."""
        checks = {
            "_node_maintenance": {"Notes": "disk"},
            "_service_maintenance:w": {"ServiceID": "w", "Notes": "new"},
            "other": {"Notes": "x"},
        }
        agent = FakeAgent({"GET /v1/agent/self": answer('{"Config": {"NodeName": "n1"}}')})
        agent.answers["GET /v1/agent/checks"] = answer(json.dumps(checks))
        outcome = invoke("maint", agent=agent)
        expected = b"Node:\n  Name:   n1\n  Reason: disk\n\nService:\n  ID:     w\n  Reason: new\n\n"
        self.assertEqual((outcome.status, outcome.out), (0, expected))

    def test_errors(self) -> None:
        """Flags that contradict each other are refused."""
        for words, text in (
            (["-enable", "-disable"], "Only one of -enable or -disable may be provided\n"),
            (["-reason=x"], "Reason may only be provided with -enable\n"),
            (["-service=x"], "Service requires either -enable or -disable\n"),
        ):
            outcome = invoke("maint", *words)
            self.assertEqual((outcome.status, outcome.err), (1, text))


class KeygenTests(SynchronousTestCase):
    """txconsul keygen."""

    def test_key(self) -> None:
        """32 bytes, another each time."""
        first, second = (invoke("keygen").out for _ in range(2))
        self.assertEqual([len(b64decode(one)) for one in (first, second)], [32, 32])
        self.assertNotEqual(first, second)
