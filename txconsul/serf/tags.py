"""
A member's tags, as they stand in memberlist's meta bytes.

Source: the wire documents, GOSSIP section 5.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from txconsul.codec import gomsgpack
from txconsul.errors import InvalidRequest
from txconsul.serf.messages import BadSerfMessage

__all__ = ["TAGS_BYTES_MAX", "TagsTooLong", "read_tags", "write_tags"]

#: What memberlist lets a member say of itself.
TAGS_BYTES_MAX = 512
_MAGIC = b"\xff"


class TagsTooLong(InvalidRequest):
    """The tags do not fit into what a member may say of itself."""


def write_tags(tags: Mapping[str, str]) -> bytes:
    """
    The meta bytes. Tags stand in order, so that the same tags are always the same bytes.

    @raise TagsTooLong: they do not fit.
    """
    meta = _MAGIC + gomsgpack.pack(dict(sorted(tags.items())))
    if len(meta) > TAGS_BYTES_MAX:
        raise TagsTooLong(f"Encoded length of tags exceeds limit of {TAGS_BYTES_MAX} bytes")
    return meta


@lru_cache(maxsize=4096)
def read_tags(meta: bytes) -> Mapping[str, str]:
    """
    The tags of a member, which many members may share. Bytes of the time before tags are its role.

    @raise BadSerfMessage: malformed.
    """
    if meta[:1] != _MAGIC:
        return {"role": meta.decode("utf-8", "surrogateescape")}
    try:
        tags = gomsgpack.unpack(meta[1:])
    except gomsgpack.BadMessage as error:
        raise BadSerfMessage(f"tags: {error}") from None
    if tags is None:
        return {}
    if type(tags) is not dict or not all(type(one) is bytes for pair in tags.items() for one in pair):
        raise BadSerfMessage("tags are no map of texts")
    return {_text(name): _text(value) for name, value in tags.items()}


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
