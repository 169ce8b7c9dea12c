"""Bytes to messages and back."""

from __future__ import annotations

import time
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txconsul.dns.message import (
    AAAA,
    CNAME,
    EDNS,
    MX,
    NS,
    OPT,
    PTR,
    SOA,
    SRV,
    TXT,
    A,
    BadName,
    Malformed,
    Message,
    Name,
    Question,
    Record,
    decode,
    encode,
    make_name,
    make_text,
    read_id,
    show_name,
)

labels = st.binary(min_size=1, max_size=20)
names: st.SearchStrategy[Name] = st.lists(labels, max_size=6).map(tuple)
numbers = st.integers(0, 0xFFFF)


def with_names(kind: int) -> st.SearchStrategy[tuple[int, tuple[object, ...]]]:
    """Data with the names that a kind of record has."""
    parts = {
        SRV: st.tuples(st.binary(min_size=6, max_size=6), names),
        MX: st.tuples(st.binary(min_size=2, max_size=2), names),
        SOA: st.tuples(names, names, st.binary(min_size=20, max_size=20)),
    }
    return st.tuples(st.just(kind), parts.get(kind, st.tuples(names)))  # type: ignore[arg-type]


datas = st.one_of(
    *[with_names(kind) for kind in (NS, CNAME, PTR, MX, SRV, SOA)],
    st.tuples(st.sampled_from([A, AAAA, TXT, 99]), st.tuples(st.binary(max_size=40))),
)
records = st.builds(
    lambda name, kind_and_data, ttl, class_: Record(name, kind_and_data[0], ttl, kind_and_data[1], class_),
    names,
    datas,
    st.integers(0, 0xFFFFFFFF),
    numbers,
)
messages = st.builds(
    Message,
    id=numbers,
    response=st.booleans(),
    opcode=st.integers(0, 15),
    authoritative=st.booleans(),
    truncated=st.booleans(),
    recursion_desired=st.booleans(),
    recursion_available=st.booleans(),
    checking_disabled=st.booleans(),
    rcode=st.integers(0, 15),
    questions=st.lists(st.builds(Question, names, numbers, numbers), max_size=2),
    answer=st.lists(records, max_size=6),
    authority=st.lists(records, max_size=2),
    additional=st.lists(records, max_size=4),
)


def sample() -> Message:
    """An answer with something of everything."""
    asked = make_name("web.service.consul")
    node = make_name("n1.node.dc1.consul")
    return Message(
        id=7,
        response=True,
        questions=[Question(asked, SRV)],
        answer=[Record(asked, SRV, 5, (b"\0\1\0\1\0\x50", node)), Record(asked, CNAME, 5, (node,))],
        authority=[Record(make_name("consul"), SOA, 0, (make_name("ns.consul"), make_name("a.consul"), bytes(20)))],
        additional=[
            Record(node, A, 5, (b"\x0a\0\0\1",)),
            Record(node, TXT, 5, (make_text(b"k=v"),)),
            EDNS(1232, ((8, b"\0\1\x18\0\x0a\0\0"),)).record(),
        ],
    )


class RoundTripTests(SynchronousTestCase):
    """What is written is read."""

    @given(messages, st.booleans())
    @settings(deadline=None, max_examples=150)
    def test_any(self, message: Message, compress: bool) -> None:
        """Any message comes back, compressed or not."""
        self.assertEqual(decode(encode(message, compress)), message)

    @given(messages)
    @settings(deadline=None, max_examples=80)
    def test_smaller(self, message: Message) -> None:
        """Compression never makes a message longer."""
        self.assertLessEqual(len(encode(message)), len(encode(message, False)))

    def test_bytes(self) -> None:
        """A question and its answer have the bytes that RFC 1035 gives them."""
        asked = make_name("f.isi.arpa")
        message = Message(
            id=0x0102,
            response=True,
            recursion_desired=True,
            questions=[Question(asked, A)],
            answer=[Record(asked, A, 1, (b"\x0a\0\0\1",)), Record(make_name("foo.f.isi.arpa"), NS, 1, (asked,))],
        )
        self.assertEqual(
            encode(message),
            b"\1\2\x81\0\0\1\0\2\0\0\0\0"
            b"\1f\3isi\4arpa\0\0\1\0\1"
            b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4\x0a\0\0\1"
            b"\3foo\xc0\x0c\0\2\0\1\0\0\0\1\0\2\xc0\x0c",
        )

    def test_targetsAreWhole(self) -> None:
        """The target of SRV is never compressed, but others may point to it."""
        encoded = encode(sample())
        self.assertEqual(encoded.count(b"\2n1\4node\3dc1\6consul\0"), 1)
        self.assertEqual(encoded.count(b"\2n1"), 1)

    def test_farNames(self) -> None:
        """A name beyond the reach of pointers is written whole, and read."""
        far = [Record(make_name(f"n{number}.x"), A, 0, (bytes(200),)) for number in range(200)]
        message = Message(answer=far)
        self.assertGreater(len(encode(message)), 0x4000)
        self.assertEqual(decode(encode(message)), message)

    def test_edns(self) -> None:
        """EDNS comes back with its options; without OPT there is none."""
        found = decode(encode(sample())).edns()
        self.assertEqual(found, EDNS(1232, ((8, b"\0\1\x18\0\x0a\0\0"),)))
        self.assertIsNone(Message().edns())


class MalformedTests(SynchronousTestCase):
    """What is no message is refused, in bounded time."""

    def test_mutated(self) -> None:
        """100,000 mutated messages are read or refused, none slowly."""
        rng = Random(4)
        originals = [encode(sample()), encode(sample(), False), encode(Message(questions=sample().questions))]
        read = 0
        slowest = 0.0
        for number in range(100_000):
            packet = bytearray(originals[number % len(originals)])
            for _ in range(rng.randrange(1, 6)):
                at = rng.randrange(len(packet))
                packet[at] = rng.choice((0xC0, 0, 0xFF, 12, rng.randrange(256)))
            if rng.random() < 0.2:
                del packet[rng.randrange(len(packet)) :]
            began = time.process_time()
            try:
                decode(bytes(packet)).edns()
                read += 1
            except Malformed:
                pass
            slowest = max(slowest, time.process_time() - began)
        self.assertGreater(read, 1000)
        self.assertLess(slowest, 0.1)

    @given(st.binary(max_size=600))
    @settings(deadline=None, max_examples=300)
    def test_anyBytes(self, data: bytes) -> None:
        """Any bytes are read or refused; what was read can be written."""
        try:
            message = decode(data)
        except Malformed:
            return
        encode(message)

    def test_loops(self) -> None:
        """A pointer to itself, ahead, or round about is refused."""
        head = b"\0\1\0\0\0\1\0\0\0\0\0\0"
        for name in (b"\xc0\x0c", b"\xc0\x0e\0", b"\1a\xc0\x0c", b"\1a\xc0\x0e\1b\xc0\x0c"):
            with self.assertRaises(Malformed):
                decode(head + name + b"\0\1\0\1")

    def test_longByPointers(self) -> None:
        """Pointers cannot make a name longer than 255 bytes, however often they lead back."""
        body = b"\x3f" + b"a" * 63 + b"\0"
        records = b""
        at = 12
        for number in range(5):
            pointer = b"\xc0\x0c" if not number else (0xC000 | at).to_bytes(2, "big")
            at = 12 + len(body) + 4 + len(records)
            records += b"\x3f" + b"b" * 63 + pointer + b"\0\1\0\1\0\0\0\0\0\0"
        with self.assertRaises(Malformed):
            decode(b"\0\1\0\0\0\1\0\5\0\0\0\0" + body + b"\0\1\0\1" + records)

    def test_counts(self) -> None:
        """Counts that the bytes cannot hold are refused before anything is read."""
        with self.assertRaises(Malformed):
            decode(b"\0\1\0\0\xff\xff\xff\xff\xff\xff\xff\xff" + bytes(100))

    def test_lengths(self) -> None:
        """A record whose data is longer or shorter than its name is refused."""
        head = b"\0\1\x80\0\0\0\0\1\0\0\0\0\0\0\5\0\1\0\0\0\0"
        self.assertEqual(decode(head + b"\0\3\1a\0").answer[0].data, ((b"a",),))
        for size in (b"\0\2", b"\0\4"):
            with self.assertRaises(Malformed):
                decode(head + size + b"\1a\0\0")

    def test_options(self) -> None:
        """Options that end early are refused when they are looked at."""
        for data in (b"\0", b"\0\x08\0\5ab"):
            message = Message(additional=[Record((), OPT, 0, (data,), 512)])
            with self.assertRaises(Malformed):
                decode(encode(message)).edns()

    def test_id(self) -> None:
        """The id of what is no message can be read all the same, if there is a header."""
        self.assertEqual(read_id(b"\1\2" + bytes(10)), 0x0102)
        self.assertIsNone(read_id(b"\1\2"))


class NameTests(SynchronousTestCase):
    """Text to names."""

    def test_make(self) -> None:
        """The dot at the end is no matter; a lone dot is the root."""
        self.assertEqual(make_name("a.B."), (b"a", b"B"))
        self.assertEqual(make_name("a.B"), (b"a", b"B"))
        self.assertEqual(make_name("."), ())
        self.assertEqual(show_name((b"a", b"B")), "a.B.")

    def test_bad(self) -> None:
        """Empty labels, long ones, and names of more than 255 bytes are none."""
        for text in ("a..b", ".a", "a" * 64, ".".join(["a" * 60] * 5)):
            with self.assertRaises(BadName):
                make_name(text)

    def test_text(self) -> None:
        """A long text is several strings, an empty one is one."""
        self.assertEqual(make_text(b""), b"\0")
        self.assertEqual(make_text(b"a" * 256), b"\xff" + b"a" * 255 + b"\1a")
