"""C{txconsul watch}."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from txconsul.cli.api import ApiError, Client
from txconsul.cli.call import Call, Failed, command
from txconsul.cli.children import CannotStart, ended, run_child, shell_words
from txconsul.cli.commands import SHOW_HELP
from txconsul.cli.cursor_file import CursorFile
from txconsul.cli.gotext import go_quoted
from txconsul.cli.interrupting import Interrupted, interruptible
from txconsul.cli.settings import CLIENT_FLAGS, SERVER_FLAGS
from txconsul.language.goflags import BOOL, LIST, STRING, Flag, go_bool
from txconsul.watches.plan import AGENT_TYPES, BadWatch, Plan, parse
from txconsul.watches.progress import BadAnswer, Change, Progress
from txconsul.watches.render import render

__all__ = ["FLAGS", "HELP", "follow", "run"]

HELP = """
Usage: txconsul watch [options] -type=TYPE [program...]

  Waits for changes of what the type says, and runs the program on each with
  the new data as JSON on its standard input. The variable CONSUL_INDEX is the
  data's index. Without a program it shows the data once and ends.

      $ txconsul watch -type=key -key=shop/limits/cart ./reload-cart
      $ txconsul watch -type=service -service=web -passingonly=true

  The first data counts as a change, so that the program is run at once. With
  -cursor-file it is only if it is not what was told last, also by an earlier
  run of this command:

      $ txconsul watch -type=nodes -cursor-file=nodes.cursor ./on-nodes

  It goes on until a signal, or until the program fails. While the agent cannot
  be reached it tries again, after 5 seconds and then ever longer, up to 3
  minutes.
"""

FLAGS = (
    Flag("type", STRING, "What to watch: key, keyprefix, services, nodes, service, checks or event. Required."),
    Flag("key", STRING, "With type key: the key."),
    Flag("prefix", STRING, "With type keyprefix: how the keys begin."),
    Flag("service", STRING, "With type service: its name. With type checks: only those of this service."),
    Flag("tag", LIST, "With type service: only instances with this tag. May be repeated."),
    Flag("passingonly", STRING, "With type service: true leaves out instances with a check that does not pass."),
    Flag("state", STRING, "With type checks: only checks in this state."),
    Flag("name", STRING, "With type event: only events of this name."),
    Flag("filter", STRING, "Expression that the data must meet."),
    Flag("shell", BOOL, "Let a shell run the program: /bin/sh, or that of the variable SHELL.", default=True),
    Flag(
        "cursor-file",
        STRING,
        "`file` that notes what was told last. What is in it is not told again. (Of txconsul's own; Consul has none.)",
    ),
    *CLIENT_FLAGS,
    *SERVER_FLAGS,
)


@command(FLAGS)
def run(call: Call) -> int:
    """Watch until a signal, or once."""
    if not call.flags["type"]:
        call.complain("Watch type must be specified\n")
        return SHOW_HELP
    client = call.client("")
    try:
        plan = parse(_parameters(call))
    except BadWatch as error:
        raise Failed(str(error)) from None
    if plan.type.startswith(AGENT_TYPES):
        raise Failed(f"Type {plan.type} is not supported in the CLI tool")
    cursors = CursorFile(call.flags["cursor-file"])
    progress = Progress(plan, cursors.load())
    try:
        # it needs no token and no leader, so that a wrong address is told at once
        client.call("GET", "/v1/status/leader").read()
    except ApiError as error:
        raise Failed(f"Error querying Consul agent: {error}") from None

    def tell(change: Change) -> bool:
        if call.rest:
            _run_program(call, change)
        else:
            call.say(render(change.data, indent=4))
        cursors.keep(change.cursor)
        return bool(call.rest)

    def failed(error: Exception, seconds: float) -> None:
        shown = f"type={plan.type} error={go_quoted(str(error))} retry={_shown(seconds)}"
        call.log("ERROR", "watch", f"Watch errored: {shown}")

    with interruptible(), suppress(Interrupted):
        follow(client, plan, progress, tell, failed, time.sleep)
    return 0


def follow(
    client: Client,
    plan: Plan,
    progress: Progress,
    tell: Callable[[Change], bool],
    failed: Callable[[Exception, float], object],
    wait: Callable[[float], object],
) -> None:
    """
    Ask, and tell what changes, for as long as C{tell} returns true.

    @param failed: told why there was no answer, and the seconds until the next question.
    """
    allowed = (200, 404) if plan.absent else (200,)
    while True:
        try:
            answer = client.call("GET", plan.path, progress.question(), allowed=allowed)
            change = progress.answered(answer.status, answer.index, answer.read())
        except (ApiError, BadAnswer) as error:
            seconds = progress.failed()
            failed(error, seconds)
            wait(seconds)
            continue
        if change is not None and not tell(change):
            return


def _parameters(call: Call) -> dict[str, Any]:
    """The flags as the watch's parameters; token and datacenter are the client's own."""
    names = ("type", "key", "prefix", "service", "filter", "tag", "state", "name")
    found: dict[str, Any] = {name: call.flags[name] for name in names if call.flags[name]}
    if call.flags["stale"]:
        found["stale"] = True
    passing = call.flags["passingonly"]
    if passing:
        try:
            found["passingonly"] = go_bool(passing)
        except ValueError:
            reason = f"strconv.ParseBool: parsing {go_quoted(passing)}: invalid syntax"
            raise Failed(f"Failed to parse passingonly flag: {reason}") from None
    return found


def _run_program(call: Call, change: Change) -> None:
    words = shell_words(call.rest, call.environment) if call.flags["shell"] else call.rest
    environment = {**call.environment, "CONSUL_INDEX": str(change.index)}
    try:
        problem = ended(run_child(words, environment, render(change.data) + b"\n"))
    except CannotStart as error:
        raise Failed(f"Error starting handler: {error}") from None
    if problem:
        raise Failed(f"Error executing handler: {problem}")


def _shown(seconds: float) -> str:
    from txconsul.codec.duration import SECOND, format_duration

    return format_duration(int(seconds * SECOND))
