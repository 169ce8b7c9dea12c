"""Messages in and out: what is kept, what is cut, what is refused, what is asked of others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

from twisted.internet.testing import StringTransportWithDisconnection
from twisted.trial.unittest import SynchronousTestCase

from tests.dns.asking import Asking, FakePlace, question, show
from txconsul.dns.cache import QUESTIONS_MAX, VARIANTS, AnswerCache
from txconsul.dns.message import FORMERR, NOERROR, NOTIMP, NXDOMAIN, SERVFAIL, A, Message, Record, decode, encode
from txconsul.dns.recursor import QUESTIONS_UNDER_WAY_MAX
from txconsul.dns.server import CONNECTIONS_MAX, IDLE_SECONDS
from txconsul.errors import NoLeader


def many(count: int, **settings: Any) -> Asking:
    """A service with many instances."""
    asking = Asking(**settings)
    for number in range(count):
        asking.service(f"n{number:02}", f"10.7.{number >> 8}.{number & 255}", "many")
    return asking


class TrimmingTests(SynchronousTestCase):
    """What fits."""

    def test_small(self) -> None:
        """A small UDP answer has three records, with what belongs to them; TCP has all."""
        asking = many(40)
        message = asking.ask("many.service.consul")
        self.assertEqual((len(message.answer), message.truncated), (3, False))
        message = asking.ask("many.service.consul", "SRV")
        self.assertEqual((len(message.answer), len(message.additional)), (3, 3))
        targets = {one.data[1] for one in message.answer}
        self.assertEqual({one.name for one in message.additional}, targets)
        self.assertEqual(len(asking.ask("many.service.consul", udp=False).answer), 40)

    def test_limits(self) -> None:
        """C{udp_answer_limit} moves the bound, to eight at most; C{enable_truncate} says that there is more."""
        message = many(40, udp_answer_limit=5, enable_truncate=True).ask("many.service.consul")
        self.assertEqual((len(message.answer), message.truncated), (5, True))
        self.assertEqual(len(many(40, udp_answer_limit=99).ask("many.service.consul").answer), 8)
        message = many(3, enable_truncate=True).ask("many.service.consul")
        self.assertEqual((len(message.answer), message.truncated), (3, False))

    def test_sizes(self) -> None:
        """With EDNS, as many records as its size takes, whatever it is."""
        asking = many(300)
        counts = []
        for size in (0, 512, 513, 600, 1232, 4096, 65535):
            message = asking.ask("many.service.consul", size=size)
            self.assertLessEqual(len(asking.bytes), max(size, 512))
            self.assertIsNotNone(message.edns())
            counts.append(len(message.answer))
        self.assertEqual(counts, [3, 3, 29, 34, 74, 253, 300])

    def test_everySize(self) -> None:
        """No answer is larger than what was asked for, compressed or not."""
        for compression in (False, True):
            asking = many(30, disable_compression=compression)
            for size in range(512, 1500, 37):
                for kind in ("A", "SRV"):
                    asking.ask("many.service.consul", kind, size=size)
                    self.assertLessEqual(len(asking.bytes), size)

    def test_tcp(self) -> None:
        """TCP takes 64 KiB."""
        asking = many(1500, enable_truncate=True)
        message = asking.ask("many.service.consul", "SRV", udp=False)
        self.assertLess(len(asking.bytes), 65536)
        self.assertEqual(len(message.answer), 1024)

    def test_oneTooLarge(self) -> None:
        """A single answer with too much beside it loses that; one that is itself too large is said to be."""
        asking = Asking()
        asking.register("n1", "10.0.0.1", node_meta={f"key{number}": "v" * 100 for number in range(9)})
        message = asking.ask("n1.node.consul")
        self.assertLessEqual(len(asking.bytes), 512)
        self.assertEqual(len(message.answer), 1)
        asking.register("n2", "10.0.0.1", node_meta={"key": "v" * 600})
        message = asking.ask("n2.node.consul", "TXT")
        self.assertEqual((message.answer, message.truncated), ([], True))
        self.assertEqual(len(asking.ask("n2.node.consul", "TXT", udp=False).answer), 1)

    def test_uncompressed(self) -> None:
        """Without compression, names are whole."""
        asking = many(2, disable_compression=True)
        asking.ask("many.service.consul")
        self.assertEqual(asking.bytes.count(b"\4many\7service\6consul\0"), 3)


class KeepingTests(SynchronousTestCase):
    """Kept answers."""

    def test_followsTheCatalog(self) -> None:
        """An answer is given from what was kept until something it was made from changes."""
        asking = Asking()
        asking.service("n1", "10.0.0.1", "web")
        for _ in range(3):
            self.assertEqual(len(asking.answers("web.service.consul")), 1)
        asked = asking.served.door.asked["Health.ServiceNodes"]
        self.assertEqual(asked, 1)
        asking.service("n2", "10.0.0.2", "other")
        asking.ask("web.service.consul")
        self.assertEqual(asking.served.door.asked["Health.ServiceNodes"], asked)
        asking.service("n2", "10.0.0.2", "web")
        self.assertEqual(len(asking.answers("web.service.consul")), 2)
        asking.register("n1", "10.0.0.7")
        self.assertIn("web.service.consul. 0 A 10.0.0.7", asking.answers("web.service.consul"))
        asking.deregister("n1")
        self.assertEqual(asking.answers("web.service.consul"), ["web.service.consul. 0 A 10.0.0.2"])

    def test_absence(self) -> None:
        """That there is nothing is kept, too, until there is something."""
        asking = Asking()
        for _ in range(2):
            self.assertEqual(asking.ask("web.service.consul").rcode, NXDOMAIN)
            self.assertEqual(asking.ask("n1.node.consul").rcode, NXDOMAIN)
            self.assertEqual(asking.ask("1.0.0.10.in-addr.arpa", "PTR").rcode, NXDOMAIN)
        asking.service("n1", "10.0.0.1", "web")
        for name in ("web.service.consul", "n1.node.consul", "1.0.0.10.in-addr.arpa"):
            self.assertEqual(asking.ask(name, "PTR" if "arpa" in name else "A").rcode, NOERROR)

    def test_beginningOfAnID(self) -> None:
        """A node that is found by its id is not kept: another one may come."""
        asking = Asking()
        id = "10000000-0000-4000-8000-000000000001"
        asking.register("n1", "10.0.0.1", id=id)
        self.assertEqual(len(asking.answers("10000000.node.consul")), 1)
        asking.register("n2", "10.0.0.2", id=id.replace("1", "2")[:-1] + "2")
        asking.deregister("n1")
        self.assertEqual(asking.ask("10000000.node.consul").rcode, NXDOMAIN)

    def test_id(self) -> None:
        """A kept answer has the id of its question."""
        asking = Asking()
        asking.service("n1", "10.0.0.1", "web")
        for id in (1, 0xFFFF):
            (answer,) = asking.send(question("web.service.consul", id=id))
            self.assertEqual(decode(answer).id, id)

    def test_even(self) -> None:
        """Each instance is told about as often as any other."""
        asking = many(10)
        told: Counter[str] = Counter()
        for _ in range(20000):
            told.update(map(show, asking.ask("many.service.consul").answer))
        self.assertEqual(len(told), 10)
        self.assertGreater(min(told.values()), 0.8 * 6000)
        self.assertLess(max(told.values()), 1.2 * 6000)
        self.assertLess(asking.served.door.asked["Health.ServiceNodes"], 20000 / 40)

    def test_notKept(self) -> None:
        """Questions with EDNS options, and answers that may not be stale, are made each time."""
        asking = Asking()
        for _ in range(2):
            asking.ask("web.service.consul", size=1232, options=[(10, b"12345678")])
        strict = Asking(allow_stale=False)
        strict.ask("web.service.consul")
        bounded = Asking(max_stale=10.0)
        bounded.ask("web.service.consul")
        for one in (asking, strict, bounded):
            self.assertEqual(len(one.server.udp_answers), 0)

    def watch(self, gone: list[int], number: int, _: object) -> Callable[[], None]:
        """Be told when nobody wants to know any more."""
        return partial(gone.append, number)

    def test_bound(self) -> None:
        """The oldest question is forgotten when there are too many, and its watch with it."""
        cache = AnswerCache(2)
        gone: list[int] = []
        for number in range(3):
            cache.put(bytes((number,)), b"", False, partial(self.watch, gone, number))
        self.assertEqual((len(cache), gone), (2, [0]))
        self.assertIsNone(cache.get(b"\0"))
        cache.clear()
        self.assertEqual((len(cache), gone), (0, [0, 1, 2]))
        self.assertGreater(QUESTIONS_MAX, VARIANTS)

    def test_bytes(self) -> None:
        """The oldest questions go, too, when their answers are too large together."""
        cache = AnswerCache(bytes_max=1000)
        gone: list[int] = []
        for _ in range(5):
            cache.put(b"first", b"a" * 100, True, partial(self.watch, gone, 0))
        self.assertEqual(cache.size, 500)
        cache.put(b"second", b"b" * 600, False, partial(self.watch, gone, 1))
        self.assertEqual((cache.size, len(cache), gone), (600, 1, [0]))
        cache.put(b"third", b"c" * 2000, False, partial(self.watch, gone, 2))
        self.assertEqual((cache.size, len(cache), gone), (0, 0, [0, 1, 2]))
        for number in range(VARIANTS + 3):
            cache.put(b"fourth", b"d" * number, True, partial(self.watch, gone, 3))
        self.assertEqual(cache.size, sum(range(3, VARIANTS + 3)))

    def test_failures(self) -> None:
        """A failure is not kept, nor what is not known of another datacenter."""
        asking = Asking()

        def fail(*_: object) -> None:
            raise NoLeader()

        call, asking.served.door.call = asking.served.door.call, fail  # type: ignore[method-assign,assignment]
        self.assertEqual(asking.ask("web.service.consul").rcode, SERVFAIL)
        self.assertEqual(asking.ask("consul", "NS").answer, [])
        self.assertEqual(asking.ask("1.0.0.10.in-addr.arpa", "PTR").rcode, NXDOMAIN)
        asking.served.door.call = call  # type: ignore[method-assign]
        self.assertEqual(asking.ask("web.service.dc2.consul").rcode, NXDOMAIN)
        self.assertEqual(len(asking.server.udp_answers), 0)


class RefusalTests(SynchronousTestCase):
    """What is no question."""

    def test_garbage(self) -> None:
        """Bytes with a header are refused as malformed, others are not answered."""
        asking = Asking()
        (answer,) = asking.send(b"\0\7\1\0\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1")
        self.assertEqual((decode(answer).id, decode(answer).rcode), (7, FORMERR))
        self.assertEqual(asking.send(b"\0\7"), [])

    def test_mutated(self) -> None:
        """Whatever comes in has one answer or none, which can be read and has its id."""
        asking = many(20)
        asking.register("n", "10.0.0.1", node_meta={"a": "b"})
        rng = Random(5)
        kinds = ("A", "SRV", "ANY", "SOA", "PTR")
        names = ("many.service.consul", "n.node.consul", "0a000001.addr.consul", "1.0.0.10.in-addr.arpa", "x.org")
        for number in range(3000):
            packet = bytearray(question(names[number % 5], rng.choice(kinds), rng.choice((None, 700)), [(8, bytes(5))]))
            for _ in range(rng.randrange(4)):
                packet[rng.randrange(len(packet))] = rng.choice((0, 0xC0, 0xFF, rng.randrange(256)))
            for udp in (False, True):
                sent = asking.send(bytes(packet), udp)
                self.assertLessEqual(len(sent), 1)
                for answer in sent:
                    message = decode(answer)
                    self.assertTrue(message.response)
                    self.assertEqual(answer[:2], packet[:2])
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_answers(self) -> None:
        """An answer is never answered, so that two servers cannot talk for ever."""
        asking = Asking()
        for packet in (encode(Message(id=1, response=True)), b"\0\7\x81\0\0\1\0\0\0\0\0\0"):
            self.assertEqual(asking.send(packet), [])

    def test_kinds(self) -> None:
        """Other operations are not implemented; a message without a question, or with two, is malformed."""
        asking = Asking()
        one = decode(question("a.consul")).questions[0]
        for message, rcode in (
            (Message(opcode=5, questions=[one]), NOTIMP),
            (Message(), FORMERR),
            (Message(questions=[one, one]), FORMERR),
            (Message(questions=[one], additional=[Record((), 41, 0, (b"\0",), 512)]), FORMERR),
            (Message(questions=[one], additional=[Record((), 41, 0, (b"\0\x08\0\1a",), 512)]), FORMERR),
        ):
            (answer,) = asking.send(encode(message))
            self.assertEqual(decode(answer).rcode, rcode)

    def test_mistakes(self) -> None:
        """A mistake of ours is a failure of the server, and logged."""
        asking = Asking()
        asking.server._door = asking.server._answerer._door = None  # type: ignore[assignment]
        self.assertEqual(asking.ask("web.service.consul").rcode, SERVFAIL)
        self.assertEqual(len(self.flushLoggedErrors(AttributeError)), 1)


class StreamTests(SynchronousTestCase):
    """TCP."""

    def setUp(self) -> None:
        """A connection."""
        self.asking = Asking()
        self.asking.service("n1", "10.0.0.1", "web")
        self.stream, self.transport = self.connect()

    def connect(self) -> tuple[Any, Any]:
        """A new connection."""
        stream: Any = self.asking.server.streams.buildProtocol(None)
        transport = StringTransportWithDisconnection()
        transport.protocol = stream
        stream.makeConnection(transport)
        return stream, transport

    def answers(self) -> list[Message]:
        """What was answered."""
        data, found = self.transport.value(), []
        while data:
            size = int.from_bytes(data[:2], "big")
            found.append(decode(data[2 : 2 + size]))
            data = data[2 + size :]
        return found

    def test_pieces(self) -> None:
        """Questions may come together, or byte by byte; each is answered."""
        data = b""
        for id in range(1, 4):
            packet = question("web.service.consul", id=id)
            data += len(packet).to_bytes(2, "big") + packet
        self.stream.dataReceived(data)
        for at in range(len(data)):
            self.stream.dataReceived(data[at : at + 1])
        self.assertEqual([one.id for one in self.answers()], [1, 2, 3, 1, 2, 3])
        self.assertTrue(all(len(one.answer) == 1 for one in self.answers()))

    def test_idle(self) -> None:
        """Who asks nothing is put out; a question puts it off."""
        clock = self.asking.served.clock
        clock.advance(IDLE_SECONDS - 1)
        self.stream.dataReceived(b"\0\2ab")
        clock.advance(IDLE_SECONDS - 1)
        self.assertTrue(self.transport.connected)
        clock.advance(2)
        self.assertFalse(self.transport.connected)
        self.assertEqual(self.asking.server.streams.open, set())

    def test_slow(self) -> None:
        """While its answers are not taken, no more of its questions are read."""
        self.stream.pauseProducing()
        self.assertEqual(self.transport.producerState, "paused")
        self.stream.resumeProducing()
        self.assertEqual(self.transport.producerState, "producing")
        self.stream.pauseProducing()
        aborted: list[bool] = []
        self.transport.abortConnection = lambda: aborted.append(True)
        self.asking.served.clock.advance(IDLE_SECONDS + 1)
        self.assertEqual(aborted, [True])

    def test_bound(self) -> None:
        """There are not more connections than the bound, and stopping closes them."""
        for _ in range(CONNECTIONS_MAX - 1):
            self.connect()
        self.assertIsNone(self.asking.server.streams.buildProtocol(None))
        self.asking.server.stop()
        self.assertEqual(self.asking.server.streams.open, set())


class RecursorTests(SynchronousTestCase):
    """Questions for others."""

    def setUp(self) -> None:
        """Two servers to ask."""
        self.asking = Asking(recursors=(("192.0.2.1", 53), ("192.0.2.2", 53)))
        self.network = self.asking.network
        self.got: list[bytes] = []

    def start(self, name: str = "www.example.com", udp: bool = True, **more: Any) -> None:
        """Ask; the answer will be in C{got}."""
        self.asking.server.answer(question(name, **more), udp, self.got.append)

    def reply(self, number: int = -1, source: Any = None, **changes: Any) -> None:
        """Answer what was sent."""
        packet, address = self.network.sent[number]
        message = decode(packet)
        message.response = True
        message.answer = [Record(message.questions[0].name, A, 9, (b"\1\2\3\4",))]
        for field, value in changes.items():
            setattr(message, field, value)
        for receiver in list(self.network.places):
            receiver.datagramReceived(encode(message), source or address)

    def test_forwarded(self) -> None:
        """A question goes out with another id, and comes back with its own."""
        self.start()
        packet, address = self.network.sent[0]
        self.assertEqual(address, ("192.0.2.1", 53))
        self.assertNotEqual(packet[:2], b"\0\7")
        self.assertEqual(packet[2:], question("www.example.com")[2:])
        self.reply()
        self.assertEqual(decode(self.got[0]).id, 7)
        self.assertEqual(show(decode(self.got[0]).answer[0]), "www.example.com. 9 A 1.2.3.4")
        self.assertEqual((self.network.places, len(self.asking.server.udp_answers)), ([], 0))

    def test_forged(self) -> None:
        """An answer from elsewhere, with another id or to another question, is no matter."""
        self.start()
        self.reply(source=("192.0.2.9", 53))
        self.reply(id=decode(self.network.sent[0][0]).id ^ 1)
        self.reply(questions=decode(question("www.example.org")).questions)
        self.reply(questions=[])
        self.reply(response=False)
        self.network.places[0].datagramReceived(b"nonsense", ("192.0.2.1", 53))
        self.assertEqual(self.got, [])
        self.reply()
        self.assertEqual(len(self.got), 1)

    def test_next(self) -> None:
        """Who fails, is silent or not there is followed by the next; NXDOMAIN is an answer."""
        self.start()
        self.reply(rcode=SERVFAIL)
        self.assertEqual(self.network.sent[1][1], ("192.0.2.2", 53))
        self.reply(rcode=NXDOMAIN)
        self.assertEqual(decode(self.got[0]).rcode, NXDOMAIN)
        self.network.refused = {53}
        self.start()
        self.assertEqual(decode(self.got[1]).rcode, SERVFAIL)

    def test_silence(self) -> None:
        """When nobody answers in time, the server has failed, and says that it could have asked."""
        self.start(size=1232)
        self.asking.served.clock.advance(2.1)
        self.assertEqual(len(self.network.sent), 2)
        self.asking.served.clock.advance(2.1)
        message = decode(self.got[0])
        self.assertEqual((message.rcode, message.recursion_available, message.authoritative), (SERVFAIL, True, False))
        self.assertIsNotNone(message.edns())
        self.assertEqual(self.network.places, [])

    def test_inside(self) -> None:
        """What is below the domain is never asked elsewhere, the domain itself included."""
        self.asking.register("n1", "consul")
        self.asking.register("n2", "nothing.consul")
        for name in ("x.consul", "web.service.consul", "n1.node.consul", "n2.node.consul"):
            self.asking.ask(name)
        self.assertEqual(self.network.sent, [])
        self.assertTrue(self.asking.ask("x.consul").recursion_available)

    def test_addresses(self) -> None:
        """An address that nobody here has may be known elsewhere."""
        self.asking.register("n1", "10.0.0.1")
        self.assertEqual(len(self.asking.answers("1.0.0.10.in-addr.arpa", "PTR")), 1)
        self.start("2.0.0.10.in-addr.arpa", kind="PTR")
        self.assertEqual(len(self.network.sent), 1)

    def test_hostNames(self) -> None:
        """A host name that a service has is looked up, and the answer has the service's TTL and is not kept."""
        asking = self.asking = Asking(recursors=(("192.0.2.1", 53),), service_ttl={"*": 5})
        self.network = asking.network
        asking.service("ext", "www.example.com", "web")
        self.start("web.service.consul")
        self.reply()
        self.assertEqual(
            [*map(show, decode(self.got[0]).answer)],
            ["web.service.consul. 5 CNAME www.example.com.", "www.example.com. 5 A 1.2.3.4"],
        )
        self.start("web.service.consul", kind="SRV")
        self.reply()
        self.assertEqual([*map(show, decode(self.got[1]).additional)], ["www.example.com. 5 A 1.2.3.4"])
        self.assertEqual(len(asking.server.udp_answers), 0)

    def test_random(self) -> None:
        """In random order, each server is the first now and then."""
        self.asking = Asking(recursors=(("192.0.2.1", 53), ("192.0.2.2", 53)), recursor_random=True)
        for _ in range(20):
            self.start()
        self.assertEqual({address[0] for _, address in self.asking.network.sent}, {"192.0.2.1", "192.0.2.2"})

    def test_bound(self) -> None:
        """Beyond so many questions under way, the server fails at once."""
        for _ in range(QUESTIONS_UNDER_WAY_MAX + 1):
            self.start()
        self.assertEqual([decode(one).rcode for one in self.got], [SERVFAIL])

    def test_tcp(self) -> None:
        """What came by TCP goes on by TCP."""
        self.start(udp=False)
        description, stream = self.network.connections[0]
        self.assertEqual(description, "tcp:192.0.2.1:53")
        sent = stream.transport.value()
        message = decode(sent[2:])
        message.response = True
        packet = encode(message)
        stream.dataReceived(b"\0")
        stream.dataReceived(len(packet).to_bytes(2, "big")[1:] + packet)
        self.assertEqual(decode(self.got[0]).id, 7)
        self.assertTrue(stream.transport.disconnecting)

    def test_tcpFails(self) -> None:
        """A connection that is refused, lost, or answers something else is followed by the next server."""
        self.start(udp=False)
        self.network.connections[0][1].connectionLost()
        stream = self.network.connections[1][1]
        packet = encode(Message(id=1, response=True))
        stream.dataReceived(len(packet).to_bytes(2, "big") + packet)
        self.assertEqual(decode(self.got[0]).rcode, SERVFAIL)
        self.network.refused = {53}
        self.start(udp=False)
        self.assertEqual(decode(self.got[1]).rcode, SERVFAIL)


class DatagramTests(SynchronousTestCase):
    """UDP."""

    def test_both(self) -> None:
        """The first answer is made, the next one is kept; both go where the question came from."""
        asking = Asking()
        asking.service("n1", "10.0.0.1", "web")
        receiver: Any = asking.server.datagrams()
        receiver.makeConnection(FakePlace(asking.network, receiver))
        for id in (1, 2):
            receiver.datagramReceived(question("web.service.consul", id=id), ("192.0.2.7", id))
        self.assertEqual(
            [(decode(data).id, to) for data, to in asking.network.sent], [(1, ("192.0.2.7", 1)), (2, ("192.0.2.7", 2))]
        )
        self.assertEqual(len(asking.server.udp_answers), 1)
        asking.server.stop()
        self.assertEqual(len(asking.server.udp_answers), 0)
