"""
Go's time in 15 bytes, and as RFC 3339 text.

C{01}, seconds since year 1 UTC (int64), nanoseconds (int32), offset in minutes (int16; -1 is UTC): the
layout of Go's time.MarshalBinary.
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta

from txconsul.errors import Corrupt

__all__ = ["format_time", "pack_time", "unpack_time"]

_LAYOUT = struct.Struct(">bqih")
_VERSION = 1
_UTC = -1
#: Seconds from year 1 to 1970.
_EPOCH = 62135596800


def pack_time(nanoseconds: int) -> bytes:
    """The 15 bytes of a Unix time in nanoseconds, UTC."""
    seconds, part = divmod(nanoseconds, 1_000_000_000)
    return _LAYOUT.pack(_VERSION, seconds + _EPOCH, part, _UTC)


def unpack_time(data: bytes) -> int:
    """
    The Unix time in nanoseconds; the offset only tells how it was shown.

    @raise Corrupt: these are not the 15 bytes of a time.
    """
    if len(data) != _LAYOUT.size or data[0] != _VERSION:
        raise Corrupt("not a time of 15 bytes")
    _, seconds, part, _ = _LAYOUT.unpack(data)
    return int((seconds - _EPOCH) * 1_000_000_000 + part)


def format_time(data: bytes) -> str:
    """
    RFC 3339 with as many digits of a second as are needed, in UTC.

    >>> format_time(pack_time(1_500_000_000))
    '1970-01-01T00:00:01.5Z'
    """
    seconds, part = divmod(unpack_time(data), 1_000_000_000)
    whole = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    fraction = f".{part:09d}".rstrip("0") if part else ""
    return f"{whole.strftime('%Y').zfill(4)}{whole.strftime('-%m-%dT%H:%M:%S')}{fraction}Z"
