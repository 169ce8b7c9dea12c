"""
JSON as Go's encoder writes it, for handlers that compare or cut texts.
"""

from __future__ import annotations

import json
from typing import Any

__all__ = ["render"]

#: Go escapes what HTML or JavaScript would take for its own.
_ESCAPED = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026", 0x2028: "\\u2028", 0x2029: "\\u2029"}


def render(data: Any, *, indent: int | None = None) -> bytes:
    """
    A value as JSON, without a newline at the end.

    @param indent: spaces for each level; None writes one line.
    """
    separators = (",", ": ") if indent is not None else (",", ":")
    text = json.dumps(data, ensure_ascii=False, indent=indent, separators=separators)
    return text.translate(_ESCAPED).encode("utf-8", "replace")
