"""
What every record is: an immutable msgspec structure whose wire names follow Go's spelling.

A record is declared once. Its JSON, its msgpack and its place in a snapshot are derived from the
declaration by L{txconsul.codec}; nothing here knows how to write anything.

Conventions: C{None} is Go's nil (for lists, maps, bytes and pointers); a field's default is Go's zero
value. Durations are int nanoseconds and times the 15 bytes of Go's C{time.MarshalBinary}, as on the wire.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

__all__ = [
    "DURATION_INPUT",
    "DURATION_TEXT",
    "HIDE_JSON",
    "OMIT_JSON",
    "OMIT_WIRE",
    "TEXT",
    "TIME",
    "UINT",
    "Duration",
    "DurationText",
    "Record",
    "Text",
    "Time",
    "Uint",
    "wire_name",
]

_CAPITALS = "ACL CA CAS DC DNS GRPC HTTP ID IP JWT KV LAN NS OS RPC SNI TCP TLS TTL UDP UI URL UUID VIP WAN"
#: Words that Go's naming keeps in capitals.
_INITIALISMS = {word.lower(): word for word in _CAPITALS.split()}
_INITIALISMS["ips"] = "IPs"
_INITIALISMS["ids"] = "IDs"


class _Mark:
    """A remark on a field, read by the codecs."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


#: The field is left out of JSON while it is empty (Go's C{omitempty} in a json tag). A record, which Go never
#: leaves out, is left out while it equals its default.
OMIT_JSON = _Mark("OMIT_JSON")
#: The field never stands in JSON and is not read from it (Go's C{json:"-"}).
HIDE_JSON = _Mark("HIDE_JSON")
#: An C{int} field of nanoseconds that JSON shows as a Go duration and reads as either.
DURATION_TEXT = _Mark("DURATION_TEXT")
#: An C{int} field of nanoseconds that JSON shows as a number and reads as either.
DURATION_INPUT = _Mark("DURATION_INPUT")
#: The field is left out of msgpack while it is empty.
OMIT_WIRE = _Mark("OMIT_WIRE")
#: A C{bytes} field that JSON shows as text rather than as base64: keys, which need not be UTF-8.
TEXT = _Mark("TEXT")

#: A C{bytes} field holding Go's 15-byte time, which JSON shows as RFC 3339.
TIME = _Mark("TIME")
#: An C{int} field that Go declares as uint64: JSON input below zero or above its range is refused.
UINT = _Mark("UINT")

Text = Annotated[bytes, TEXT]
Time = Annotated[bytes, TIME]
Uint = Annotated[int, UINT]
Duration = int
DurationText = Annotated[int, DURATION_TEXT]


def wire_name(field: str) -> str:
    """
    The name on the wire of a field of ours: C{node_id} is C{NodeID}.

    >>> wire_name("lock_delay"), wire_name("session_ttl"), wire_name("ip")
    ('LockDelay', 'SessionTTL', 'IP')
    """
    return "".join(_INITIALISMS.get(word, word[:1].upper() + word[1:]) for word in field.rstrip("_").split("_"))


class Record(msgspec.Struct, frozen=True, kw_only=True, rename=wire_name):
    """The base of everything that is said, stored or sent."""
