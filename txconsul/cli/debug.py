"""C{txconsul debug}: record what an agent is and does for a while, into one archive."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from txconsul.cli.api import ApiError
from txconsul.cli.call import Call, Failed, command
from txconsul.cli.gotext import file_error
from txconsul.cli.interrupting import Interrupted, interruptible
from txconsul.cli.settings import CLIENT_FLAGS
from txconsul.codec.duration import SECOND, format_duration
from txconsul.language.goflags import BOOL, DURATION, LIST, STRING, Flag

__all__ = ["FLAGS", "HELP", "Recording", "record", "run"]

HELP = """
Usage: txconsul debug [options]

  Records what an agent is and does for a while, and packs it into one archive
  for whoever looks for a fault: its configuration, its host, its members, its
  metrics and its log at the finest level. An interrupt ends the recording;
  what was recorded is packed all the same.

      $ txconsul debug
      $ txconsul debug -duration=1m -interval=20s -capture=logs -capture=metrics

  Tokens and keys are not in what the agent tells of itself, but a log may hold
  anything: read the archive before you give it to others.

  Consul's agents also have profiles of Go's runtime (pprof). An agent of
  txconsul has none, and this command records none.
"""

#: What can be recorded, by default all of it.
TARGETS = ("metrics", "logs", "pprof", "host", "agent", "members")
#: An older name, and what it is now.
_OLDER = {"cluster": "members"}
_PROFILES = "pprof"
_STREAMED = ("metrics", "logs")

_INTERVAL = 30 * SECOND
_DURATION = 300 * SECOND
#: Shorter ones would burden the agent, or record nothing.
_INTERVAL_MIN = 5 * SECOND
_DURATION_MIN = 10 * SECOND
#: Beyond the duration, so that the last interval is whole.
_GRACE = 2 * SECOND

_VERSION = 1
_EXTENSION = ".tar.gz"

FLAGS = (
    Flag("capture", LIST, f"What to record: {', '.join(TARGETS)}. May be repeated; by default everything."),
    Flag("interval", DURATION, "How often the recording is told to go on.", default=_INTERVAL),
    Flag("duration", DURATION, "How long metrics and logs are recorded.", default=_DURATION),
    Flag("archive", BOOL, "Pack the files into one; otherwise they are left in a folder.", default=True),
    Flag("output", STRING, "The folder, and the archive's `name` without its extension."),
    Flag("since", STRING, "Consul's: time for which its tool hcdiag looks back. Not available here."),
    *CLIENT_FLAGS,
)

#: Of paths, since tar takes what is before a colon for a host.
_TIME = "%Y-%m-%dT%H-%M-%S"


@dataclass(frozen=True)
class Recording:
    """
    What is to be recorded.

    @ivar output: the folder that is to hold it.
    @ivar interval: nanoseconds, as C{duration}.
    """

    output: str
    targets: tuple[str, ...]
    interval: int
    duration: int

    def path(self, name: str) -> str:
        """A file of it."""
        return os.path.join(self.output, name)


@command(FLAGS, repeats_errors=True, lead="==> Error parsing flags: ")
def run(call: Call) -> None:
    """Record, and pack."""
    try:
        with interruptible():
            record(call, time.sleep)
    except Interrupted:
        raise Failed("==> interrupted") from None
    except Failed as error:
        raise Failed(f"==> {error}") from None


def record(call: Call, wait: Callable[[float], object]) -> None:
    """
    Record what the flags ask for.

    @param wait: waits so many seconds.
    @raise Failed: it cannot be.
    @raise Interrupted: a signal came before there was anything to record, or while it was packed.
    """
    from txconsul.cli.debug_archive import pack
    from txconsul.cli.debug_capture import capture_peers, capture_static, capture_streams

    if call.rest:
        raise Failed("debug: Too many arguments provided, expected 0")
    client = call.client()
    try:
        recording, version = _prepared(call, client.call)
    except Failed as error:
        raise Failed(f"Capture validation failed: {error}") from None
    archived = call.flags["archive"]
    name = recording.output + (_EXTENSION if archived else "")
    call.say("==> Starting debugger and capturing static information...")
    call.say(f"     Agent Version: '{version}'")
    call.say(f"          Interval: '{format_duration(recording.interval)}'")
    call.say(f"          Duration: '{format_duration(recording.duration - _GRACE)}'")
    call.say(f"            Output: '{name}'")
    call.say(f"           Capture: '{', '.join(recording.targets)}'")
    capture_static(call, client, recording)
    if any(target in recording.targets for target in _STREAMED):
        capture_streams(call, recording, wait)
    index = {
        "Version": _VERSION,
        "AgentVersion": version,
        "Interval": format_duration(recording.interval),
        "Duration": format_duration(recording.duration),
        "Targets": recording.targets,
    }
    try:
        with open(recording.path("index.json"), "w", encoding="utf-8") as file:
            json.dump(index, file, indent="\t")
    except OSError as error:
        reason = file_error(error, recording.path("index.json"))
        raise Failed(f"Error creating index document: {reason}") from None
    capture_peers(call, client, recording)
    if archived:
        pack(recording.output, name)
    call.say(f"    Saved debug archive: {name}")


def _prepared(call: Call, ask: Callable[..., Any]) -> tuple[Recording, str]:
    """
    What to record, with its folder made, and the agent's version.

    @raise Failed: it cannot be.
    """
    interval, duration = call.flags["interval"], call.flags["duration"]
    if duration < _DURATION_MIN:
        raise Failed(f"duration must be longer than {format_duration(_DURATION_MIN)}")
    if interval < _INTERVAL_MIN:
        raise Failed(f"interval must be longer than {format_duration(_INTERVAL_MIN)}")
    if duration < interval:
        shown, longer = format_duration(duration), format_duration(interval)
        raise Failed(f"duration ({shown}) must be longer than interval ({longer})")
    if call.flags["since"]:
        raise Failed("-since needs hcdiag, which txconsul does not have")
    try:
        config = ask("GET", "/v1/agent/self").fields().get("Config")
    except ApiError as error:
        raise Failed(f"error querying target agent: {error}. verify connectivity and agent address") from None
    version = config.get("Version") if isinstance(config, dict) else None
    if not isinstance(version, str):
        raise Failed("agent response did not contain version key")
    wanted = call.flags["capture"] or list(TARGETS)
    for target in wanted:
        if target not in TARGETS and target not in _OLDER:
            raise Failed(f"target not found: {target}")
    if _PROFILES in wanted:
        call.complain("[WARN] Unable to capture pprof. txconsul records no profiles of Go's runtime.")
    targets = tuple(dict.fromkeys(_OLDER.get(target, target) for target in wanted if target != _PROFILES))
    output = call.flags["output"] or f"consul-debug-{time.strftime(_TIME, time.localtime())}"
    if os.path.exists(output):
        raise Failed(f"output directory already exists: {output}")
    try:
        os.makedirs(output, mode=0o755)
    except OSError as error:
        raise Failed(f"could not create output directory: {file_error(error, output, 'mkdir')}") from None
    return Recording(output, targets, interval, duration + _GRACE), version
