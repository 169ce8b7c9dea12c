"""From what users write to addresses and members: by names that somebody knows, and by a server asked over TCP."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionRefusedError, DNSLookupError
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.agent.checks.peers import PeerCase
from txconsul.agent.joining.addresses import BadAddress
from txconsul.agent.joining.nameservers import ask, first_nameserver, system_nameserver
from txconsul.agent.joining.resolving import CannotJoin, CannotResolve, join_all, resolve
from txconsul.dns.message import AAAA, ANY, CNAME, NXDOMAIN, A, Message, Record, decode, encode, make_name


class Names:
    """A network that knows names, and where nobody listens."""

    def __init__(self, **known: list[str]) -> None:
        self.clock = Clock()
        self.known = known
        self.asked: list[str] = []
        self.dialled: list[str] = []

    def resolve_all(self, name: str) -> Any:
        """See L{INetwork<txconsul.interfaces.INetwork>}."""
        self.asked.append(name)
        return succeed(self.known[name]) if name in self.known else fail(DNSLookupError(name))

    def connect(self, description: str, factory: Any) -> Any:
        """Nobody is there."""
        self.dialled.append(description)
        return fail(ConnectionRefusedError())


class ResolveTests(SynchronousTestCase):
    """One text."""

    def setUp(self) -> None:
        """A resolver."""
        self.network: Any = Names(db1=["10.0.0.1", "fd00::1"], **{"db.example.com": ["10.0.0.3"]})

    def test_address(self) -> None:
        """An address is taken as it is; nobody is asked."""
        found = self.successResultOf(resolve(self.network, "[FD00::2]:7", 8301))
        self.assertEqual((found, self.network.asked), ([("fd00::2", 7)], []))
        self.assertEqual(self.successResultOf(resolve(self.network, "n/10.0.0.2", 8301)), [("10.0.0.2", 8301)])

    def test_name(self) -> None:
        """All addresses of a name, of either family."""
        found = self.successResultOf(resolve(self.network, "db1:7", 8301))
        self.assertEqual(found, [("10.0.0.1", 7), ("fd00::1", 7)])

    def test_unknown(self) -> None:
        """A name that nobody knows, and what is no address."""
        failure = self.failureResultOf(resolve(self.network, "db2", 8301), CannotResolve)
        self.assertEqual(failure.getErrorMessage(), "lookup db2: no such host")
        self.failureResultOf(resolve(self.network, "db2:x", 8301), BadAddress)

    def test_nothingIsRun(self) -> None:
        """What runs programs in a configuration is a name like any other here: anybody may ask for it over HTTP."""
        for text in ("exec=true", "provider=aws tag=x"):
            failure = self.failureResultOf(resolve(self.network, text, 8301), CannotResolve)
            self.assertEqual(failure.getErrorMessage(), f"lookup {text}: no such host")

    def test_nameserverAway(self) -> None:
        """Where no server answers over TCP the resolver does; names without dots are its own in any case."""
        found = resolve(self.network, "db.example.com", 8301, nameserver=("192.0.2.1", 53))
        self.assertEqual(self.successResultOf(found), [("10.0.0.3", 8301)])
        self.assertEqual(self.network.dialled, ["tcp:192.0.2.1:53"])
        self.successResultOf(resolve(self.network, "db1", 8301, nameserver=("192.0.2.1", 53)))
        self.assertEqual(len(self.network.dialled), 1)


class JoinTests(SynchronousTestCase):
    """Several texts."""

    def setUp(self) -> None:
        """A pool by some of whose members can be joined."""
        self.network: Any = Names(db=["10.0.0.1", "10.0.0.2"])
        self.tried: list[tuple[str, int]] = []
        self.there = {"10.0.0.2"}

    def join(self, host: str, port: int) -> Deferred[None]:
        """Join by one."""
        self.tried.append((host, port))
        return succeed(None) if host in self.there else fail(ValueError("nobody is there"))

    def test_all(self) -> None:
        """All are tried, each address of a name, and those are counted who were joined, whatever became of others."""
        joined = join_all(self.network, ["db", "nowhere", "[fd00::9]:1", "10.0.0.2:7"], 8301, self.join)
        self.assertEqual(self.successResultOf(joined), 2)
        self.assertEqual(self.tried, [("10.0.0.1", 8301), ("10.0.0.2", 8301), ("fd00::9", 1), ("10.0.0.2", 7)])

    def test_nobody(self) -> None:
        """If nobody can be joined, each failure is told in a line of its own."""
        joined = join_all(self.network, ["fd00::9", "nowhere", "h:x"], 8301, self.join)
        failure = self.failureResultOf(joined, CannotJoin)
        self.assertEqual(
            failure.getErrorMessage(),
            "3 errors occurred:\n"
            "\t* Failed to join [fd00::9]:8301: nobody is there\n"
            "\t* Failed to resolve nowhere: lookup nowhere: no such host\n"
            '\t* Failed to resolve h:x: strconv.ParseUint: parsing "x": invalid syntax\n\n',
        )

    def test_none(self) -> None:
        """Nobody to join is no failure."""
        self.assertEqual(self.successResultOf(join_all(self.network, [], 8301, self.join)), 0)


class Nameserver(Protocol):
    """Answers over TCP with what the test says."""

    records: tuple[Record, ...] = ()
    rcode = 0

    def dataReceived(self, data: bytes) -> None:
        """A question."""
        assert self.transport is not None
        asked = decode(data[2:])
        assert asked.questions[0].type == ANY and asked.recursion_desired
        answer = Message(
            id=asked.id, response=True, questions=asked.questions, rcode=self.rcode, answer=list(self.records)
        )
        packet = encode(answer)
        self.transport.write(len(packet).to_bytes(2, "big") + packet)


class NameserverTests(PeerCase):
    """Names asked over TCP."""

    async def ask(self, name: str = "db.example.com") -> list[str]:
        """Ask."""
        host, _, port = (await self.listen(Factory.forProtocol(Nameserver))).partition(":")
        found = await ask(self.network, name, (host, int(port)))
        await self.settled()
        return found

    async def test_all(self) -> None:
        """All addresses of both families, each once; what is no address, or too short for one, is passed over."""
        name = make_name("db.example.com")
        v4 = [Record(name, A, 1, (bytes([10, 0, 0, host]),)) for host in (1, 2, 3, 4, 5, 1)]
        v6 = Record(name, AAAA, 1, (b"\xfd" + bytes(14) + b"\1",))
        odd = [Record(name, CNAME, 1, (make_name("x."),)), Record(name, A, 1, (b"abc",))]
        self.patch(Nameserver, "records", (*odd, *v4, v6))
        found = await self.ask()
        self.assertEqual(found, [*(f"10.0.0.{host}" for host in range(1, 6)), "fd00::1"])

    async def test_none(self) -> None:
        """No such name, and a name that cannot be asked for."""
        self.patch(Nameserver, "rcode", NXDOMAIN)
        self.assertEqual(await self.ask(), [])
        self.assertEqual(await self.ask("a..b"), [])
        self.assertEqual(await self.ask("a" * 64 + ".b"), [])


class ConfigurationTests(SynchronousTestCase):
    """Who is asked."""

    def test_first(self) -> None:
        """The first server of resolv.conf; comments and other lines are no matter."""
        text = "# nameserver 10.0.0.1\noptions edns0\nnameserver\nnameserver\t10.0.0.2 # x\nnameserver 10.0.0.3\n"
        self.assertEqual(first_nameserver(text), ("10.0.0.2", 53))
        self.assertIsNone(first_nameserver(""))

    def test_file(self) -> None:
        """It is read anew each time; where there is none, nobody is asked."""
        path = self.mktemp()
        self.assertIsNone(system_nameserver(path))
        with open(path, "wb") as file:
            file.write(b"\xff\nnameserver ::1\n")
        self.assertEqual(system_nameserver(path), ("::1", 53))
