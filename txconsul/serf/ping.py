"""
What an ack carries: where its sender is in the network.

Source: the wire documents, GOSSIP section 6.
"""

from __future__ import annotations

from txconsul.codec import gomsgpack
from txconsul.records.coordinate import Position
from txconsul.serf.messages import BadSerfMessage

__all__ = ["read_payload", "write_payload"]

_VERSION = bytes([1])


def write_payload(position: Position) -> bytes:
    """The bytes of a position."""
    return _VERSION + gomsgpack.encode(position)


def read_payload(payload: bytes) -> Position:
    """
    The position of who acked.

    @raise BadSerfMessage: malformed, or of another version.
    """
    if payload[:1] != _VERSION:
        raise BadSerfMessage(f"a coordinate of version {payload[0] if payload else 'nothing'}")
    try:
        return gomsgpack.decode(Position, payload[1:])
    except gomsgpack.BadMessage as error:
        raise BadSerfMessage(f"coordinate: {error}") from None
