"""
One stream of a yamux session: its state, its windows, and what waits for the other side's window.

Source: the wire documents, RPC section 2; hashicorp/yamux, spec.md.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import Any

__all__ = ["INITIAL_WINDOW", "TRANSITIONS", "Event", "State", "Stream"]

#: Bytes that each side may send on a new stream before it is given more.
INITIAL_WINDOW = 256 * 1024


class State(Enum):
    """How far a stream is."""

    OPEN = "open"
    LOCAL_ENDED = "local side ended"
    REMOTE_ENDED = "remote side ended"
    CLOSED = "closed"
    RESET = "reset"


class Event(Enum):
    """What can happen to a stream."""

    SENT_FIN = "sent FIN"
    GOT_FIN = "got FIN"
    SENT_RST = "sent RST"
    GOT_RST = "got RST"


#: Where each event leads. What is not in it breaks the protocol, or is a mistake of this side.
TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.OPEN, Event.SENT_FIN): State.LOCAL_ENDED,
    (State.OPEN, Event.GOT_FIN): State.REMOTE_ENDED,
    (State.LOCAL_ENDED, Event.GOT_FIN): State.CLOSED,
    (State.REMOTE_ENDED, Event.SENT_FIN): State.CLOSED,
} | {
    (state, event): State.RESET
    for state in (State.OPEN, State.LOCAL_ENDED, State.REMOTE_ENDED)
    for event in (Event.SENT_RST, Event.GOT_RST)
}


class Stream:
    """
    One stream.

    @ivar id: its number within the session.
    @ivar state: see L{TRANSITIONS}.
    @ivar receiver: whatever the user of the session wants to find again when something comes.
    @ivar send_window: bytes that the other side takes now.
    @ivar receive_window: bytes that the other side may send now.
    @ivar consumed: bytes taken by the user for which no window was given back yet.
    @ivar unsent: what waits for a window, or for the stream to be announced.
    @ivar ending: FIN follows what is unsent.
    @ivar announced: the other side was told of it, or told this one.
    @ivar acknowledged: both sides know it. Until then one that was opened here has a deadline.
    """

    __slots__ = (
        "acknowledged",
        "announced",
        "consumed",
        "ending",
        "id",
        "receive_window",
        "receiver",
        "send_window",
        "state",
        "unsent",
    )

    def __init__(self, id: int) -> None:
        self.id = id
        self.state = State.OPEN
        self.receiver: Any = None
        self.send_window = INITIAL_WINDOW
        self.receive_window = INITIAL_WINDOW
        self.consumed = 0
        self.unsent: deque[bytes] = deque()
        self.ending = False
        self.announced = False
        self.acknowledged = False

    @property
    def over(self) -> bool:
        """Whether nothing is sent or received on it any more."""
        return self.state is State.CLOSED or self.state is State.RESET

    def __repr__(self) -> str:
        return f"<Stream {self.id}: {self.state.value}>"
