"""C{txconsul exec}: run a command on many nodes, and show what they write."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import Any

from txconsul.cli import kv_store
from txconsul.cli.api import ApiError, Client
from txconsul.cli.call import Call, Failed, command
from txconsul.cli.commands import SHOW_HELP
from txconsul.cli.exec_results import Results
from txconsul.cli.interrupting import Interrupted, interruptible
from txconsul.cli.lock_session import Renewal
from txconsul.cli.settings import CLIENT_FLAGS, SERVER_FLAGS
from txconsul.codec import json as go_json
from txconsul.codec.duration import SECOND
from txconsul.language.goflags import BOOL, DURATION, STRING, Flag
from txconsul.language.goregexp import Allowance, BadRegexp, Pattern
from txconsul.records.remote_exec import COMMAND_EVENT, JOB, CommandSpec

__all__ = ["FLAGS", "HELP", "run"]

HELP = """
Usage: txconsul exec [options] [-|command...]

  Runs a command on all agents of a datacenter, or on those that patterns of
  nodes, services and tags choose, and shows what it writes there. With "-" the
  command is a script, read from standard input.

      $ txconsul exec -service=web uptime

  Agents take part only if their configuration has disable_remote_exec = false.
  The exit status is 2 if the command failed somewhere, or did not end in time.
"""

FLAGS = (
    Flag("node", STRING, "Pattern: only agents whose node's name has a match are meant."),
    Flag("service", STRING, "Pattern: only agents with a service whose ID has a match are meant."),
    Flag("tag", STRING, "Pattern: and of which a tag has a match. Only with -service."),
    Flag("prefix", STRING, "The keys that are used meanwhile begin so.", default="_rexec"),
    Flag("shell", BOOL, "Let a shell run the command.", default=True),
    Flag(
        "wait",
        DURATION,
        "It is over after so long without a word from any agent; twice that while one is still at work.",
        default=2 * SECOND,
    ),
    Flag(
        "wait-repl",
        DURATION,
        "Tell the agents only after so long, so that each server knows the command when it is asked.",
        default=SECOND // 5,
    ),
    Flag("verbose", BOOL, "Tell more of what is done."),
    *CLIENT_FLAGS,
    *SERVER_FLAGS,
)

_TTL = "15s"
_BAD_EXIT = 2


@command(FLAGS)
def run(call: Call) -> int | None:
    """Have it run, and wait for it."""
    spec = _spec(call)
    if spec is None:
        call.complain("Must specify a command to execute\n")
        return SHOW_HELP
    filters = _filters(call)
    client = call.client()
    try:
        own = client.call("GET", "/v1/agent/self").fields().get("Config")
    except ApiError as error:
        raise Failed(f"Error querying Consul agent: {error}") from None
    own = own if isinstance(own, dict) else {}
    with interruptible() as interruptions:
        session = ""
        renewal = None
        try:
            with interruptions.put_off():  # a session that was made and not heard of could not be destroyed
                session = _create_session(call, client, own)
                renewal = Renewal(call.client(), session)
                renewal.start()
            _tell(call, f"Created remote execution session: {session}")
            return _run(call, client, session, spec, filters)
        except Interrupted:
            return 1
        finally:
            interruptions.ignore()
            if renewal is not None:
                renewal.finish(client)  # before the keys go: an agent can write none any more
                with suppress(ApiError):
                    kv_store.delete(client, f"{call.flags['prefix']}/{session}", {"recurse": ""})


def _spec(call: Call) -> CommandSpec | None:
    """What is to be done; None where nothing is."""
    wait: int = call.flags["wait"]
    line = " ".join(call.rest)
    if line == "-":
        if not call.flags["shell"]:
            raise Failed("Cannot configure -shell=false when reading from stdin")
        script = call.stdin.read()
        return CommandSpec(script=script, wait=wait) if script else None
    if not line:
        return None
    return (
        CommandSpec(command=line, wait=wait) if call.flags["shell"] else CommandSpec(args=tuple(call.rest), wait=wait)
    )


def _filters(call: Call) -> dict[str, str]:
    """The patterns that are given. @raise Failed: one is none."""
    filters = {name: call.flags[name] for name in ("node", "service", "tag") if call.flags[name]}
    for name, pattern in filters.items():
        try:
            Pattern(pattern, Allowance())
        except BadRegexp as error:
            raise Failed(f"Failed to compile {name} filter regexp: {error}") from None
    if "tag" in filters and "service" not in filters:
        raise Failed("Cannot provide tag filter without service filter.")
    return filters


def _create_session(call: Call, client: Client, own: dict[str, Any]) -> str:
    """
    A session whose keys are deleted with it. In another datacenter it hangs on one of the servers there, as the agent's
    own node is unknown there.

    @raise Failed: there is none.
    """
    wanted: dict[str, Any] = {"Name": "Remote Exec", "Behavior": "delete", "TTL": _TTL}
    datacenter = call.flags["datacenter"]
    try:
        if datacenter and datacenter != own.get("Datacenter"):
            _tell(call, "Remote exec in foreign datacenter, using Session TTL")
            node = _server_of(client)
            _tell(call, f"Binding session to remote node {node}@{datacenter}")
            name = f"Remote Exec via {own.get('NodeName', '')}@{own.get('Datacenter', '')}"
            wanted |= {"Name": name, "Node": node, "Checks": []}
        id = client.call("PUT", "/v1/session/create", body=json.dumps(wanted).encode()).fields().get("ID")
    except ApiError as error:
        raise Failed(f"Failed to create session: {error}") from None
    if not isinstance(id, str) or not id:
        raise Failed("Failed to create session: the agent named none")
    return id


def _server_of(client: Client) -> str:
    """The node of one of a datacenter's servers. @raise ApiError: none is known."""
    lost = "Failed to find Consul server in remote datacenter"
    try:
        found = client.call("GET", "/v1/health/service/consul", {"passing": "1"}).objects()
    except ApiError as error:
        raise ApiError(f"{lost}: {error}") from None
    node = found[0].get("Node") if found else None
    if not isinstance(node, dict) or not node.get("Node"):
        raise ApiError(lost)
    return str(node["Node"])


def _run(call: Call, client: Client, session: str, spec: CommandSpec, filters: dict[str, str]) -> int:
    prefix = call.flags["prefix"]
    job = f"{prefix}/{session}/{JOB}"
    try:
        if not kv_store.put(client, job, go_json.encode(spec), {"acquire": session}):
            raise ApiError(f"failed to acquire key {job}")
    except ApiError as error:
        raise Failed(f"Failed to create job file: {error}") from None
    _tell(call, "Uploaded remote execution spec")
    time.sleep(max(0.0, call.flags["wait-repl"] / SECOND))
    payload = json.dumps({"Prefix": prefix, "Session": session}).encode()
    try:
        event = client.call("PUT", f"/v1/event/fire/{COMMAND_EVENT}", filters, body=payload).fields()
    except ApiError as error:
        raise Failed(f"Failed to fire event: {error}") from None
    _tell(call, f"Fired remote execution event: {event.get('ID', '')}")
    results = Results(call, client, f"{prefix}/{session}/")
    began = time.monotonic()
    results.follow(call.flags["wait"] / SECOND, time.monotonic)
    call.say(f"{results.exited} / {results.acknowledged} node(s) completed / acknowledged")
    _tell(call, f"Completed in {time.monotonic() - began:.2f} seconds")
    return _BAD_EXIT if results.bad or results.exited < results.acknowledged else 0


def _tell(call: Call, text: str) -> None:
    if call.flags["verbose"]:
        call.say(text)
