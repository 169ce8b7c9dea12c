"""A gossip pool under attack: packets of tests.swim.fuzzing, and what must not be kept or sent."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from tests.swim.fuzzing import LABEL, Target, attack, census
from tests.swim.hostile import VSN
from txconsul.serf.messages import Destination, Query, RelayHeader, UserEvent, write, write_relay
from txconsul.swim import beliefs
from txconsul.swim.keyring import KEYS_MAX, BadKey, Keyring
from txconsul.swim.messages import Alive, NodeState, Suspect, User, write_message
from txconsul.swim.packet import Wrapping
from txconsul.swim.stream import PushPull, write_stream

STRANGER = Wrapping(LABEL, Keyring([b"another key, 16b"]), entropy=bytes)


class FuzzingTests(SynchronousTestCase):
    """Mistakes in fields, lengths and layers, sealed again."""

    def test_packets(self) -> None:
        """Nothing comes through but what is declared, and every decoder is reached."""
        random = Random(1)
        targets = [Target(random, secret=secret) for secret in (False, True)]
        with census() as counts:
            attack(targets, 4000)
        self.assertEqual(self.flushLoggedErrors(), [])
        for name in ("key", "compression", "compound", "serf message", "serf relay", "serf state", "tags", "stream"):
            self.assertGreater(counts[name] - counts[f"{name}: refused"], 20, name)
            self.assertGreater(counts[f"{name}: refused"], 0, name)
        for name in ("coordinate", "conflict answer", "key message"):
            self.assertGreater(counts[name], counts[f"{name}: refused"], name)
        for target in targets:
            self.assertGreater(target.alive, 1)


class StrangerTests(SynchronousTestCase):
    """Who has not the pool's key."""

    def test_wrongKey(self) -> None:
        """A wrong key, or none, neither joins nor reads, by packet or by stream."""
        target = Target(Random(1), secret=True)
        known = len(target.pool.core.members)
        me = Alive(addr=bytes([10, 0, 0, 77]), incarnation=1, node="stranger", port=7946, vsn=VSN)
        node = NodeState(addr=me.addr, incarnation=1, name="stranger", port=7946, vsn=VSN)
        for wrapping in (STRANGER, Wrapping(LABEL, entropy=bytes), Wrapping(b"other", STRANGER.keyring, entropy=bytes)):
            target.packet(wrapping.seal(write_message(me)))
            answer = target.say(write_stream(PushPull(True, [node], b""), wrapping, compress=True))
            self.assertNotIn(b"peer-1", answer)
        self.assertEqual(len(target.pool.core.members), known)
        target.packet(target.wrapping.seal(write_message(me)))
        self.assertEqual(len(target.pool.core.members), known + 1)


class BoundTests(SynchronousTestCase):
    """What strangers can make a node keep, and where they can make it send."""

    def setUp(self) -> None:
        self.target = Target(Random(1), secret=False)
        self.core = self.target.pool.core

    def hear(self, message: bytes) -> None:
        """A message comes in a packet."""
        self.target.packet(self.target.wrapping.seal(message))

    def test_members(self) -> None:
        """A pool has so many members, and no more."""
        self.patch(beliefs, "MEMBERS_MAX", 20)
        for number in range(40):
            self.hear(write_message(Alive(addr=bytes(4), incarnation=1, node=f"made-up-{number}", port=1, vsn=VSN)))
        self.assertEqual(len(self.core.swim.members), 20)

    def test_suspicions(self) -> None:
        """A member that is suspected and there again, over and over, is waited for once."""
        alarms = self.core.swim._alarms._heap
        before = len(alarms)
        for number in range(2, 200):
            me = bytes([10, 0, 0, 1])
            self.hear(write_message(Suspect(from_="peer-2", incarnation=number - 1, node="peer-1")))
            self.hear(write_message(Alive(addr=me, incarnation=number, node="peer-1", port=7946, vsn=VSN)))
        self.assertLess(len(alarms) - before, 10)

    def test_places(self) -> None:
        """What cannot be sent where somebody says is lost, and nothing else comes of it."""
        sent = Query(addr=bytes(4), flags=1, id=1, l_time=5, name="who", port=0, source_node="peer-1")
        for query in (sent, Query(addr=bytes(15) + b"\1", flags=1, id=2, l_time=5, name="who", port=1)):
            self.hear(write_message(User(payload=write(query))))
        for ip, port in ((b"123", 1), (b"", 1), (bytes(4), -1), (bytes(4), 1 << 16), (bytes(4), 0)):
            relay = write_relay(RelayHeader(dest_addr=Destination(ip=ip, port=port)), b"\x01")
            self.hear(write_message(User(payload=relay)))
        self.assertEqual(self.flushLoggedErrors(), [])
        packets = self.target.packets
        self.hear(write_message(Alive(addr=bytes(4), incarnation=1, node="one-more", port=1, vsn=VSN)))
        self.target.network.clock.advance(1.0)
        self.assertGreater(self.target.packets, packets)

    def test_conflictAboutOldMember(self) -> None:
        """Who is asked about a member that says little of its versions answers."""
        self.hear(write_message(Alive(addr=bytes(4), incarnation=1, node="old", port=1, vsn=b"")))
        packets = self.target.packets
        asked = Query(addr=bytes([10, 0, 0, 1]), id=1, l_time=5, name="_serf_conflict", payload=b"old", port=7946)
        self.hear(write_message(User(payload=write(asked))))
        self.assertEqual(self.target.packets, packets + 1)

    def test_events(self) -> None:
        """Events that are remembered have so many bytes together; what is too long for a packet is not passed on."""
        for number in range(2000):
            event = UserEvent(l_time=1 + number // 100, name=str(number), payload=bytes(9000))
            self.hear(write_message(User(payload=write(event))))
        self.assertLess(len(write(self.core.state())), 9 << 20)
        self.assertEqual([len(queue) for queue in self.core.queues], [0, 0, 0])
        self.hear(write_message(User(payload=write(UserEvent(l_time=600, name="big", payload=bytes(1 << 15))))))
        self.assertNotIn("big", str(self.core.state()))

    def test_queues(self) -> None:
        """A flood of events is pruned when it comes, not at the next look at the queues."""
        most = self.core.settings.queue_min
        for number in range(2 * most + 50):
            event = UserEvent(l_time=1 + number // 400, name=str(number), payload=b"")
            self.core._hear_message(write(event), 0.0)
        self.assertLessEqual(len(self.core.queues[2]), 2 * most)

    def test_keys(self) -> None:
        """A ring holds so many keys."""
        ring = Keyring([number.to_bytes(16, "big") for number in range(KEYS_MAX)])
        self.assertRaises(BadKey, ring.install, bytes(24))
        ring.install(bytes(16))
