"""txconsul members."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.cli.invoking import FakeAgent, Outcome, answer, invoke


def member(name: str, role: str = "node", status: int = 1, addr: str = "10.0.0.1", **tags: str) -> dict[str, Any]:
    """One member, as the agent shows it."""
    build = {"build": "1.21.4:abc", "vsn": "2", "dc": "dc1"}
    return {"Name": name, "Addr": addr, "Port": 8301, "Status": status, "Tags": {"role": role, **build, **tags}}


class MembersTests(SynchronousTestCase):
    """The command."""

    def members(self, *words: str, found: Any, query: str = "segment=_all") -> Outcome:
        """What is shown of these members."""
        agent = FakeAgent({f"GET /v1/agent/members?{query}": answer(json.dumps(found))})
        return invoke("members", *words, agent=agent)

    def test_table(self) -> None:
        """Servers come first, then the others by name; what is not said has a word."""
        found = [
            member("c2", status=4, addr="::1"),
            member("c1", build=""),
            member("s1", "consul", segment=""),
            member("odd", "other", addr="nowhere"),
        ]
        outcome = self.members(found=found)
        expected = (
            "Node  Address        Status  Type     Build   Protocol  DC   Partition  Segment\n"
            "s1    10.0.0.1:8301  alive   server   1.21.4  2         dc1  default    <all>\n"
            "c1    10.0.0.1:8301  alive   client   < 0.3   2         dc1  default    <default>\n"
            "c2    [::1]:8301     failed  client   1.21.4  2         dc1  default    <default>\n"
            "odd   :8301          alive   unknown                                    \n"
        )
        self.assertEqual((outcome.status, outcome.out.decode(), outcome.err), (0, expected, ""))

    def test_detailed(self) -> None:
        """-detailed shows all tags, sorted."""
        outcome = self.members("-detailed", found=[member("c1", ap="", x="y")])
        line = outcome.out.decode().splitlines()[1].split()
        self.assertEqual(line[-1], "ap=default,build=1.21.4:abc,dc=dc1,role=node,segment=<default>,vsn=2,x=y")

    def test_status(self) -> None:
        """The status is matched anywhere; that none is like that is a status of its own."""
        found = [member("a", status=3), member("b")]
        self.assertEqual(
            [line.split()[0] for line in self.members("-status=ef", found=found).out.splitlines()[1:]], [b"a"]
        )
        outcome = self.members("-status=^failed$", found=found)
        self.assertEqual((outcome.status, outcome.out, outcome.err), (2, b"", ""))
        self.assertEqual(self.members(found=None).status, 2)

    def test_asked(self) -> None:
        """Flags become parameters."""
        query = "filter=Name+%3D%3D+a&segment=alpha&wan=1"
        outcome = self.members("-wan", "-segment=alpha", "-filter=Name == a", found=[member("a")], query=query)
        self.assertEqual(outcome.status, 0, outcome.err)

    def test_errors(self) -> None:
        """A pattern that is none, and what the agent refuses."""
        outcome = invoke("members", "-status=(")
        expected = "Failed to compile status regexp: error parsing regexp: missing closing ): `(`\n"
        self.assertEqual((outcome.status, outcome.err), (1, expected))
        outcome = invoke("members", agent=FakeAgent({"GET /v1/agent/members?segment=_all": answer("no", 403)}))
        expected = "Error retrieving members: Unexpected response code: 403 (no)\n"
        self.assertEqual((outcome.status, outcome.err), (1, expected))

    def test_strange(self) -> None:
        """A member with nothing known of it is shown as far as possible."""
        outcome = self.members(found=[{"Name": "x", "Status": 99, "Tags": None}])
        self.assertEqual(outcome.out.decode().splitlines()[1].split(), ["x", ":0", "none", "unknown"])
