"""
What a key of Consul's store, a lock, and several keys of one transaction do: models for L{check
<txconsul.testing.linearizability.check>}.

Values that are written must differ from each other, so that a value tells by whom it was written; a check-and-set by
index is then one by value.
"""

from __future__ import annotations

from typing import Any

from txconsul.testing.linearizability import IMPOSSIBLE, UNKNOWN

__all__ = ["Appended", "Lock", "Register"]


class Register:
    """
    A key. Its state is its value, or None where it is not there.

    Inputs: C{("read",)} gives the value; C{("write", value)} gives True; C{("delete",)} gives True; C{("cas",
    expected, value)} gives whether the value was the expected one, and if so is replaced.
    """

    def __init__(self, initial: Any = None) -> None:
        self.initial = initial

    def step(self, state: Any, input: Any, output: Any) -> Any:
        """See L{Model<txconsul.testing.linearizability.Model>}."""
        what = input[0]
        if what == "read":
            return state if output is UNKNOWN or output == state else IMPOSSIBLE
        if what == "write":
            return input[1] if output is UNKNOWN or output is True else IMPOSSIBLE
        if what == "delete":
            return None if output is UNKNOWN or output is True else IMPOSSIBLE
        fits = state == input[1]
        if output is UNKNOWN:
            return input[2] if fits else state
        if bool(output) is not fits:
            return IMPOSSIBLE
        return input[2] if fits else state

    def is_idle(self, input: Any, output: Any) -> bool:
        """See L{Model<txconsul.testing.linearizability.Model>}."""
        return input[0] == "read" or (input[0] == "cas" and output is not UNKNOWN and not output)


class Appended:
    """
    A list that grows by transactions, each of which reads it, checks that it is still so, and sets it anew. Its state
    is a tuple.

    Inputs: C{("read",)} gives the tuple; C{("append", seen, element)} gives whether the list was still as it was seen.
    """

    initial: tuple[Any, ...] = ()

    def step(self, state: Any, input: Any, output: Any) -> Any:
        """See L{Model<txconsul.testing.linearizability.Model>}."""
        if input[0] == "read":
            return state if output is UNKNOWN or tuple(output) == state else IMPOSSIBLE
        fits = state == tuple(input[1])
        if output is not UNKNOWN and bool(output) is not fits:
            return IMPOSSIBLE
        return (*state, input[2]) if fits else state

    def is_idle(self, input: Any, output: Any) -> bool:
        """See L{Model<txconsul.testing.linearizability.Model>}."""
        return input[0] == "read" or (output is not UNKNOWN and not output)


class Lock:
    """
    A lock that sessions take. Its state is the holder, or an empty text, and the sessions that are over.

    Inputs: C{("acquire", session)} and C{("release", session)} give whether that was done; C{("destroy", session)}
    gives True, and frees the lock if that session held it; C{("holder",)} gives the holder. An acquisition may be
    refused for other reasons as well, such as a lock delay, so that a refusal says nothing.
    """

    initial: tuple[str, frozenset[str]] = ("", frozenset())

    def step(self, state: Any, input: Any, output: Any) -> Any:
        """See L{Model<txconsul.testing.linearizability.Model>}."""
        holder, over = state
        what, session = input[0], input[-1]
        if what == "holder":
            return state if output is UNKNOWN or output == holder else IMPOSSIBLE
        if what == "destroy":
            return ("" if holder == session else holder, over | {session})
        if what == "acquire":
            can = holder in ("", session) and session not in over
            if output is UNKNOWN:
                return (session, over) if can else state
            if not output:
                return state
            return (session, over) if can else IMPOSSIBLE
        can = holder == session
        if output is UNKNOWN:
            return ("", over) if can else state
        if bool(output) is not can:
            return IMPOSSIBLE
        return ("", over) if can else state

    def is_idle(self, input: Any, output: Any) -> bool:
        """See L{Model<txconsul.testing.linearizability.Model>}."""
        return input[0] == "holder" or (output is not UNKNOWN and not output)
