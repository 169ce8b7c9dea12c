"""
C{twist txconsul-gossip}: one node of a gossip pool as a Twisted application, without a Consul server.

What happens in the pool is logged, a line each. The service leaves when it is stopped, so that the others know it for
that; whoever is killed has failed.
"""

from __future__ import annotations

import socket
from base64 import b64decode
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import Any

from twisted.application.service import IService, Service
from twisted.internet.defer import inlineCallbacks
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.usage import Options as UsageOptions
from twisted.python.usage import UsageError

from txconsul.agent.joining.addresses import BadAddress, address_of, parse, shown
from txconsul.agent.process import monotonic, stop_failed
from txconsul.gossip import GossipPool, JoinFailed
from txconsul.gossip_streams import printable
from txconsul.net.direct import DirectNetwork
from txconsul.serf.members import Member
from txconsul.serf.outputs import Asked, Event, MemberEvent, NameLost, UserEventCame
from txconsul.serf.settings import Settings
from txconsul.serf.tags import TagsTooLong, write_tags
from txconsul.storage.worker import DiskThread, Worker
from txconsul.swim.keyring import BadKey, Keyring
from txconsul.swim.timing import LAN, LOCAL, WAN

__all__ = ["Options", "PoolService", "makeService"]

#: Serf's.
DEFAULT_PORT = 7946
#: Where nobody could be joined, all are tried again after so many seconds.
RETRY_SECONDS = 2.0
_TIMINGS = {"lan": LAN, "wan": WAN, "local": LOCAL}

_log = Logger()


class Options(UsageOptions):
    """
    What C{twist} asks for.

    @ivar pool: what they mean, for L{GossipPool}.
    @ivar joins: addresses of others.
    """

    longdesc = "A member of a gossip pool, in which HashiCorp's Serf may be as well. What happens in it is logged."
    optParameters = [
        ["name", "n", None, "What this node is called; it must be unique in the pool. Default: the host's name."],
        ["bind", "b", "127.0.0.1", "IP address and port to listen at, over UDP and TCP. Default port: 7946."],
        ["advertise", "a", None, "IP address and port that others are told, if they reach this node by another."],
        ["timing", "t", "lan", "How fast failures are noticed: local, lan or wan."],
        ["encrypt", "e", None, "The pool's key in base64, as 'txconsul keygen' makes one."],
        ["keyring", "k", None, "A file in which the keys are kept, which the pool may change; 'encrypt' begins it."],
        ["snapshot", "s", None, "A file by which the node finds its pool again when it is started anew."],
    ]

    def __init__(self) -> None:
        super().__init__()
        self.joins: list[tuple[str, int]] = []
        self.pool: dict[str, Any] = {}
        self._tags: dict[str, str] = {}

    def opt_join(self, text: str) -> None:
        """IP address and port of a member to join by; may be given several times."""
        self.joins.append(_place(text))

    def opt_tag(self, text: str) -> None:
        """Something that this node says of itself, as key=value; may be given several times."""
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise UsageError(f"a tag is key=value, not {text!r}")
        self._tags[key] = value

    opt_j, opt_T = opt_join, opt_tag

    def postOptions(self) -> None:
        """See L{UsageOptions}. @raise UsageError: something cannot be so."""
        host, port = _place(self["bind"])
        advertise = None if self["advertise"] is None else _place(self["advertise"])
        if advertise is None and ip_address(host).is_unspecified:
            raise UsageError(f"others cannot be told {host}: say with --advertise where they reach this node")
        if self["timing"] not in _TIMINGS:
            raise UsageError(f"there is no timing {self['timing']!r}, but local, lan and wan")
        try:
            keyring = None if self["encrypt"] is None else Keyring([b64decode(self["encrypt"], validate=True)])
            write_tags(self._tags)
        except (ValueError, BadKey, TagsTooLong) as error:
            raise UsageError(str(error)) from None
        self.pool = {
            "name": self["name"] or socket.gethostname(),
            "settings": Settings(timing=_TIMINGS[self["timing"]]),
            "host": host,
            "port": port,
            "advertise": advertise,
            "tags": self._tags,
            "keyring": keyring,
            "keyring_file": self["keyring"],
            "snapshot": self["snapshot"],
        }


def _place(text: str) -> tuple[str, int]:
    """@raise UsageError: it is no IP address, with or without a port."""
    try:
        place = parse(text, DEFAULT_PORT)
    except BadAddress as error:
        raise UsageError(str(error)) from None
    host = address_of(place.host)
    if host is None or place.node:
        raise UsageError(f"{text} is no IP address")
    return host, place.port


class PoolService(Service):
    """
    A node that opens, joins, logs what it hears, and leaves in the end.

    @ivar pool: the node.
    """

    def __init__(
        self,
        network: Any,
        joins: Sequence[tuple[str, int]],
        worker: Worker,
        failed: Callable[[], object],
        **pool: Any,
    ) -> None:
        """
        @param joins: addresses of others, of which one is enough.
        @param worker: does what blocks; it is closed in the end.
        @param failed: called if the node cannot begin.
        @param pool: for L{GossipPool}.
        """
        self.pool = GossipPool(network, worker=worker, **pool)
        self.pool.heard = self._hear
        self._worker = worker
        self._failed = failed
        self._clock = network.clock
        self._joins = joins
        self._again: IDelayedCall | None = None

    def startService(self) -> None:
        """See L{Service}."""
        super().startService()
        opening = self.pool.open()
        opening.addCallbacks(lambda _: self._opened(), self._not_opened)
        opening.addErrback(lambda failure: _log.failure("gossip cannot join", failure))

    @inlineCallbacks
    def stopService(self) -> Any:
        """See L{Service}. @return: a Deferred firing when the others know, or had time to."""
        super().stopService()
        if self._again is not None:
            self._again.cancel()
            self._again = None
        if self.pool.node is not None:
            yield self.pool.leave()
        yield self.pool.stopService()
        yield self._worker.close()

    def _opened(self) -> Any:
        _log.info("{name} is at {place}", name=printable(self.pool.name), place=shown(*self.pool.address))
        return self._join()

    def _not_opened(self, failure: Failure) -> None:
        _log.error("gossip cannot begin: {error}", error=printable(failure.getErrorMessage()))
        self._failed()

    @inlineCallbacks
    def _join(self) -> Any:
        """Join by one after the other, until one is there."""
        self._again = None
        for host, port in self._joins:
            try:
                yield self.pool.join(host, port)
            except JoinFailed as error:
                _log.warn("{place} cannot be joined: {error}", place=shown(host, port), error=printable(error))
            else:
                _log.info("joined by {place}", place=shown(host, port))
                return
        if self._joins and self.running:
            self._again = self._clock.callLater(RETRY_SECONDS, self._join)

    def _hear(self, event: Event) -> None:
        if isinstance(event, MemberEvent):
            _log.info("{kind}: {member}", kind=event.kind.value, member=_described(event.member))
        elif isinstance(event, UserEventCame):
            _log.info("event: {name} {payload!r}", name=printable(event.name), payload=event.payload)
        elif isinstance(event, Asked):
            asked = {"name": printable(event.name), "payload": event.payload, "source": printable(event.source)}
            _log.info("query: {name} {payload!r} from {source}", **asked)
        elif isinstance(event, NameLost):
            _log.critical("another node bears this one's name, and the others hold that one for the true bearer")


def _described(member: Member) -> str:
    place = shown(str(ip_address(member.addr)), member.port)
    return " ".join([printable(member.name), place, *[printable(f"{key}={member.tags[key]}") for key in member.tags]])


def makeService(options: Options) -> IService:
    """The node of these options."""
    from twisted.internet import reactor

    monotonic(reactor)
    worker = DiskThread(reactor, "gossip")  # type: ignore[arg-type]
    network = DirectNetwork(reactor)
    service: IService = PoolService(network, options.joins, worker, lambda: stop_failed(reactor), **options.pool)
    return service
