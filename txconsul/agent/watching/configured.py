"""
A watch of the configuration: what it watches and what is to be done then.

Source: Consul's documentation "Watches", its handlers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from txconsul.watches.plan import BadWatch, Plan, parse

__all__ = ["ConfiguredWatch", "configured_watches"]

#: Their data is secret, and a configuration says nothing of who may have it.
_SECRET = "connect_"


@dataclass(frozen=True)
class ConfiguredWatch:
    """
    @ivar key: the same for the same configuration, also the next time that the agent runs.
    @ivar program: what to run, unless the plan has an HTTP handler.
    @ivar shell: C{program} is one text for a shell.
    """

    key: str
    plan: Plan
    program: tuple[str, ...] = ()
    shell: bool = False


def configured_watches(values: Iterable[Mapping[str, Any]]) -> list[ConfiguredWatch]:
    """
    The watches of the key C{watches}.

    @raise BadWatch: one of them cannot be.
    """
    found: list[ConfiguredWatch] = []
    keys: set[str] = set()
    for one in values:
        key = _key(one)
        while key in keys:  # the same once more
            key += "+"
        keys.add(key)
        found.append(_watch(key, one))
    return found


def _key(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()


def _watch(key: str, values: Mapping[str, Any]) -> ConfiguredWatch:
    kind, type = values.get("handler_type", "script"), values.get("type")
    if kind not in ("http", "script"):
        raise BadWatch(f"Handler type '{kind}' not recognized")
    if isinstance(type, str) and type.startswith(_SECRET):
        raise BadWatch(f"Watch type {type} is not allowed in agent config")
    rest = {name: one for name, one in values.items() if name not in ("handler", "args")}
    try:
        plan = parse({**rest, "handler_type": kind})
    except BadWatch as error:
        shown = json.dumps({name: one for name, one in values.items() if name != "token"}, sort_keys=True, default=str)
        raise BadWatch(f"Failed to parse watch ({shown}): {error}") from None
    handler, args = values.get("handler"), values.get("args")
    if handler is not None and not isinstance(handler, str):
        raise BadWatch("Watch handler must be a string")
    words = None if args is None else _words(args)
    ways = sum((handler is not None, words is not None, plan.http is not None))
    if ways > 1:
        raise BadWatch("Only one watch handler allowed")
    if not ways:
        raise BadWatch("Must define a watch handler")
    if handler is not None:
        return ConfiguredWatch(key, plan, (handler,), True)
    if words == ():
        raise BadWatch("Watch args must name a program")
    return ConfiguredWatch(key, plan, words or ())


def _words(args: Any) -> tuple[str, ...]:
    """HCL gives a list of one as what is in it."""
    words = (args,) if isinstance(args, str) else args
    if not isinstance(words, list | tuple) or not all(isinstance(one, str) for one in words):
        raise BadWatch("Watch args must be a list of strings")
    return tuple(words)
