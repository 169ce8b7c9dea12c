"""
The user events that an agent holds: the last ones that were meant for it.

L{UserEvents} decides, for each event that its pool tells, whether it is one of Consul's own or of a user's, and whether
it is for this agent. It does no I/O.

Source: Consul's documentation of user events; the wire documents, GOSSIP section 7.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING
from uuid import UUID

from twisted.logger import Logger

from txconsul.codec import gomsgpack
from txconsul.errors import PeerMisbehaved
from txconsul.language.goregexp import Allowance, BadRegexp, Pattern, TooCostly
from txconsul.records.event import EVENT_VERSION, EventPayload, UserEvent
from txconsul.records.remote_exec import COMMAND_EVENT
from txconsul.records.service import NodeService
from txconsul.serf.outputs import UserEventCame

if TYPE_CHECKING:
    from txconsul.agent.pools import Pools

__all__ = ["EVENTS_KEPT", "BadEvent", "UserEvents", "is_meant", "read_event"]

#: Consul's number. Who asks rarely sees the last ones only.
EVENTS_KEPT = 256

_OF_CONSUL = "consul:"
_OF_USERS = "consul:event:"
_NEW_LEADER = "consul:new-leader"

_log = Logger("txconsul.agent")


class BadEvent(PeerMisbehaved):
    """A user event's payload is none that could be shown."""


def read_event(payload: bytes, l_time: int) -> UserEvent:
    """
    The user's event in the payload of a Serf event.

    @raise BadEvent: it is malformed, or its ID, from which indexes are made, is no UUID.
    """
    try:
        read = gomsgpack.decode(EventPayload, payload)
    except gomsgpack.BadMessage as error:
        raise BadEvent(str(error)) from None
    try:
        if str(UUID(read.id)) != read.id.lower():
            raise ValueError
    except ValueError:
        raise BadEvent("its ID is no UUID") from None
    return UserEvent(
        id=read.id,
        name=read.name,
        payload=read.payload,
        node_filter=read.node_filter,
        service_filter=read.service_filter,
        tag_filter=read.tag_filter,
        version=read.version,
        l_time=l_time,
    )


def is_meant(event: UserEvent, node: str, services: Mapping[str, NodeService]) -> bool:
    """
    Whether an event is for an agent.

    @param node: the agent's name.
    @param services: what it runs, by id.
    @raise BadRegexp: a filter is no pattern.
    @raise TooCostly: to say so would take too long.
    """
    allowance = Allowance()
    if event.node_filter and not Pattern(event.node_filter, allowance).search(node):
        return False
    if not event.service_filter:
        return True
    of_service = Pattern(event.service_filter, allowance)
    of_tag = Pattern(event.tag_filter, allowance) if event.tag_filter else None
    return any(
        of_service.search(id) and (of_tag is None or any(map(of_tag.search, service.tags or ())))
        for id, service in services.items()
    )


class UserEvents:
    """
    @ivar new_leader: called when a server says that it leads.
    @ivar commands: called with events that ask this agent to run something; None where it runs nothing for others.
    """

    def __init__(self, node: str, services: Callable[[], Mapping[str, NodeService]], new_id: Callable[[], str]) -> None:
        """
        @param node: the agent's name.
        @param services: gives what it runs, by id.
        @param new_id: makes a random UUID's text.
        """
        self.new_id = new_id
        self.new_leader: Callable[[], object] = lambda: None
        self.commands: Callable[[UserEvent], object] | None = None
        self._node = node
        self._services = services
        self._held: deque[UserEvent] = deque(maxlen=EVENTS_KEPT)
        self._waiting: dict[object, Callable[[], object]] = {}

    def recent(self, name: str = "") -> list[UserEvent]:
        """The events that are held, the oldest first; of one name, if one is given."""
        return [one for one in self._held if not name or one.name == name]

    def watch(self, woken: Callable[[], object]) -> Callable[[], None]:
        """Be told of every event that comes to be held. @return: ends that."""
        waiting = object()
        self._waiting[waiting] = woken

        def stop() -> None:
            self._waiting.pop(waiting, None)

        return stop

    def listen_to(self, pools: Pools) -> None:
        """Hear what the pool of the agent's datacenter tells, and not that of all datacenters."""

        def heard(pool: object, event: object) -> None:
            if pool is pools.lan and isinstance(event, UserEventCame):
                self.hear(event.name, event.payload, event.l_time)

        pools.listen(heard)

    def hear(self, name: str, payload: bytes, l_time: int) -> None:
        """The pool of the agent's datacenter tells an event."""
        if name == _NEW_LEADER:
            _log.info("New leader elected: payload={leader}", leader=_shown(payload.decode("utf-8", "replace")))
            self.new_leader()
        elif name.startswith(_OF_USERS):
            self._hear_users(name, payload, l_time)
        elif name.startswith(_OF_CONSUL):
            _log.warn("Unhandled local event: {name}", name=_shown(name))

    def _hear_users(self, name: str, payload: bytes, l_time: int) -> None:
        try:
            event = read_event(payload, l_time)
        except BadEvent as error:
            _log.error("Failed to decode event: error={error}", error=str(error))
            return
        if event.version > EVENT_VERSION:
            _log.warn(
                "Event version may have unsupported features: version={version} event={name}",
                version=event.version,
                name=_shown(event.name),
            )
        try:
            meant = is_meant(event, self._node, self._services())
        except (BadRegexp, TooCostly) as error:
            _log.error(
                "Failed to apply the filters of event {id}: error={error}", id=event.id, error=_shown(str(error))
            )
            return
        if meant:
            self._take(event)

    def _take(self, event: UserEvent) -> None:
        if event.name == COMMAND_EVENT:
            if self.commands is None:
                _log.info("ignoring remote exec event, disabled.: event_id={id}", id=event.id)
            else:
                self.commands(event)
            return
        _log.debug(
            "new event: event_name={name} event_id={id}",
            name=_shown(event.name),
            id=event.id,
        )
        self._held.append(event)
        self.wake()

    def wake(self) -> None:
        """Have everybody who waits look again."""
        for waiting in list(self._waiting):
            woken = self._waiting.get(waiting)
            if woken is not None:
                woken()


def _shown(text: str) -> str:
    """What others wrote, for a log: nothing that a terminal would obey."""
    return ascii(text)[1:-1]
