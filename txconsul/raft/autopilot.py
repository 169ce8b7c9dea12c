"""
Autopilot: which servers of a group become voters, and which are taken out of it, as decisions from what was seen.

Pure functions: whoever leads collects what gossip and the servers say, asks here, and carries out the answer.

Source: Consul's documentation of Autopilot; the conduct of its leaders. A server that joins is no voter until it was
well for a while; one that is gone is removed only where a majority of voters stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import NamedTuple

from txconsul.records.raft import Configuration, Server, Suffrage

__all__ = [
    "Change",
    "ChangeKind",
    "Health",
    "Known",
    "NodeStatus",
    "Role",
    "ServerHealth",
    "Settings",
    "Stats",
    "TooManyRemovals",
    "addition",
    "assess",
    "promotions",
    "removals",
]

#: The contact of a server which never heard of a leader.
NEVER = -1.0


class TooManyRemovals(Exception):
    """A server could be added only if so many others were removed that no majority stayed."""


class NodeStatus(Enum):
    """What gossip says of a server; one that is leaving counts as alive, or it would be removed before it is done."""

    UNKNOWN = "unknown"
    ALIVE = "alive"
    FAILED = "failed"
    LEFT = "left"


class Role(Enum):
    """What a server is to the group."""

    LEADER = "leader"
    VOTER = "voter"
    NONVOTER = "non-voter"
    STAGING = "staging"


class Settings(NamedTuple):
    """
    The operator's, see L{txconsul.records.autopilot.AutopilotConfig}; durations in seconds.

    @ivar cleanup_dead_servers: whether servers that are gone are removed.
    @ivar last_contact_threshold: a server that heard nothing of its leader for longer is unwell.
    @ivar max_trailing_logs: so is one whose log is shorter by more entries.
    @ivar min_quorum: the number of voters below which nobody is removed.
    @ivar server_stabilization_time: how long a server must have been well to become a voter.
    """

    cleanup_dead_servers: bool = True
    last_contact_threshold: float = 0.2
    max_trailing_logs: int = 250
    min_quorum: int = 0
    server_stabilization_time: float = 10.0


class Known(NamedTuple):
    """What gossip says of a server. @ivar address: where its Raft listens, C{host:port}."""

    id: str
    name: str
    address: str
    status: NodeStatus
    version: str = ""


class Stats(NamedTuple):
    """What a server says of itself. @ivar last_contact: seconds since it heard of its leader; L{NEVER}."""

    last_contact: float = 0.0
    last_term: int = 0
    last_index: int = 0


class ServerHealth(NamedTuple):
    """
    One server of the group.

    @ivar known: as gossip knows it; of a server that it does not, what was known last.
    @ivar stable_since: when C{healthy} became what it is, on the clock that L{assess} was told.
    """

    id: str
    address: str
    role: Role
    known: Known
    stats: Stats
    healthy: bool
    stable_since: float

    @property
    def is_voter(self) -> bool:
        """Whether its word counts."""
        return self.role in (Role.LEADER, Role.VOTER)

    def stable_for(self, seconds: float, now: float) -> bool:
        """Whether it has been well for so long."""
        return self.healthy and now - self.stable_since >= seconds


class Health(NamedTuple):
    """
    The group.

    @ivar servers: by id.
    @ivar began: when this leader first looked.
    @ivar failure_tolerance: how many healthy voters may fail while a majority of all stays.
    """

    servers: Mapping[str, ServerHealth] = {}
    began: float = 0.0
    healthy: bool = True
    failure_tolerance: int = 0
    leader: str = ""
    voters: tuple[str, ...] = ()


class ChangeKind(Enum):
    """What is to be done about a server."""

    ADD_NONVOTER = "add as non-voter"
    ADD_VOTER = "add as voter"
    REMOVE = "remove from the group"
    FORCE_LEAVE = "have gossip hold it for gone, which removes it from the group"


class Change(NamedTuple):
    """One step; several are done one after the other. @ivar name: the node's, of a server that gossip knows."""

    kind: ChangeKind
    id: str
    address: str = ""
    name: str = ""


def _quorum(voters: int) -> int:
    return voters // 2 + 1


def _is_voter(server: Server) -> bool:
    return server.suffrage == Suffrage.VOTER


_ROLES = {Suffrage.VOTER: Role.VOTER, Suffrage.NONVOTER: Role.NONVOTER, Suffrage.STAGING: Role.STAGING}


def assess(
    before: Health | None,
    settings: Settings,
    configuration: Configuration,
    known: Mapping[str, Known],
    stats: Mapping[str, Stats],
    leader: str,
    last: Stats,
    now: float,
) -> Health:
    """
    How the group is.

    @param before: what was found last by this leader.
    @param known: the servers that gossip knows, by id; also those that failed or left.
    @param stats: what servers said of themselves just now, by id. Of one that said nothing, its last word counts.
    @param leader: the leader's id.
    @param last: the last term and index of the leader's log, just before the servers were asked.
    """
    earlier = before.servers if before is not None else {}
    servers = {}
    for server in configuration.servers:
        old = earlier.get(server.id)
        said = stats.get(server.id) or (old.stats if old is not None else Stats())
        what = known.get(server.id)
        if what is None:
            what = old.known if old is not None else Known(server.id, "", server.address, NodeStatus.LEFT)
            what = what._replace(status=NodeStatus.LEFT)
        healthy = (
            last.last_index > 0
            and last.last_term > 0
            and what.status is NodeStatus.ALIVE
            and 0 <= said.last_contact <= settings.last_contact_threshold
            and said.last_term == last.last_term
            and said.last_index + settings.max_trailing_logs >= last.last_index
        )
        same = old is not None and old.healthy == healthy
        servers[server.id] = ServerHealth(
            id=server.id,
            address=server.address,
            role=Role.LEADER if server.id == leader else _ROLES[Suffrage(server.suffrage)],
            known=what,
            stats=said,
            healthy=healthy,
            stable_since=old.stable_since if same and old is not None else now,
        )
    voters = sorted((one for one in servers.values() if one.is_voter), key=_order)
    well = sum(one.healthy for one in voters)
    return Health(
        servers=servers,
        began=before.began if before is not None else now,
        healthy=all(one.healthy for one in servers.values()),
        failure_tolerance=max(0, well - _quorum(len(voters))),
        leader=leader if leader in servers else "",
        voters=tuple([one.id for one in voters]),
    )


def _order(server: ServerHealth) -> tuple[bool, bool, float, str]:
    """The leader first, then those who are well, the longest first."""
    since = server.stable_since if server.healthy else -server.stable_since
    return server.role is not Role.LEADER, not server.healthy, since, server.id


def promotions(health: Health, settings: Settings, now: float) -> list[Change]:
    """
    Who becomes a voter.

    As long as the leader has looked for less than the stabilization time, whoever is well counts as stable: a new
    group does not wait, nor does one that has a new leader.
    """
    needed = settings.server_stabilization_time if now - health.began > settings.server_stabilization_time else 0.0
    return [
        Change(ChangeKind.ADD_VOTER, one.id, one.address, one.known.name)
        for one in health.servers.values()
        if one.role is Role.NONVOTER and one.stable_for(needed, now)
    ]


def addition(configuration: Configuration, id: str, address: str) -> list[Change]:
    """
    What makes a server that gossip found a member of the group, at its present address.

    @return: nothing if it is one already.
    @raise TooManyRemovals: servers that have its address would have to be removed, and no majority would stay.
    """
    voters = sum(map(_is_voter, configuration.servers))
    kind, doomed = ChangeKind.ADD_NONVOTER, []
    for server in configuration.servers:
        if server.id == id:
            if server.address == address:
                return []
            if server.suffrage != Suffrage.NONVOTER:
                kind = ChangeKind.ADD_VOTER  # it moved; its word goes on to count
        elif server.address == address:
            doomed.append(server)
    if sum(map(_is_voter, doomed)) > voters - _quorum(voters):
        raise TooManyRemovals(f"server {id} at {address} would replace so many voters that the group lost its majority")
    doomed.sort(key=lambda one: not _is_voter(one))
    return [*(Change(ChangeKind.REMOVE, one.id, one.address) for one in doomed), Change(kind, id, address)]


def removals(configuration: Configuration, known: Iterable[Known], settings: Settings) -> list[Change]:
    """
    Who is taken out of the group: servers that gossip knows no more, and those that failed or left.

    Of voters so few go at a time that more than half stay, and never so many that fewer than C{min_quorum} are left.
    """
    if not settings.cleanup_dead_servers:
        return []
    stale = {one.id: one for one in configuration.servers}
    failed: list[tuple[Server, Known]] = []
    for what in known:
        server = stale.pop(what.id, None)
        if server is not None and what.status is not NodeStatus.ALIVE:
            failed.append((server, what))
    failed.sort(key=lambda pair: pair[1].id)
    forget = [(one, Change(ChangeKind.REMOVE, one.id, one.address)) for _, one in sorted(stale.items())]
    expel = [(one, Change(ChangeKind.FORCE_LEAVE, one.id, one.address, what.name)) for one, what in failed]
    changes = [change for server, change in [*expel, *forget] if not _is_voter(server)]
    voters = sum(map(_is_voter, configuration.servers))
    spare = min((voters - 1) // 2, voters - settings.min_quorum)
    dead = [change for server, change in [*forget, *expel] if _is_voter(server)]
    return changes + dead[: max(0, spare)]
