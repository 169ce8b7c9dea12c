"""Recorded gossip: the layers that a vector says are in its bytes, compared with what we read and write."""

from __future__ import annotations

from typing import Any

from txconsul.swim.messages import ErrorMessage, Message, NodeState, User

__all__ = ["fields", "innermost", "messages_of", "node_fields"]


def plain(value: Any) -> Any:
    """A value of C{decoded}: texts and bytes alike as bytes, since the wire does not tell them apart."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if isinstance(value, dict) and set(value) == {"hex"}:
        return bytes.fromhex(value["hex"])
    return value


def fields(message: Message | ErrorMessage | NodeState) -> dict[str, Any]:
    """A message of ours as C{{wire name: value}}, empty source fields left out."""
    if type(message) is User:
        return {"payload": message.payload}
    return {
        wire: plain(getattr(message, name))
        for name, wire in zip(message.__struct_fields__, message.__struct_encode_fields__, strict=True)
        if not (wire.startswith("Source") and not getattr(message, name))
    }


def node_fields(decoded: dict[str, Any]) -> dict[str, Any]:
    """What a vector says of one member."""
    return {key: plain(value) for key, value in decoded.items() if key not in ("tags", "serf")}


def innermost(layer: dict[str, Any]) -> dict[str, Any]:
    """The last layer of a vector's C{decoded}: a compound, or a message."""
    while "inner" in layer and "parts" not in layer:
        layer = layer["inner"]
    return layer


def messages_of(layer: dict[str, Any]) -> list[dict[str, Any]]:
    """What the messages within a vector's C{decoded} say, in order."""
    layer = innermost(layer)
    if "parts" in layer:
        return [one for part in layer["parts"] for one in messages_of(part)]
    if layer["type"] == "user":
        return [{"payload": plain(layer["payload"])}]
    return [{key: plain(value) for key, value in layer["body"].items()}]
