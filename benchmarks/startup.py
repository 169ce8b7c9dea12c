"""
How long a server with many keys takes to start.

    python -m benchmarks.startup [--keys 1000000] [--log 0]

Makes a data directory with a snapshot of that many small keys (and as many entries in the log behind it as C{--log}
says), starts C{txconsul agent} on it, and prints what it says of the restore, the seconds until it leads, and the most
memory that it had resident.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from txconsul.codec import gomsgpack
from txconsul.records.command import Command
from txconsul.records.kv import DirEntry, KVSRequest
from txconsul.records.raft import Configuration, Entry, Server
from txconsul.state.machine import StateMachine
from txconsul.storage.directory import DataDirectory, store_node_id
from txconsul.storage.segments import SegmentLog
from txconsul.storage.snapshots import SnapshotStore
from txconsul.storage.stable import StableStore
from txconsul.storage.worker import Inline

__all__ = ["build", "start"]

NODE_ID = "0b5a7b2e-7c53-4a4b-9b3c-3f7ed0cf0f0e"
#: The index at which the snapshot was taken: what comes before the keys.
BEFORE = 10


def build(path: Path, keys: int, log: int = 0) -> None:
    """
    Make the data directory of a lone server with C{keys} keys in a snapshot and C{log} writes after it.
    """
    directory = DataDirectory(path)
    directory.open()
    store_node_id(directory.node_id, NODE_ID)
    configuration = Configuration(servers=(Server(id=NODE_ID, address="127.0.0.1:8300"),))
    last = BEFORE + keys
    machine = StateMachine()
    for number in range(keys):
        index = BEFORE + number + 1
        entry = DirEntry(
            key=b"service/%02d/instance/%07d" % (number % 64, number),
            value=b"value %d" % number,
            create_index=index,
            modify_index=index,
        )
        machine.store.tables.kv.put(entry.key, entry)
        machine.store.tables.journal.clear()
    machine.store.tables.indexes.put("kvs", last)
    sink = SnapshotStore(str(directory.snapshots), Inline()).create(last, 2, configuration, 1)
    for piece in machine.freeze():
        sink.write(piece)
    sink.finish()
    entries = SegmentLog(str(directory.raft), Inline())
    if log:
        entries.reset(last)
        for number in range(log):
            request = KVSRequest(datacenter="dc1", op="set", dir_ent=DirEntry(key=b"late/%d" % number, value=b"x"))
            data = bytes((Command.KVS,)) + gomsgpack.encode(request)
            entries.append([Entry(index=last + 1 + number, term=2, type=0, data=data)])
            if number % 1000 == 999:
                entries.sync()
        entries.sync()
    entries.close()
    StableStore(str(directory.vote)).store(2, NODE_ID)
    directory.close()


def start(path: Path, root: Path) -> tuple[float, int, list[str]]:
    """
    Start a server on the data.

    @return: seconds until it leads, bytes of VmHWM, and the lines that it logged.
    """
    configuration = {
        "server": True,
        "bootstrap_expect": 1,
        "data_dir": str(path),
        "bind_addr": "127.0.0.1",
        "addresses": {"http": f"unix://{path}.sock"},
    }
    file = path.with_suffix(".json")
    file.write_text(json.dumps(configuration))
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "txconsul.cli.main", "agent", "-config-file", str(file)],
        cwd=root,
        stdout=subprocess.PIPE,
        text=True,
    )
    lines: list[str] = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip())
            if "Leadership is established" in line:
                break
        taken = time.monotonic() - began
        found = re.search(r"VmHWM:\s*(\d+)", Path(f"/proc/{process.pid}/status").read_text())
        assert found is not None, "\n".join(lines)
        return taken, int(found[1]) * 1024, lines
    finally:
        process.terminate()
        process.communicate(timeout=30)


def _told(lines: list[str]) -> Iterator[str]:
    return (line for line in lines if "restor" in line)


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description="How long a server with many keys takes to start.")
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--log", type=int, default=0, help="entries in the log behind the snapshot")
    asked: Any = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="txc-") as folder:
        path = Path(folder) / "data"
        build(path, asked.keys, asked.log)
        taken, memory, lines = start(path, Path(__file__).resolve().parent.parent)
    print(*_told(lines), sep="\n")
    print(f"{asked.keys} keys, {asked.log} entries in the log: {taken:.1f} s to lead, VmHWM {memory / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
