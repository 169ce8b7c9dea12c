"""C{txconsul snapshot inspect}. It asks no agent."""

from __future__ import annotations

import json
from collections.abc import Iterable

from txconsul.cli.call import Call, Failed, command
from txconsul.cli.gotext import to_bytes
from txconsul.cli.snapshot_file import open_snapshot
from txconsul.cli.snapshot_survey import Group, KeyGroups, Survey, survey
from txconsul.cli.tabwriter import align
from txconsul.codec.gomsgpack import BadMessage
from txconsul.language.goflags import BOOL, INT, STRING, Flag
from txconsul.records.snapshot import SnapshotMeta

__all__ = ["FLAGS", "HELP", "run"]

HELP = """
Usage: txconsul snapshot inspect [options] FILE

  Shows of which moment a snapshot is, and how many records and bytes of each
  type it holds. No agent is needed.

      $ txconsul snapshot inspect monday.snap

  Which keys take the room, by the first three parts of their names:

      $ txconsul snapshot inspect -kvdetails -kvdepth=3 monday.snap

  A server's own snapshots can be read too: name the state.bin in a folder of
  its data directory, with the meta.json beside it.
"""

FLAGS = (
    Flag("format", STRING, "How to show it, {pretty|json}.", default="pretty"),
    Flag("kvdepth", INT, "With -kvdetails: group keys by so many parts between slashes.", default=2),
    Flag("kvdetails", BOOL, "Show also how much the keys take, by the beginning of their names."),
    Flag("kvfilter", STRING, "With -kvdetails: only keys that begin so."),
)

#: Go's tabwriter as Consul sets it up for this command.
_WIDTH_MIN, _PADDING = 8, 6
_RULE = "----"


@command(FLAGS, repeats_errors=True)
def run(call: Call) -> None:
    """Show what a snapshot file holds."""
    if not call.rest:
        raise Failed("Missing FILE argument")
    if len(call.rest) > 1:
        raise Failed(f"Too many arguments (expected 1, got {len(call.rest)})")
    depth = call.flags["kvdepth"]
    if depth < 0:
        raise Failed("-kvdepth must not be negative")
    groups = KeyGroups(depth, to_bytes(call.flags["kvfilter"])) if call.flags["kvdetails"] else None
    with open_snapshot(call.rest[0]) as (meta, state):
        try:
            found = survey(state.read, groups)
        except BadMessage as error:
            raise Failed(f"Error extracting snapshot data: {error}") from None
    form = call.flags["format"]
    if form == "json":
        call.say(_json(meta, found))
    elif form == "pretty":
        call.say(_pretty(meta, found))
    else:
        raise Failed(f"Error outputting enhanced snapshot data: Unknown format: {form}")


def _sorted(groups: Iterable[Group]) -> list[Group]:
    return sorted(groups, key=lambda group: (-group.size, group.name))


def _json(meta: SnapshotMeta, found: Survey) -> str:
    def rows(groups: Iterable[Group]) -> list[dict[str, str | int]]:
        return [{"Name": one.name, "Sum": one.size, "Count": one.count} for one in _sorted(groups)]

    shown = {
        "Meta": {"ID": meta.id, "Size": meta.size, "Index": meta.index, "Term": meta.term, "Version": meta.version},
        "Stats": rows(found.types.values()),
        "StatsKV": rows(found.keys.values()) or None,
        "TotalSize": found.size,
        "TotalSizeKV": found.keys_size,
    }
    return json.dumps(shown, indent=3, ensure_ascii=False)


def _pretty(meta: SnapshotMeta, found: Survey) -> bytes:
    lines = [
        f" ID\t{meta.id}",
        f" Size\t{meta.size}",
        f" Index\t{meta.index}",
        f" Term\t{meta.term}",
        f" Version\t{meta.version}",
        "",
        *_table("Type", found.types.values(), found.size),
    ]
    if found.keys:
        lines += ["", *_table("Key Name", found.keys.values(), found.keys_size)]
    return align(to_bytes("\n".join(lines)), width_min=_WIDTH_MIN, padding=_PADDING)


def _table(title: str, groups: Iterable[Group], total: int) -> list[str]:
    rule = f" {_RULE}\t{_RULE}\t{_RULE}"
    rows = [f" {one.name}\t{one.count}\t{_size(one.size)}" for one in _sorted(groups)]
    return [f" {title}\tCount\tSize", rule, *rows, rule, f" Total\t\t{_size(total)}"]


def _size(count: int) -> str:
    """
    A number of bytes in the largest unit that it fills.

    >>> _size(0), _size(1023), _size(1536), _size(1 << 20)
    ('0', '1023B', '1.5KB', '1MB')
    """
    if not count:
        return "0"
    power = min((count.bit_length() - 1) // 10, 4)
    text = f"{count / (1 << 10 * power):.1f}".removesuffix(".0")
    return text + ("B", "KB", "MB", "GB", "TB")[power]
