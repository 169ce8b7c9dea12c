"""The user events that an agent holds: what is meant for it, and what others sent that is none."""

from __future__ import annotations

import contextlib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.vectors import load
from txconsul.agent.user_events import EVENTS_KEPT, BadEvent, UserEvents, is_meant, read_event
from txconsul.codec.gomsgpack import encode, encode_apart, pack
from txconsul.records.event import EventPayload, UserEvent
from txconsul.records.service import NodeService

ID = "00000000-1111-2222-3333-4444444444"
SERVICES = {
    "web-1": NodeService(id="web-1", service="shop", tags=("blue", "v2")),
    "db": NodeService(id="db", service="db"),
}


def payload(number: int = 0, **fields: Any) -> bytes:
    """An event's payload."""
    return encode(EventPayload(**{"id": f"{ID}{number:02x}", "name": "deploy", "version": 1, **fields}))


class ReadingTests(SynchronousTestCase):
    """Payloads, as Consul writes them."""

    def test_vectors(self) -> None:
        """Consul's payloads are read, and written to the same bytes."""
        for vector in load("consul_user_event"):
            raw, shown = bytes.fromhex(vector["hex"]), vector["decoded"]
            event = read_event(raw, 7)
            self.assertEqual((event.id, event.name, event.version, event.l_time), (shown["ID"], shown["n"], 1, 7))
            self.assertEqual(event.payload, bytes.fromhex(shown["p"]["hex"]) if "p" in shown else None)
            self.assertEqual(
                (event.node_filter, event.service_filter, event.tag_filter),
                tuple(shown.get(name, "") for name in ("nf", "sf", "tf")),
            )
            fields = {name: getattr(event, name) for name in EventPayload.__struct_fields__}
            self.assertEqual(encode(EventPayload(**fields)), raw)

    def test_captured(self) -> None:
        """What real agents had told is read, and written to the same bytes."""
        seen = 0
        for vector in load("rpc_captured"):
            if vector["name"].startswith("rpc-Internal.EventFire") and vector["name"].endswith("request"):
                raw = bytes.fromhex(vector["decoded"]["body"]["Payload"]["hex"])
                event = read_event(raw, 1)
                self.assertEqual(event.name, vector["decoded"]["body"]["Name"])
                fields = {name: getattr(event, name) for name in EventPayload.__struct_fields__}
                self.assertEqual(encode_apart(EventPayload(**fields)), raw)
                seen += 1
        self.assertGreater(seen, 1)

    def test_noUUID(self) -> None:
        """An event whose ID could not be made an index of is refused, as Consul fails over it when it is listed."""
        for id in ("", "x", ID, f"{ID}zz", f"{{{ID}00}}", f"{ID}00".replace("-", ""), f"urn:uuid:{ID}00", f"{ID}00 "):
            self.assertRaises(BadEvent, read_event, payload(id=id), 1)
        self.assertEqual(read_event(payload(id="ABCDEF00-0000-0000-0000-000000000000"), 1).id[:6], "ABCDEF")

    @settings(max_examples=300)
    @given(
        st.binary(max_size=80)
        | st.builds(
            lambda raw, at, byte: raw[:at] + bytes([byte]) + raw[at + 1 :],
            st.just(payload(payload=b"abc", node_filter="^n", tag_filter="t")),
            st.integers(0, 90),
            st.integers(0, 255),
        )
        | st.dictionaries(
            st.sampled_from(["ID", "n", "p", "nf", "sf", "tf", "v"]),
            st.none()
            | st.booleans()
            | st.integers(-5, 5)
            | st.text(max_size=4)
            | st.lists(st.integers(0, 9), max_size=2),
        ).map(pack)
    )
    def test_anything(self, raw: bytes) -> None:
        """Whatever comes is an event, or refused."""
        with contextlib.suppress(BadEvent):
            self.assertIsInstance(read_event(raw, 1), UserEvent)
        UserEvents("n1", lambda: SERVICES, str).hear("consul:event:x", raw, 1)


class MeaningTests(SynchronousTestCase):
    """Filters: patterns that have a match somewhere."""

    def test_filters(self) -> None:
        """Of the node's name, of the id of a service and of a tag of the same one."""
        for node, service, tag, meant in (
            ("", "", "", True),
            ("n1", "", "", True),
            ("^n.$", "", "", True),
            ("n2", "", "", False),
            ("", "eb", "", True),
            ("", "shop", "", False),
            ("", "web", "^bl", True),
            ("", "web", "green", False),
            ("", "db", "blue", False),
            ("", ".", "v2", True),
            ("n2", "web", "", False),
        ):
            event = UserEvent(node_filter=node, service_filter=service, tag_filter=tag)
            self.assertEqual(is_meant(event, "n1", SERVICES), meant, (node, service, tag))


class HoldingTests(SynchronousTestCase):
    """What is held of what the pool tells."""

    def setUp(self) -> None:
        self.events = UserEvents("n1", lambda: SERVICES, lambda: f"{ID}00")

    def hear(self, number: int = 0, **fields: Any) -> None:
        """The pool tells an event."""
        self.events.hear("consul:event:deploy", payload(number, **fields), number + 1)

    def test_lastOnes(self) -> None:
        """The last 256 are held, in their order; a name chooses among them."""
        for number in range(EVENTS_KEPT + 3):
            self.events.hear("consul:event:x", payload(number & 0xFF, name=f"e{number}"), number)
        held = self.events.recent()
        self.assertEqual((len(held), held[0].name, held[-1].name), (256, "e3", "e258"))
        self.assertEqual([one.l_time for one in self.events.recent("e5")], [5])
        self.assertEqual(self.events.recent("none"), [])

    def test_others(self) -> None:
        """What is for others, malformed, not Consul's or a command is not held."""
        self.hear(node_filter="other")
        self.hear(node_filter="(")
        self.hear(service_filter="(a+)+$[")
        self.events.hear("consul:event:x", b"\x00", 1)
        self.events.hear("event:x", payload(), 1)
        self.events.hear("consul:other", payload(), 1)
        self.hear(name="_rexec")
        self.assertEqual(self.events.recent(), [])

    def test_commands(self) -> None:
        """Who runs commands for others is told of those, and of nothing else."""
        told: list[UserEvent] = []
        self.events.commands = told.append
        self.hear(1, name="_rexec", payload=b"{}")
        self.hear(2, name="_rexec", node_filter="other")
        self.hear(3)
        self.assertEqual([one.payload for one in told], [b"{}"])
        self.assertEqual([one.name for one in self.events.recent()], ["deploy"])

    def test_newerVersion(self) -> None:
        """An event of a version to come is held all the same."""
        self.hear(version=2)
        self.assertEqual([one.version for one in self.events.recent()], [2])

    def test_newLeader(self) -> None:
        """A new leader is told to who wants to know, and is no user's event."""
        told: list[str] = []
        self.events.new_leader = lambda: told.append("led")
        self.events.hear("consul:new-leader", b"s1", 1)
        self.assertEqual((told, self.events.recent()), (["led"], []))

    def test_watching(self) -> None:
        """Who watches is woken by each event that is held, until it does not watch any more."""
        woken: list[str] = []
        stop = self.events.watch(lambda: woken.append("a"))
        self.events.watch(lambda: (woken.append("b"), stop()))
        self.hear(1)
        self.hear(2, node_filter="other")
        self.hear(3)
        self.assertEqual(woken, ["a", "b", "b"])
        stop()
