"""
What is told to all members: each message a bounded number of times, the newest first.

A message about a member replaces the one before about it. Source: SWIM section 4.1 (infection-style dissemination);
the wire documents, GOSSIP section 4.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import NamedTuple

__all__ = ["Broadcasts"]


class _Entry(NamedTuple):
    """Ordered by length, then by age: the newest of the longest comes last."""

    size: int
    number: int
    name: str
    message: bytes
    token: object


class Broadcasts:
    """
    A queue in tiers, by how often a message was sent already.

    @ivar finished: the tokens of messages that were sent often enough, or replaced; whoever takes them empties it.
    """

    def __init__(self) -> None:
        self._tiers: dict[int, list[_Entry]] = {}
        self._named: dict[str, tuple[int, _Entry]] = {}
        self._number = 0
        self._waiting = 0
        self.finished: list[object] = []

    def __len__(self) -> int:
        return self._waiting

    def queue(self, name: str, message: bytes, token: object = None) -> None:
        """
        Tell all members.

        @param name: an earlier message of this name is not told any more; empty for one that stands by itself.
        @param token: given back in L{finished} in the end; None for nobody who wants to know.
        """
        old = self._named.pop(name, None) if name else None
        if old is not None:
            self._drop(*old)
        self._number += 1
        self._add(0, _Entry(len(message), self._number, name, message, token))

    def take(self, overhead: int, room: int, limit: int) -> list[bytes]:
        """
        Messages for one packet: those sent least often first, among them the longest that fits.

        @param overhead: what each message costs beside its bytes.
        @param room: how many bytes are free.
        @param limit: how often each is sent in all; L{txconsul.swim.timing.transmit_limit} knows.
        """
        taken: list[bytes] = []
        again: list[tuple[int, _Entry]] = []
        for sent in sorted(self._tiers):
            tier = self._tiers[sent]
            while room > overhead:
                found = bisect_left(tier, (room - overhead + 1,)) - 1
                if found < 0:
                    break
                entry = tier.pop(found)
                self._waiting -= 1
                room -= overhead + entry.size
                taken.append(entry.message)
                if sent + 1 < limit:
                    again.append((sent + 1, entry))
                else:
                    self._finish(entry)
            if not tier:
                del self._tiers[sent]
        for sent, entry in again:
            self._add(sent, entry)
        return taken

    def prune(self, most: int) -> None:
        """Keep the newest; those sent most often go."""
        excess = len(self) - most
        for sent in sorted(self._tiers, reverse=True):
            if excess <= 0:
                return
            tier = self._tiers[sent]
            tier.sort(key=lambda entry: entry.number)
            dropped = tier[:excess]
            excess -= len(dropped)
            del tier[: len(dropped)]
            self._waiting -= len(dropped)
            for entry in dropped:
                self._finish(entry)
            tier.sort()
            if not tier:
                del self._tiers[sent]

    def _add(self, sent: int, entry: _Entry) -> None:
        insort(self._tiers.setdefault(sent, []), entry)
        self._waiting += 1
        if entry.name:
            self._named[entry.name] = (sent, entry)

    def _drop(self, sent: int, entry: _Entry) -> None:
        tier = self._tiers[sent]
        del tier[bisect_left(tier, entry)]
        self._waiting -= 1
        if not tier:
            del self._tiers[sent]
        if entry.token is not None:
            self.finished.append(entry.token)

    def _finish(self, entry: _Entry) -> None:
        if entry.name:
            self._named.pop(entry.name, None)
        if entry.token is not None:
            self.finished.append(entry.token)
