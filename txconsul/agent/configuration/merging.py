"""
One source after the other: a scalar is replaced, a list is appended to, a map is overlaid, a block is merged key by
key.

Source: Consul's documentation of -config-dir, and what its agent does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from txconsul.agent.configuration.kinds import Block, BlockList, BlockMap, Map, Opaque, Opaques, Strings
from txconsul.agent.configuration.schema import CONFIGURATION

__all__ = ["fold_single", "leaves", "merge", "split_lists"]


def merge(first: dict[str, Any], second: dict[str, Any], block: Block = CONFIGURATION) -> dict[str, Any]:
    """Both together; C{second} wins. Neither is changed."""
    merged = dict(first)
    for key, value in second.items():
        kind = block.fields[key]
        old = merged.get(key)
        if old is None:
            merged[key] = value
        elif isinstance(kind, Block) and not kind.whole:
            merged[key] = merge(old, value, kind)
        elif isinstance(kind, (Strings, BlockList, Opaques)):
            merged[key] = [*old, *value]
        elif isinstance(kind, (Map, BlockMap, Opaque)):
            merged[key] = {**old, **value}
        else:
            merged[key] = value
    return merged


def fold_single(values: dict[str, Any]) -> dict[str, Any]:
    """C{check} and C{service} as further elements of C{checks} and C{services}, so that files do not replace them."""
    folded = dict(values)
    for one, many in (("check", "checks"), ("service", "services")):
        if one in folded:
            folded[many] = [*folded.get(many, []), folded.pop(one)]
    return folded


def split_lists(values: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """
    The lists of the flags, and all their other values.

    Flags win over files, so their values are merged last; but lists are appended, and those of flags come first.
    """
    lists = {key: value for key, value in values.items() if isinstance(value, list)}
    return lists, {key: value for key, value in values.items() if key not in lists}


def leaves(values: dict[str, Any], block: Block = CONFIGURATION, prefix: str = "") -> Iterator[str]:
    """The dotted keys that are set, single blocks opened."""
    for key, value in values.items():
        kind = block.fields.get(key)
        if isinstance(kind, Block) and not kind.whole:
            yield from leaves(value, kind, f"{prefix}{key}.")
        else:
            yield prefix + key
