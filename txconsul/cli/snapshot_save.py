"""C{txconsul snapshot save}."""

from __future__ import annotations

import os
from typing import Any

from txconsul.cli.api import Answer, ApiError, Client
from txconsul.cli.call import Call, Failed, command
from txconsul.cli.gotext import file_error, go_quoted, system_error
from txconsul.cli.settings import CLIENT_FLAGS, SERVER_FLAGS
from txconsul.cli.snapshot_file import verify_snapshot
from txconsul.language.goflags import OPTIONAL_STRING, Flag

__all__ = ["FLAGS", "HELP", "run"]

HELP = """
Usage: txconsul snapshot save [options] FILE

  Writes the servers' state of this moment to a file: keys, sessions, catalog,
  queries, tokens and policies. The file is checked before it gets its name.

  Where ACLs are enabled the token needs management rights.

      $ txconsul snapshot save monday.snap

  While there is no leader, any server's state, which may be a little old:

      $ txconsul snapshot save -stale monday.snap
"""

FLAGS = (
    *CLIENT_FLAGS,
    *SERVER_FLAGS,
    Flag(
        "append-filename",
        OPTIONAL_STRING,
        "Put words into the file's name before its extension; any of version, dc, node and status, with commas "
        "between them: the leader's version, the agent's datacenter, its name, whether it is the leader.",
    ),
)

#: Bytes to write at once.
_CHUNK_BYTES = 1 << 18


@command(FLAGS)
def run(call: Call) -> None:
    """Fetch a snapshot into a file."""
    if not call.rest:
        raise Failed("Missing FILE argument")
    if len(call.rest) > 1:
        raise Failed(f"Too many arguments (expected 1, got {len(call.rest)})")
    client = call.client()
    name = _named(client, call.rest[0], (call.flags["append-filename"] or "").split(","))
    unverified = name + ".unverified"
    try:
        answer = client.call("GET", "/v1/snapshot", {"stale": ""} if call.flags["stale"] else {})
        _write(answer, unverified)
        verify_snapshot(unverified)
        _rename(unverified, name)
    except ApiError as error:
        raise Failed(f"Error saving snapshot: {error}") from None
    finally:
        _remove(unverified)
    call.say(f"Saved and verified snapshot to index {answer.index}")


def _write(answer: Answer, name: str) -> None:
    """Only the owner may read it: it holds the tokens."""
    try:
        place = os.open(os.fsencode(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(place, "wb") as file:
            while piece := answer.read(_CHUNK_BYTES):
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise Failed(f"Error writing unverified snapshot file: {file_error(error, name)}") from None


def _rename(old: str, new: str) -> None:
    try:
        os.replace(os.fsencode(old), os.fsencode(new))
        folder = os.open(os.path.dirname(os.fsencode(new)) or b".", os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise Failed(f"Error renaming {go_quoted(old)} to {go_quoted(new)}: {system_error(error)}") from None


def _remove(name: str) -> None:
    try:
        os.remove(os.fsencode(name))
    except FileNotFoundError:
        pass
    except OSError as error:
        raise Failed(f"Error removing {name}: {system_error(error)}") from None


def _named(client: Client, name: str, words: list[str]) -> str:
    """
    The file's name with what -append-filename asks for.

    @raise Failed: the agent does not say it.
    """
    stem, extension = os.path.splitext(name)
    if "version" in words:
        try:
            health = client.call("GET", "/v1/operator/autopilot/health", allowed=(200, 429)).json()
        except ApiError as error:
            raise Failed(f"Error fetching version of Consul agent Leader: {error}") from None
        versions = [one.get("Version", "") for one in _list(health, "Servers") if one.get("Leader")]
        stem += f"-{versions[0] if versions else ''}"
    if not {"dc", "node", "status"}.intersection(words):
        return stem + extension
    try:
        agent = client.call("GET", "/v1/agent/self").json()
    except ApiError as error:
        text = f"Error connecting to Consul agent and fetching datacenter/version: {error}"
        raise Failed(text) from None
    leads = _map(_map(agent, "Stats"), "consul").get("leader") == "true"
    said = {
        "dc": _map(agent, "Config").get("Datacenter", ""),
        "node": _map(agent, "Config").get("NodeName", ""),
        "status": "leader" if leads else "follower",
    }
    return "-".join([stem, *(str(said[word]) for word in said if word in words)]) + extension


def _map(value: Any, key: str) -> dict[str, Any]:
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def _list(value: Any, key: str) -> list[dict[str, Any]]:
    found = value.get(key) if isinstance(value, dict) else None
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
