"""Serf's messages: as others made them and as we do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests import vectors
from tests.swim.recorded import plain
from txconsul.codec import gomsgpack
from txconsul.records.base import Record
from txconsul.serf.asking import QueryParameters, passes, write_filters
from txconsul.serf.lamport import LTIME_MAX, LamportClock
from txconsul.serf.messages import (
    BadSerfMessage,
    Destination,
    JoinIntent,
    PushPullState,
    Query,
    QueryResponse,
    RelayHeader,
    UserEvent,
    read,
    read_any,
    read_relay,
    write,
    write_relay,
)
from txconsul.serf.ping import read_payload, write_payload
from txconsul.serf.recent import RING_SLOTS, Recent
from txconsul.serf.tags import TagsTooLong, read_tags, write_tags


def said(value: Any) -> Any:
    """A message of ours in the terms of the vectors."""
    if isinstance(value, Record):
        names = zip(value.__struct_fields__, value.__struct_encode_fields__, strict=True)
        return {wire: said(getattr(value, name)) for name, wire in names}
    if isinstance(value, tuple):
        return [said(one) for one in value]
    if isinstance(value, dict):
        return {name: said(one) for name, one in value.items()}
    return plain(value)


def deep_plain(value: Any) -> Any:
    """What a vector says, texts and bytes alike."""
    if isinstance(value, dict) and set(value) != {"hex"}:
        return {name: deep_plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [deep_plain(one) for one in value]
    return plain(value)


def within(layer: Any) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """The messages of Serf within a recorded packet, with what they say."""
    if isinstance(layer, list):
        for one in layer:
            yield from within(one)
    if isinstance(layer, dict):
        if "serf" in layer and "payload" in layer:
            yield bytes.fromhex(layer["payload"]["hex"]), layer["serf"]
        for one in layer.values():
            yield from within(one)


class RecordedTests(SynchronousTestCase):
    """Source: the wire documents, GOSSIP section 5."""

    def recorded(self) -> Iterator[tuple[str, bytes, Any]]:
        """Each message: a name, its bytes, what it says."""
        for vector in vectors.load("serf"):
            if "type" in vector["decoded"] and vector["decoded"]["body"] is not None:
                yield vector["name"], vectors.data(vector), vector["decoded"]["body"]
        for name in ("gossip_serf_captured", "gossip_encrypted_captured", "gossip_consul_captured"):
            for vector in vectors.load(name):
                for data, message in within(vector["decoded"]):
                    if "body" in message and message.get("type") != "relay":
                        yield vector["name"], data, message["body"]

    def test_bothWays(self) -> None:
        """Each message is read, says what it should, and makes the same bytes."""
        kinds = Counter[str]()
        for name, data, body in self.recorded():
            message = read_any(data)
            self.assertEqual(said(message), deep_plain(body), name)
            if "two-members" not in name:  # whose keys stand in no order
                self.assertEqual(write(message), data, name)
            kinds[type(message).__name__] += 1
        self.assertGreater(len(kinds), 7)

    def test_filters(self) -> None:
        """Filters are written as Serf does, and let those pass that they mean."""
        found = {one["name"]: vectors.data(one) for one in vectors.load("serf") if one["name"].startswith("filter")}
        nodes = write_filters(QueryParameters(nodes=["node-a", "node-b"]))
        tags = write_filters(QueryParameters(tags={"role": "^web.*$"}))
        self.assertEqual((nodes, tags), ((found["filter-nodes"],), (found["filter-tag"],)))

    def test_tags(self) -> None:
        """Tags are read and written."""
        for vector in vectors.load("serf"):
            if vector["name"].startswith("tags-"):
                tags = vector["decoded"]["tags"]
                self.assertEqual((read_tags(vectors.data(vector)), write_tags(tags)), (tags, vectors.data(vector)))

    def test_payload(self) -> None:
        """What acks carry is read and written."""
        for vector in vectors.load("serf"):
            if vector["name"].startswith("ping-ack"):
                position = read_payload(vectors.data(vector))
                self.assertEqual(said(position), deep_plain(vector["decoded"]["coordinate"]))
                self.assertEqual(write_payload(position), vectors.data(vector))


class MessageTests(SynchronousTestCase):
    """What is not in the recordings."""

    def test_relay(self) -> None:
        """A message to be passed on bears its receiver, and itself unchanged."""
        header = RelayHeader(dest_addr=Destination(ip=b"\x0a\0\0\1", port=7946), dest_name="a")
        inner = write(QueryResponse(from_="b", id=4, l_time=3, payload=b"yes"))
        self.assertEqual(read_relay(write_relay(header, inner)), (header, inner))

    def test_filtersMean(self) -> None:
        """All filters must let a node pass; one that cannot be read lets nobody."""
        for parameters, passed in (
            (QueryParameters(), True),
            (QueryParameters(nodes=["a", "b"]), True),
            (QueryParameters(nodes=["b"]), False),
            (QueryParameters(tags={"role": "we"}), True),
            (QueryParameters(tags={"role": "^b"}), False),
            (QueryParameters(tags={"absent": "^$"}), True),
            (QueryParameters(nodes=["a"], tags={"role": "db"}), False),
            (QueryParameters(tags={"role": "("}), False),
        ):
            self.assertEqual(passes(write_filters(parameters) or (), "a", {"role": "web"}), passed, parameters)
        for data in (b"", b"\x02\x80", b"\x00\xc1", b"\x01\x90"):
            self.assertFalse(passes((data,), "a", {}))

    def test_roleOfOld(self) -> None:
        """Before tags, a member's bytes were its role."""
        self.assertEqual(read_tags(b"web"), {"role": "web"})
        self.assertEqual(read_tags(b""), {"role": ""})

    def test_refused(self) -> None:
        """What is malformed, of another type, or out of range is refused with a reason."""
        self.assertRaises(TagsTooLong, write_tags, {"a": "x" * 510})
        for meta in (b"\xff", b"\xff\x90", b"\xff\x81\xa1a\x01", b"\xff\xc1"):
            self.assertRaises(BadSerfMessage, read_tags, meta)
        for payload in (b"", b"\x02\x80", b"\x01", b"\x01\x90", b"\x01\x81\xa3Vec\x01"):
            self.assertRaises(BadSerfMessage, read_payload, payload)
        for data in (b"", b"\x0a\x80", b"\x09\x80", b"\x01", b"\x01\x81\xa5LTime\xff", b"\x04\x81\xa4Port\xce\0\1\0\0"):
            self.assertRaises(BadSerfMessage, read_any, data)
        self.assertRaises(BadSerfMessage, read, JoinIntent, write(UserEvent()))
        self.assertRaises(BadSerfMessage, read_relay, b"\x09\xc1")

    def test_mutated(self) -> None:
        """Changed bytes are refused, or read as something else; nothing else happens."""
        random = Random(17)
        whole = [data for _, data, _ in RecordedTests.recorded(RecordedTests())]
        outcomes = Counter[str]()
        for _ in range(4000):
            changed = bytearray(random.choice(whole))
            for _ in range(random.randrange(1, 4)):
                changed[random.randrange(len(changed))] = random.randrange(256)
            try:
                message = read_any(bytes(changed))
            except BadSerfMessage:
                outcomes["refused"] += 1
            else:
                outcomes["read"] += 1
                if isinstance(message, Query):
                    passes(message.filters or (), "a", {})
                read_any(write(message))
        self.assertGreater(min(outcomes.values()), 300)


class ClockTests(SynchronousTestCase):
    """Logical time, and what was seen at it."""

    def test_witness(self) -> None:
        """A clock is later than whatever it saw; nothing is later than the last time there is."""
        clock = LamportClock()
        self.assertEqual((clock.next(), clock.time), (1, 2))
        clock.witness(9)
        clock.witness(4)
        self.assertEqual(clock.time, 10)
        clock.witness(LTIME_MAX)
        self.assertEqual(clock.time, 10)
        clock.witness(LTIME_MAX - 1)
        self.assertEqual(clock.next(), LTIME_MAX)
        self.assertEqual(clock.time, LTIME_MAX)

    def test_recent(self) -> None:
        """What was said at a time is new once; what is older than the ring, or than this node, never is."""
        recent: Recent[str] = Recent()
        for l_time, what, new in (
            (5, "a", True),
            (5, "a", False),
            (5, "b", True),
            (6, "a", True),
            (5 + RING_SLOTS, "a", True),
            (4, "a", False),
            (5, "c", False),
            (7, "a", True),
        ):
            self.assertEqual(recent.is_new(l_time, what, 1), new, (l_time, what))
        recent.minimum = 1000
        self.assertFalse(recent.is_new(999, "z", 1))
        self.assertTrue(recent.is_new(1000, "z", 1))

    def test_recentIsBounded(self) -> None:
        """Only so much can be said at one time."""
        recent: Recent[int] = Recent()
        self.assertEqual(sum(recent.is_new(5, number, 1) for number in range(2000)), 512)

    def test_state(self) -> None:
        """An exchange of states holds what it should, in Serf's bytes."""
        empty = PushPullState(event_l_time=1, events=(), l_time=1, left_members=(), query_l_time=1, status_l_times={})
        self.assertEqual(read(PushPullState, write(empty)), empty)
        self.assertRaises(BadSerfMessage, read, PushPullState, b"\x02" + gomsgpack.pack({"Events": 3}))
