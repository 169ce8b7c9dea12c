"""
The rules by which a node changes what it believes: alive, suspect, dead, and its own defence.

Source: SWIM section 4.2 (suspicion, incarnation numbers); the wire documents, GOSSIP section 3.1, for the rules of
precedence that are memberlist's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from txconsul.swim.awareness import Awareness
from txconsul.swim.broadcasts import Broadcasts
from txconsul.swim.delegate import Delegate
from txconsul.swim.members import Member, MemberTable
from txconsul.swim.messages import Alive, Dead, NodeState, State, Suspect, write_message
from txconsul.swim.outputs import Change, Conflict, MemberChanged, Output, Problem
from txconsul.swim.suspicion import Suspicion
from txconsul.swim.timing import Timing, suspicion_minimum

__all__ = ["INCARNATION_MAX", "Beliefs"]

#: An incarnation is an unsigned number of 32 bits. Whoever claims the last one cannot be outdone.
INCARNATION_MAX = (1 << 32) - 1
_VSN_BYTES = 6
#: Members of one pool. Pools of ten thousand are large; whoever makes members up fills no memory.
MEMBERS_MAX = 1 << 15


class Beliefs:
    """
    What one node believes of the pool, and what it tells others of it.

    @ivar name: this node's own name.
    @ivar members: everybody known, this node and the recently gone included.
    @ivar gone: names of members who failed or left, and are still known.
    @ivar broadcasts: what is to be told.
    @ivar leaving: whether this node has said that it leaves: from then on it does not defend itself.
    """

    def __init__(
        self,
        name: str,
        timing: Timing,
        members: MemberTable,
        delegate: Delegate,
        tell: Callable[[Output], None],
        watch: Callable[[float, str], None],
    ) -> None:
        """
        @param tell: takes outputs.
        @param watch: called with a time and a member's name: L{expire} is wanted then.
        """
        self.name = name
        self.members = members
        self.gone: set[str] = set()
        self.broadcasts = Broadcasts()
        self.leaving = False
        self.awareness = Awareness(timing.awareness_max_multiplier)
        self._timing = timing
        self._delegate = delegate
        self._tell = tell
        self._watch = watch
        self._suspicions: dict[str, Suspicion] = {}
        #: When L{expire} is wanted next for a name. One time is enough: it may have to be put off.
        self._watched: dict[str, float] = {}
        me = members.get(name)
        self._incarnation = me.incarnation if me is not None else 0

    # ---- what this node says of itself ----

    def introduce(self, me: Member, now: float) -> None:
        """This node is there, or has changed: it says so with a new incarnation."""
        known = self.members.get(self.name)
        self._incarnation = min(self._incarnation + 1, INCARNATION_MAX)
        me = replace(me, incarnation=self._incarnation, state=State.ALIVE, changed=known.changed if known else now)
        self.members.put(me)
        self._broadcast(me.alive(), self.name)
        self._tell(MemberChanged(Change.UPDATED if known else Change.JOINED, me))

    def leave(self, now: float, token: object) -> None:
        """This node goes. @param token: comes back when that was told often enough."""
        self.leaving = True
        me = self.members.get(self.name)
        if me is not None and not me.is_gone:
            self.dead(Dead(from_=self.name, incarnation=me.incarnation, node=self.name), now, token)

    def _refute(self, me: Member, accused: int) -> None:
        """
        Somebody says that this node is not what it is: it says so itself, with an incarnation that outdoes theirs.
        """
        if accused >= INCARNATION_MAX:
            self._tell(Problem(f"nothing outdoes incarnation {accused} of this node, which somebody made up", True))
        self._incarnation = min(max(self._incarnation, accused) + 1, INCARNATION_MAX)
        self.awareness.change(+1)
        me = replace(me, incarnation=self._incarnation)
        self.members.put(me)
        self._broadcast(me.alive(), self.name)

    # ---- what others say ----

    def alive(self, said: Alive, now: float) -> None:
        """A member is there."""
        mine = said.node == self.name
        if mine and self.leaving:
            return
        if len(said.vsn) >= 3 and (not all(said.vsn[:3]) or said.vsn[0] > said.vsn[1]):
            self._tell(Problem(f"{said.node}: protocol versions {said.vsn[:3].hex()} cannot be", False))
            return
        other = Member(said.node, said.addr, said.port, said.meta or b"", said.vsn, said.incarnation, State.ALIVE, now)
        refusal = self._delegate.refuse_alive(other)
        if refusal:
            self._tell(Problem(f"{said.node} is not let in: {refusal}", False))
            return
        known = self.members.get(said.node)
        moved = known is not None and known.address != other.address
        if known is not None and moved and not self._may_move(known, now):
            self._tell(Conflict(known, other))
            return
        if known is not None:
            if mine and said.incarnation < known.incarnation:
                return
            if not mine and said.incarnation <= known.incarnation and not moved:
                return
        if mine and known is not None:
            same = (said.incarnation, other.meta, other.vsn) == (known.incarnation, known.meta, known.vsn)
            if not same:
                self._refute(known, said.incarnation)
            return
        if known is None and len(self.members) >= MEMBERS_MAX:
            self._tell(Problem(f"{said.node} is not let in: the pool has {MEMBERS_MAX} members already", True))
            return
        self._suspicions.pop(said.node, None)
        self.gone.discard(said.node)
        if known is not None and known.state is State.ALIVE:
            other = replace(other, changed=known.changed)
        self.members.put(other)
        self._broadcast(said, said.node)
        if known is None or known.is_gone:
            self._tell(MemberChanged(Change.JOINED, other))
        elif moved or known.meta != other.meta:
            self._tell(MemberChanged(Change.UPDATED, other))

    def _may_move(self, known: Member, now: float) -> bool:
        """Whether a name may come back from another address: its bearer left, or has been dead for long."""
        after = self._timing.dead_node_reclaim_time
        return known.state is State.LEFT or (known.state is State.DEAD and after > 0 and now - known.changed > after)

    def suspect(self, said: Suspect, now: float) -> None:
        """Somebody got no answer from a member."""
        known = self.members.get(said.node)
        if known is None or said.incarnation < known.incarnation:
            return
        running = self._suspicions.get(said.node)
        if running is not None:
            if running.confirm(said.from_):
                self._broadcast(said, said.node)
                self._expire_at(running.deadline, said.node)
            return
        if known.state is not State.ALIVE:
            return
        if said.node == self.name:
            self._refute(known, said.incarnation)
            return
        self._broadcast(said, said.node)
        self.members.put(replace(known, incarnation=said.incarnation, state=State.SUSPECT, changed=now))
        count, timing = len(self.members), self._timing
        wanted = timing.suspicion_mult - 2
        if count - 2 < wanted:
            wanted = 0
        minimum = suspicion_minimum(timing.suspicion_mult, count, timing.probe_interval)
        maximum = timing.suspicion_max_timeout_mult * minimum
        running = self._suspicions[said.node] = Suspicion(said.from_, wanted, minimum, maximum, now)
        self._expire_at(running.deadline, said.node)

    def _expire_at(self, when: float, name: str) -> None:
        """Have L{expire} called, if it is not before anyway: suspicions may come and go faster than they end."""
        watched = self._watched.get(name)
        if watched is None or when < watched:
            self._watched[name] = when
            self._watch(when, name)

    def expire(self, name: str, now: float) -> None:
        """A time that was to be watched has come: the suspicion may be over."""
        if self._watched.get(name, now) <= now:
            self._watched.pop(name, None)
        running = self._suspicions.get(name)
        if running is None:
            return
        if running.deadline > now:
            self._expire_at(running.deadline, name)
            return
        del self._suspicions[name]
        known = self.members.get(name)
        if known is not None and known.state is State.SUSPECT:
            self._tell(Problem(f"{name} has failed: suspected, {running.confirmations} confirmed it", False))
            self.dead(Dead(from_=self.name, incarnation=known.incarnation, node=name), now)

    def dead(self, said: Dead, now: float, token: object = None) -> None:
        """A member failed, or, if it says so itself, left. @param token: comes back when that was told."""
        known = self.members.get(said.node)
        if known is None or said.incarnation < known.incarnation:
            return
        self._suspicions.pop(said.node, None)
        if known.is_gone:
            return
        if said.node == self.name and not self.leaving:
            self._refute(known, said.incarnation)
            return
        self._broadcast(said, said.node, token)
        state = State.LEFT if said.from_ == said.node else State.DEAD
        gone = replace(known, incarnation=said.incarnation, state=state, changed=now)
        self.members.put(gone)
        self.gone.add(said.node)
        self._tell(MemberChanged(Change.GONE, gone))

    def forget_gone(self, now: float) -> None:
        """Who has been gone for so long that all must have heard of it is not known any more."""
        long = []
        for name in self.gone:
            member = self.members.get(name)
            if member is not None and name != self.name and now - member.changed > self._timing.gossip_to_the_dead_time:
                long.append(member)
        if long:
            self.members.forget(long)
            self.gone.difference_update([member.name for member in long])

    def merge(self, nodes: Sequence[NodeState], now: float) -> None:
        """
        All that another node believes. What it holds dead is only suspected here: it may be late.
        """
        for node in nodes:
            if node.state == State.ALIVE:
                said = Alive(
                    addr=node.addr,
                    incarnation=node.incarnation,
                    meta=node.meta,
                    node=node.name,
                    port=node.port,
                    vsn=node.vsn,
                )
                self.alive(said, now)
            elif node.state == State.LEFT:
                self.dead(Dead(from_=node.name, incarnation=node.incarnation, node=node.name), now)
            else:
                self.suspect(Suspect(from_=self.name, incarnation=node.incarnation, node=node.name), now)

    def versions_clash(self, nodes: Sequence[NodeState]) -> str:
        """
        Why the members of two pools could not all speak with each other; empty if they can.

        Each speaks one version of the protocol, and one of the layer above, that all the others must understand.
        """
        mine = [(member.name, member.vsn) for member in self.members if member.state is State.ALIVE]
        theirs = [(node.name, node.vsn) for node in nodes if node.state == State.ALIVE]
        spoken = [(name, vsn) for name, vsn in mine + theirs if len(vsn) == _VSN_BYTES]
        for what, at in (("protocol", 0), ("delegate protocol", 3)):
            least = max((vsn[at] for _, vsn in spoken), default=0)
            most = min((vsn[at + 1] for _, vsn in spoken), default=255)
            for name, vsn in spoken:
                if not least <= vsn[at + 2] <= most:
                    return f"{name} speaks {what} version {vsn[at + 2]}, the pool {least} to {most}"
        return ""

    def _broadcast(self, said: Alive | Suspect | Dead, about: str, token: object = None) -> None:
        self.broadcasts.queue(about, write_message(said), token)
