"""
Who belongs to the group, and how that changes: one server at a time.

A configuration entry is in force from the moment it is in the log, committed or not (Raft 6; dissertation 4.1). When
such an entry is cut off the log, the one before it is in force again. Old and new configurations that differ in one
voter always share a member of any two majorities, so only one change may be uncommitted.

Non-voters get the log and have no voice (dissertation 4.2.1). A I{staging} server, which hashicorp/raft knows but no
longer makes, counts as one.

Departure: the paper's joint consensus is not used, as hashicorp/raft does not.
"""

from __future__ import annotations

from txconsul.codec import gomsgpack
from txconsul.errors import RequestRefused
from txconsul.records.raft import Configuration, Entry, EntryType, Server, Suffrage

__all__ = ["Membership", "check", "demoted", "read_configuration", "with_nonvoter", "with_voter", "without"]


def read_configuration(entry: Entry) -> Configuration | None:
    """
    The configuration that an entry holds, or None for any other entry.

    @raise Corrupt: its bytes are damaged.
    """
    if entry.type != EntryType.CONFIGURATION:
        return None
    return gomsgpack.decode(Configuration, entry.data or b"")


# ---- changes, as hashicorp/raft makes them ----


def _replaced(configuration: Configuration, server: Server) -> Configuration:
    """With C{server} in the place of the one with its id, or at the end."""
    servers = tuple(server if each.id == server.id else each for each in configuration.servers)
    if all(each.id != server.id for each in configuration.servers):
        servers += (server,)
    return check(Configuration(servers=servers))


def with_voter(configuration: Configuration, id: str, address: str) -> Configuration:
    """C{id} joins as a voter, or becomes one, or moves to another address."""
    return _replaced(configuration, Server(suffrage=Suffrage.VOTER, id=id, address=address))


def with_nonvoter(configuration: Configuration, id: str, address: str) -> Configuration:
    """C{id} joins as a non-voter; one that is a voter already stays so and only moves to the address."""
    suffrage = next((each.suffrage for each in configuration.servers if each.id == id), Suffrage.NONVOTER)
    if suffrage != Suffrage.VOTER:
        suffrage = Suffrage.NONVOTER
    return _replaced(configuration, Server(suffrage=suffrage, id=id, address=address))


def demoted(configuration: Configuration, id: str) -> Configuration:
    """C{id} keeps getting the log but loses its vote."""
    for server in configuration.servers:
        if server.id == id:
            return _replaced(configuration, Server(suffrage=Suffrage.NONVOTER, id=id, address=server.address))
    raise RequestRefused(f"server {id!r} is not in the configuration")


def without(configuration: Configuration, id: str) -> Configuration:
    """C{id} leaves. That it was never there changes nothing."""
    return check(Configuration(servers=tuple(each for each in configuration.servers if each.id != id)))


def check(configuration: Configuration) -> Configuration:
    """
    Return the configuration if a group can live with it.

    @raise RequestRefused: an id or address is empty or stands twice, or there is no voter.
    """
    ids = [server.id for server in configuration.servers]
    addresses = [server.address for server in configuration.servers]
    if not all(ids) or not all(addresses):
        raise RequestRefused("a server needs both an id and an address")
    for name, values in (("id", ids), ("address", addresses)):
        if len(set(values)) != len(values):
            raise RequestRefused(f"two servers with the same {name} in the configuration")
    if all(server.suffrage != Suffrage.VOTER for server in configuration.servers):
        raise RequestRefused("need at least one voter in the configuration")
    return configuration


class Membership:
    """
    The configurations in the log, oldest first, of which the last is in force.

    @ivar latest: the configuration in force, from the entry C{latest_index}.
    @ivar voters: ids of its voters.
    """

    def __init__(self, configuration: Configuration, index: int) -> None:
        self._history: list[tuple[int, Configuration]] = [(index, configuration)]
        self._committed = index
        self._use()

    def _use(self) -> None:
        self.latest_index, self.latest = self._history[-1]
        self._servers = {server.id: server for server in self.latest.servers}
        self.voters = frozenset(each.id for each in self.latest.servers if each.suffrage == Suffrage.VOTER)

    # ---- what is in force ----

    def __contains__(self, id: str) -> bool:
        return id in self._servers

    def is_empty(self) -> bool:
        """Whether no configuration was ever given: the server waits for somebody to add it."""
        return not self._servers

    def is_voter(self, id: str) -> bool:
        """Whether C{id}'s word counts."""
        return id in self.voters

    def may_stand(self, id: str) -> bool:
        """
        Whether C{id} is a voter, or would be one again if the change that is not committed yet came to nothing: until
        then nobody else may have that entry, and only C{id} can bring it through (dissertation 4.2.2).
        """
        if self.is_voter(id):
            return True
        return self.changing and any(
            server.id == id and server.suffrage == Suffrage.VOTER
            for _, configuration in self._history[-2:]
            for server in configuration.servers
        )

    def is_alone(self, id: str) -> bool:
        """Whether C{id} is the one and only voter, a majority by itself."""
        return len(self.voters) == 1 and id in self.voters

    def others(self, id: str) -> list[str]:
        """Ids of all members but C{id}, voters or not."""
        return [each for each in self._servers if each != id]

    def address(self, id: str) -> str:
        """Where C{id} listens, or empty if it is not a member."""
        server = self._servers.get(id)
        return server.address if server is not None else ""

    def was_always_alone(self, id: str) -> bool:
        """
        Whether C{id} is the one voter, and so it was in every configuration that is known. Otherwise another server may
        still lead, for the time of its lease, until the change that made C{id} the only one is committed.
        """
        earlier = (server for _, each in self._history for server in each.servers)
        return self.is_alone(id) and all(server.suffrage != Suffrage.VOTER or server.id == id for server in earlier)

    @property
    def changing(self) -> bool:
        """Whether the latest configuration is not committed yet."""
        return self.latest_index > self._committed

    def at(self, index: int) -> tuple[int, Configuration]:
        """The configuration in force at C{index} and the index of its entry, for a snapshot up to there."""
        return max((each for each in self._history if each[0] <= index), default=self._history[0], key=lambda e: e[0])

    # ---- what the log does ----

    def append(self, index: int, configuration: Configuration) -> None:
        """The entry C{index} holds this configuration."""
        self._history.append((index, configuration))
        self._use()

    def truncate(self, after: int) -> bool:
        """Entries after this index are gone. @return: whether an earlier configuration is in force again."""
        kept = [each for each in self._history if each[0] <= after]
        if len(kept) == len(self._history) or not kept:
            return False
        self._history = kept
        self._use()
        return True

    def commit(self, index: int) -> bool:
        """Entries up to this index are committed. @return: whether the latest configuration is so by this."""
        was_changing = self.changing
        self._committed = max(self._committed, index)
        return was_changing and not self.changing

    def compacted(self, index: int) -> None:
        """Configurations before the one in force at C{index} are not needed any more."""
        keep = self.at(index)[0]
        self._history = [each for each in self._history if each[0] >= keep]

    def reset(self, index: int, configuration: Configuration, committed: int) -> None:
        """A snapshot said what the configuration is."""
        self._history = [(index, configuration)]
        self._committed = max(index, committed)
        self._use()
