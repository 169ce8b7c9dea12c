"""
Scenarios as transcripts: commands, a line of dashes, then everything that happened.

C{REWRITE=1 trial tests.raft.test_transcripts} writes the lower parts anew. Read the difference before committing it.
The commands are L{Script}'s methods.
"""

from __future__ import annotations

import os
from pathlib import Path

from msgspec import structs
from twisted.trial.unittest import SynchronousTestCase

from tests.raft.cluster import Cluster, configuration, entry, log_of
from tests.raft.wording import entry_words
from txconsul.errors import TxconsulError

FOLDER = Path(__file__).parent / "transcripts"
DASHES = "----"


class Script:
    """What the commands of a transcript do."""

    def __init__(self) -> None:
        self.cluster = Cluster()

    def do(self, line: str) -> None:
        """Carry out one line."""
        command, *arguments = line.split()
        try:
            getattr(self, command)(*arguments)
        except TxconsulError as error:
            self.cluster.tell(f"{type(error).__name__}: {error}")
        self.cluster.drain()

    def limit(self, name: str, value: str) -> None:
        """Set one of the whole numbers of L{Timing}."""
        self.cluster.timing = structs.replace(self.cluster.timing, **{name: int(value)})

    def servers(self, *words: str) -> None:
        """C{servers a b c? log=1,1,2}: begin with these, whose logs have entries of these terms; C{c?} has no vote."""
        ids = [word for word in words if "=" not in word]
        options = dict(word.split("=") for word in words if "=" in word)
        terms = tuple(int(term) for term in options.get("log", "1").split(","))
        for id in ids:
            self.cluster.add(id.rstrip("?"), log_of(configuration(*ids), terms), term=terms[-1])

    def bootstrap(self, *ids: str) -> None:
        """Servers that begin a new group."""
        for id in ids:
            self.cluster.add(id)
            self.cluster[id].bootstrap(configuration(*ids), self.cluster.now)

    def newcomer(self, id: str) -> None:
        """A server that knows nothing."""
        self.cluster.add(id)

    def has(self, id: str, terms: str, term: str = "") -> None:
        """C{has a 1,1,2}: the log of one server has entries of these terms, whatever the others have."""
        numbers = tuple(int(each) for each in terms.split(","))
        members = self.cluster[id].members.latest
        machine = self.cluster.machines[id]
        machine.log.kept = list(log_of(members, numbers))
        for place in range(1, len(numbers)):
            machine.log.kept[place] = entry(numbers[place], place + 1, f"v{place + 1}")
        machine.term = int(term) if term else numbers[-1]
        machine.start()

    def elect(self, id: str) -> None:
        """One becomes the leader, and all know it; not part of the story."""
        self.cluster.elect(id)
        self.cluster.take_lines()

    def timeout(self, id: str) -> None:
        """Time passes until one server has something to do; it does it."""
        self.cluster.timeout(id)

    def propose(self, id: str, *values: str) -> None:
        """Commands are given to one server."""
        for value in values:
            self.cluster[id].propose(value.encode(), self.cluster.now)

    def read(self, id: str, count: str = "1") -> None:
        """Reads are asked of one server."""
        for _ in range(int(count)):
            self.cluster[id].read(self.cluster.now)

    def lease(self, id: str) -> None:
        """Whether it is certain that no other leads."""
        valid = self.cluster[id].lease_valid(self.cluster.now)
        self.cluster.tell(f"{id} lease {'valid' if valid else 'not valid'}")

    def add(self, id: str, other: str) -> None:
        """C{add a d} adds a voter, C{add a d?} a non-voter."""
        verb = self.cluster[id].add_nonvoter if other.endswith("?") else self.cluster[id].add_voter
        verb(other.rstrip("?"), f"{other.rstrip('?')}:8300", self.cluster.now)

    def remove(self, id: str, other: str) -> None:
        """C{remove a b}: the leader a removes b."""
        self.cluster[id].remove_server(other, self.cluster.now)

    def demote(self, id: str, other: str) -> None:
        """The leader takes another's vote."""
        self.cluster[id].demote(other, self.cluster.now)

    def transfer(self, id: str, to: str = "") -> None:
        """The leader hands over."""
        self.cluster[id].transfer_leadership(to or None, self.cluster.now)

    def compact(self, id: str, index: str) -> None:
        """One server takes a snapshot and lets its entries go."""
        self.cluster.machines[id].compact(int(index))

    def disk(self, id: str, state: str) -> None:
        """C{disk a slow|full|ok}."""
        self.cluster.machines[id].disk = state

    def sync(self, id: str) -> None:
        """A slow disk has done its work, or a full one refuses it."""
        self.cluster.machines[id].sync()

    def restart(self, id: str) -> None:
        """A crash and a new start."""
        self.cluster.restart(id)

    def cut(self, *ids: str) -> None:
        """These are cut off from the others."""
        self.cluster.cut(*ids)

    def deaf(self, id: str) -> None:
        """Nothing reaches one server, but what it sends arrives."""
        self.cluster.cuts |= {(other, id) for other in self.cluster.machines if other != id}

    def heal(self) -> None:
        """All are connected."""
        self.cluster.heal()

    def deliver(self, place: str) -> None:
        """Deliver one message before the others; 0 is the oldest."""
        self.cluster.deliver(int(place))

    def step_down(self, id: str) -> None:
        """A leader gives up."""
        self.cluster[id].step_down(self.cluster.now)

    def run(self) -> None:
        """Deliver all messages."""
        self.cluster.run()

    def wait(self, seconds: str) -> None:
        """Time passes for all."""
        self.cluster.wait(float(seconds))

    def heartbeats(self) -> None:
        """Show them from now on."""
        self.cluster.shows_heartbeats = True

    def log(self, id: str) -> None:
        """Show what one server has stored."""
        kept = ", ".join(entry_words(each) for each in self.cluster.machines[id].log.kept)
        self.cluster.tell(f"{id} has {kept or 'nothing'}")


def replay(text: str) -> str:
    """Play the commands of a transcript and write down what happens."""
    script = Script()
    blocks = []
    for block in text.strip().split("\n\n"):
        commands = block.split(f"\n{DASHES}", 1)[0].split("\n")
        for line in commands:
            if not line.startswith("#"):
                script.do(line)
        blocks.append("\n".join([*commands, DASHES, *script.cluster.take_lines()]))
    return "\n\n".join(blocks) + "\n"


class TranscriptTests(SynchronousTestCase):
    """Each file of the folder is one scenario."""

    def check(self, name: str) -> None:
        """Play it again."""
        path = FOLDER / f"{name}.txt"
        text = path.read_text()
        played = replay(text)
        if os.environ.get("REWRITE"):
            path.write_text(played)
        self.assertEqual(played, text if not os.environ.get("REWRITE") else played)


def _tests() -> None:
    for path in sorted(FOLDER.glob("*.txt")):
        words = path.stem.split("_")
        name = "test_" + words[0] + "".join(word.title() for word in words[1:])

        def test(self: TranscriptTests, stem: str = path.stem) -> None:
            self.check(stem)

        test.__doc__ = path.read_text().split("\n", 1)[0].lstrip("# ")
        setattr(TranscriptTests, name, test)


_tests()
