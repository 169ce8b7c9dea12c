"""Raft between servers, byte for byte."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import Any

import msgpack
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests import vectors
from txconsul.codec import gomsgpack
from txconsul.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    InstallSnapshot,
    InstallSnapshotReply,
    Message,
    PreVoteReply,
    RequestPreVote,
    RequestVote,
    TimeoutNow,
    VoteReply,
)
from txconsul.records.raft import Configuration, Entry, Server, Suffrage
from txconsul.rpc import raftwire
from txconsul.rpc.raftwire import (
    NOBODY,
    Answer,
    BadRaft,
    Header,
    Request,
    RequestEncoder,
    Requests,
    Responses,
    encode_error,
    encode_reply,
)

A = Header("id-a", "10.0.0.1:8300")
QUESTIONS: dict[str, Message] = {
    "AppendEntries": AppendEntries(term=1),
    "RequestVote": RequestVote(term=1),
    "RequestPreVote": RequestPreVote(term=1),
    "InstallSnapshot": InstallSnapshot(term=1),
    "TimeoutNow": TimeoutNow(),
}


def read_requests(data: bytes, *cuts: int) -> list[Request | bytes]:
    """All that C{data} holds, fed in pieces that end at C{cuts}; the pieces of a snapshot are joined."""
    reader, found = Requests(), []
    borders = [0, *sorted(cuts), len(data)]
    for begin, end in pairwise(borders):
        for event in reader.feed(data[begin:end]):
            if isinstance(event, bytes) and found and isinstance(found[-1], bytes):
                found[-1] += event
            else:
                found.append(event)
    return found


def read_answers(data: bytes, *cuts: int) -> list[Answer]:
    """All answers in C{data}."""
    reader = Responses()
    borders = [0, *sorted(cuts), len(data)]
    return [answer for begin, end in pairwise(borders) for answer in reader.feed(data[begin:end])]


def plain(value: Any) -> Any:
    """A vector's decoded value as msgpack gives it."""
    if isinstance(value, dict):
        if "hex" in value:
            return bytes.fromhex(value["hex"])
        return {key.encode(): plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return value.encode() if isinstance(value, str) else value


class VectorTests(SynchronousTestCase):
    """What hashicorp/raft wrote is read, and written again as it was."""

    def each(self, *names: str) -> list[dict[str, Any]]:
        """The vectors of these files."""
        return [vector for name in names for vector in vectors.load(name) if vector["hex"]]

    def test_requests(self) -> None:
        """Each request is read into its message and header, and comes out the same."""
        seen = set()
        for vector in self.each("raft", "raft_captured"):
            if "rpc_byte" not in vector["decoded"]:
                continue
            data = vectors.data(vector)
            request, *pieces = read_requests(data)
            assert isinstance(request, Request)
            body = plain(vector["decoded"]["body"])
            self.assertEqual(request.header.id.encode(), body[b"ID"], vector["name"])
            self.assertEqual(request.header.address.encode(), body[b"Addr"])
            written = RequestEncoder(request.header).encode(request.message) + b"".join(map(bytes, pieces))
            self.assertEqual(written.hex(), data.hex(), vector["name"])
            seen.add(vector["decoded"]["rpc_byte"])
        self.assertEqual(seen, {0, 1, 2, 3, 4})

    def test_answers(self) -> None:
        """Each answer is read, and comes out the same."""
        kinds = {
            "append-entries": "AppendEntries",
            "error-response": "AppendEntries",
            "request-vote": "RequestVote",
            "request-pre-vote": "RequestPreVote",
            "install-snapshot": "InstallSnapshot",
            "timeout-now": "TimeoutNow",
        }
        count = 0
        for vector in self.each("raft", "raft_captured"):
            if "error" not in vector["decoded"]:
                continue
            name = vector["name"]
            kind = next(
                (kind for begin, kind in kinds.items() if name.startswith(begin)),
                name.split("-")[1],
            )
            (answer,) = read_answers(vectors.data(vector))
            self.assertEqual(
                (answer.error, answer.body), (vector["decoded"]["error"], plain(vector["decoded"]["body"]))
            )
            reply = answer.reply(QUESTIONS[kind]) or TimeoutNow()
            self.assertEqual(encode_reply(reply, answer.header, answer.error).hex(), vector["hex"], name)
            count += 1
        self.assertGreater(count, 10)

    def test_entriesAndConfigurations(self) -> None:
        """Entries of the log and configurations alone."""
        for vector in self.each("raft"):
            for begin, record in (("log-entry", Entry), ("configuration", Configuration)):
                if vector["name"].startswith(begin):
                    read = gomsgpack.decode(record, vectors.data(vector))  # type: ignore[type-var]
                    self.assertEqual(gomsgpack.encode(read).hex(), vector["hex"])

    def test_commands(self) -> None:
        """Every captured command passes through an append unharmed."""
        entries = tuple(
            Entry(index=1 + place, term=3, data=vectors.data(vector))
            for place, vector in enumerate(self.each("log_captured", "log_commands"))
        )
        message = AppendEntries(3, A.address, 0, 0, 1, entries)
        self.assertEqual(read_requests(RequestEncoder(A).encode(message)), [Request(message, A)])


uints = st.one_of(st.integers(0, 300), st.integers(0, (1 << 64) - 1))
raws = st.one_of(st.none(), st.binary(max_size=300))
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
entries = st.lists(
    st.builds(
        Entry,
        index=uints,
        term=uints,
        type=st.integers(0, 255),
        data=raws,
        extensions=raws,
        appended_at=st.binary(min_size=15, max_size=15),
    ),
    max_size=5,
)
headers = st.builds(Header, texts, texts.filter(bool), st.integers(-(1 << 40), 1 << 40))
servers = st.lists(st.builds(Server, suffrage=st.sampled_from(Suffrage), id=texts, address=texts), max_size=4)
messages = st.one_of(
    st.builds(AppendEntries, uints, texts, uints, uints, uints, entries.map(tuple)),
    st.builds(RequestVote, uints, texts, uints, uints, st.booleans()),
    st.builds(RequestPreVote, uints, uints, uints),
    st.builds(TimeoutNow, uints),
    st.builds(
        InstallSnapshot,
        uints,
        texts,
        uints,
        uints,
        st.builds(Configuration, servers=servers.map(tuple)),
        uints,
        st.integers(0, 200),
    ),
)


def spoken_by(message: Message, header: Header) -> Message:
    """C{message} with the address that its reader takes: the header's."""
    if isinstance(message, AppendEntries):
        return AppendEntries(
            message.term,
            header.address,
            message.prev_log_entry,
            message.prev_log_term,
            message.leader_commit_index,
            message.entries,
        )
    if isinstance(message, RequestVote):
        return RequestVote(
            message.term, header.address, message.last_log_index, message.last_log_term, message.leadership_transfer
        )
    if isinstance(message, InstallSnapshot):
        return InstallSnapshot(
            message.term,
            header.address,
            message.last_log_index,
            message.last_log_term,
            message.configuration,
            message.configuration_index,
            message.size,
        )
    return message


class RoundTripTests(SynchronousTestCase):
    """What is written is read, however it is cut."""

    @given(st.lists(st.tuples(messages, headers), max_size=4), st.randoms(use_true_random=False))
    @settings(max_examples=150, deadline=None)
    def test_requests(self, told: list[tuple[Message, Header]], rng: Random) -> None:
        """Several requests of a connection, with the bytes of snapshots, in any pieces."""
        data, expected = b"", []
        for message, header in told:
            data += RequestEncoder(header).encode(message)
            expected.append(Request(spoken_by(message, header), header))
            if isinstance(message, InstallSnapshot) and message.size:
                state = rng.randbytes(message.size)
                data += state
                expected.append(state)  # type: ignore[arg-type]
        cuts = [rng.randint(0, len(data)) for _ in range(rng.randint(0, 30))]
        self.assertEqual(read_requests(data, *cuts), expected)
        self.assertEqual(read_requests(data, *range(0, len(data), 1 + len(data) // 50)), expected)

    @given(uints, uints, st.booleans(), st.booleans(), headers, texts, st.randoms(use_true_random=False))
    @settings(max_examples=100, deadline=None)
    def test_answers(
        self, term: int, last: int, success: bool, back_off: bool, header: Header, error: str, rng: Random
    ) -> None:
        """An answer is completed from the request that it belongs to."""
        append = AppendEntries(1, "a", 7, 1, 0, (Entry(index=8), Entry(index=9)), round=5)
        pairs: list[tuple[Message, Message]] = [
            (append, AppendEntriesReply(term, success, last, back_off, 9, 7, 5)),
            (RequestVote(1, round=6), VoteReply(term, success, 6)),
            (RequestPreVote(1, round=7), PreVoteReply(term, success, 7)),
            (InstallSnapshot(1, last_log_index=44, round=8), InstallSnapshotReply(term, success, 44, 8)),
        ]
        data = b"".join(encode_reply(reply, header, error) for _, reply in pairs)
        data += encode_reply(TimeoutNow(), NOBODY)
        found = read_answers(data, *[rng.randint(0, len(data)) for _ in range(9)])
        self.assertEqual(
            [answer.reply(asked) for answer, (asked, _) in zip(found[:-1], pairs, strict=True)],
            [reply for _, reply in pairs],
        )
        self.assertEqual([(answer.error, answer.header) for answer in found[:-1]], [(error, header)] * 4)
        self.assertEqual((found[-1].header, found[-1].reply(TimeoutNow())), (NOBODY, None))

    def test_encodedOnce(self) -> None:
        """The same entries for another follower are the same bytes, and other entries are others."""
        encoder = RequestEncoder(A)
        held = [Entry(index=n, term=1, data=b"%d" % n) for n in range(1, 9)]
        for low, high in ((0, 4), (0, 4), (0, 3), (1, 4), (4, 8), (0, 8), (2, 3)):
            message = AppendEntries(1, A.address, low, 1, 1, tuple(held[low:high]))
            self.assertEqual(read_requests(encoder.encode(message)), [Request(message, A)])

    def test_whatIsNoRequest(self) -> None:
        """An answer cannot be asked, nor a request be answered."""
        self.assertRaises(TypeError, RequestEncoder(A).encode, VoteReply(1, True))
        self.assertRaises(TypeError, encode_reply, RequestVote(1), A)


class ReadingTests(SynchronousTestCase):
    """What other versions and strangers may write."""

    def request(self, number: int, **fields: Any) -> bytes:
        """A request with these fields only, written as msgpack would today."""
        return bytes([number]) + msgpack.packb(fields)

    def test_missingFieldsAreZero(self) -> None:
        """As Go reads: what is missing or nil is zero, and unknown keys are skipped."""
        (request,) = read_requests(self.request(0, Term=3, Entries=None, Later={"x": [1]}))
        self.assertEqual(request, Request(AppendEntries(3), Header(version=0)))

    def test_olderServers(self) -> None:
        """Where the header has no address it is taken from the older field."""
        (append, vote) = read_requests(self.request(0, Leader=b"a:1") + self.request(1, Candidate=b"b:1"))
        assert isinstance(append, Request) and isinstance(vote, Request)
        self.assertEqual((append.message, vote.message), (AppendEntries(0, "a:1"), RequestVote(0, "b:1")))

    def test_timesOfMsgpack(self) -> None:
        """A time may be msgpack's own; it is kept as Go's bytes."""
        entry = {"Index": 1, "AppendedAt": msgpack.Timestamp(1767323045, 6000)}
        (request,) = read_requests(self.request(0, Entries=[entry]))
        assert isinstance(request, Request) and isinstance(request.message, AppendEntries)
        self.assertEqual(request.message.entries[0].appended_at.hex(), "010000000ee0e92ca500001770ffff")

    def test_snapshotVersion(self) -> None:
        """Only version 1 of a snapshot's request is today's."""
        events = read_requests(self.request(2, SnapshotVersion=0, Size=3) + b"abc")
        self.assertEqual(events, [Request(InstallSnapshot(0, size=3), Header(version=0), 0), b"abc"])

    def test_errors(self) -> None:
        """An error may come without any answer."""
        (answer,) = read_answers(encode_error("unexpected command"))
        self.assertEqual(answer, Answer("unexpected command", None))
        self.assertRaises(BadRaft, answer.reply, RequestVote(1))

    def test_nonsense(self) -> None:
        """What is none of the protocol's ends the connection, told by one error."""
        for data in (
            b"\x05\x80",
            b"\x00\x90",
            b"\x00\xc1",
            b"\x00\xdd\xff\xff\xff\xff",
            b"\x00\xdf\xff\xff\xff\xff",
            self.request(0, Term="x"),
            self.request(0, Term=-1),
            self.request(0, Entries=[5]),
            self.request(0, Entries=[{"Index": -1}]),
            self.request(0, Entries={}),
            self.request(1, LeadershipTransfer=1),
            self.request(2, Size=-1),
            self.request(2, Configuration=b"\xc1"),
            self.request(0, Addr=4),
        ):
            self.assertRaises(BadRaft, read_requests, data)
        for data in (b"\x01", b"\xa0\x01", b"\xc1", b"\xa0\x81\xa4Term\xa1x"):
            self.assertRaises(BadRaft, lambda data=data: [a.reply(RequestVote(1)) for a in read_answers(data)])

    def test_tooLarge(self) -> None:
        """No more is held than the longest message has."""
        self.patch(raftwire, "REQUEST_BYTES_MAX", 2000)
        self.assertRaises(BadRaft, read_requests, b"\x00\x81\xa4Data\xdb\x7f\xff\xff\xff" + bytes(3000), 1000)
        self.assertRaises(BadRaft, read_answers, b"\xdb\x7f\xff\xff\xff" + bytes(raftwire.RESPONSE_BYTES_MAX + 9), 1000)

    @given(st.binary(max_size=60), st.integers(0, 5))
    @settings(max_examples=300, deadline=None)
    def test_anything(self, data: bytes, number: int) -> None:
        """Whatever comes is a request, waits for more, or is refused with one kind of error."""
        for read in (read_requests, read_answers):
            for begin in (b"", bytes([number])):
                try:
                    read(begin + data)
                except BadRaft:
                    continue

    def test_damagedRequests(self) -> None:
        """A good request with one byte changed never raises anything else."""
        rng = Random(1)
        message = AppendEntries(3, "a:1", 4, 2, 1, (Entry(index=5, term=3, data=b"\x02x"), Entry(index=6, term=3)))
        good = RequestEncoder(A).encode(message)
        for _ in range(2000):
            bad = bytearray(good)
            bad[rng.randrange(len(bad))] = rng.randrange(256)
            try:
                read_requests(bytes(bad))
            except BadRaft:
                continue
