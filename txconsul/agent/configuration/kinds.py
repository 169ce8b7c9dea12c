"""What the value of a configuration key is: how it is decoded, and how a later one is merged with an earlier one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = [
    "BOOL",
    "DURATION",
    "FLOAT",
    "INT",
    "OPAQUE",
    "OPAQUES",
    "STRING",
    "STRINGS",
    "STRING_LISTS",
    "STRING_MAP",
    "UINT",
    "UINT32",
    "UINT64",
    "Block",
    "BlockList",
    "BlockMap",
    "Kind",
    "Map",
    "Opaque",
    "Opaques",
    "Scalar",
    "Strings",
]


class Kind:
    """What a key's value is."""


@dataclass(frozen=True)
class Scalar(Kind):
    """One value; a later one replaces it. C{name} is what the errors call its type."""

    name: str
    duration: bool = False


@dataclass(frozen=True)
class Strings(Kind):
    """A list of strings; a later one is appended."""


@dataclass(frozen=True)
class Opaque(Kind):
    """A map of anything; later keys overlay earlier ones."""


@dataclass(frozen=True)
class Opaques(Kind):
    """A list of maps of anything; a later one is appended."""


@dataclass(frozen=True)
class Map(Kind):
    """A map of strings, or of lists of strings; later keys overlay earlier ones."""

    of: Kind


@dataclass(frozen=True)
class Block(Kind):
    """
    Named keys.

    @ivar aliases: other spellings of keys, in small letters.
    @ivar whole: a later block replaces an earlier one as a whole instead of being merged into it.
    """

    fields: Mapping[str, Kind]
    aliases: Mapping[str, str] = field(default_factory=dict)
    whole: bool = False


@dataclass(frozen=True)
class BlockList(Kind):
    """Several blocks of one kind; a later list is appended."""

    of: Block


@dataclass(frozen=True)
class BlockMap(Kind):
    """Blocks by names of the user's choice; later names overlay earlier ones."""

    of: Block


BOOL = Scalar("bool")
INT = Scalar("int")
UINT = Scalar("uint")
UINT32 = Scalar("uint32")
UINT64 = Scalar("uint64")
FLOAT = Scalar("float64")
STRING = Scalar("string")
DURATION = Scalar("string", duration=True)
STRINGS = Strings()
STRING_MAP = Map(STRING)
STRING_LISTS = Map(STRINGS)
OPAQUE = Opaque()
OPAQUES = Opaques()
