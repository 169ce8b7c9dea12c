"""
What a durable log entry costs: C{python benchmarks/log_append.py [--directory DIR] [--entries N] [--bytes B]}.

Prints microseconds an entry, wall and CPU, for batches of several sizes, against SQLite (WAL, synchronous=FULL) with
the same batches in one transaction each, and the seconds to open a log of a million entries.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import react

from txconsul.records.raft import Entry
from txconsul.storage.frames import encode_batch, encode_frames
from txconsul.storage.segments import SegmentLog
from txconsul.storage.worker import DiskThread, Inline

BATCHES = (1, 16, 64, 256)


def made(first: int, count: int, size: int) -> list[Entry]:
    return [Entry(index=first + i, term=3, data=os.urandom(size)) for i in range(count)]


def timed(work: Callable[[], object], count: int) -> tuple[float, float]:
    """Wall and CPU microseconds an entry."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return (time.perf_counter() - wall) / count * 1e6, (time.process_time() - cpu) / count * 1e6


def encoding(batch: int, size: int) -> float:
    entries = made(1, batch, size)
    rounds = max(1, 50_000 // batch)

    def work() -> None:
        for _ in range(rounds):
            parts: list[bytes] = []
            lengths: list[int] = []
            encode_frames(entries, parts, lengths)
            encode_batch(parts, lengths, (3, 3), 1, None, 1, b"saltsalt", 4096)

    return timed(work, rounds * batch)[1]


def segments_inline(directory: str, batches: list[list[Entry]]) -> tuple[float, float]:
    log = SegmentLog(directory, Inline())

    def work() -> None:
        for batch in batches:
            log.append(batch)
            log.sync()

    result = timed(work, sum(map(len, batches)))
    log.close()
    return result


@inlineCallbacks
def segments_threaded(directory: str, batches: list[list[Entry]]) -> object:
    log = SegmentLog(directory, DiskThread(reactor, "log"))
    wall, cpu, count = time.perf_counter(), time.process_time(), sum(map(len, batches))
    for batch in batches:
        log.append(batch)
        yield log.sync()
    result = (time.perf_counter() - wall) / count * 1e6, (time.process_time() - cpu) / count * 1e6
    yield log.close()
    return result


def sqlite(directory: str, batches: list[list[Entry]]) -> tuple[float, float]:
    base = sqlite3.connect(os.path.join(directory, "log.db"), isolation_level=None)
    base.execute("PRAGMA journal_mode=WAL")
    base.execute("PRAGMA synchronous=FULL")
    base.execute("CREATE TABLE log (id INTEGER PRIMARY KEY, term INTEGER, type INTEGER, data BLOB, appended BLOB)")

    def work() -> None:
        for batch in batches:
            base.execute("BEGIN")
            rows = [(e.index, e.term, e.type, e.data, e.appended_at) for e in batch]
            base.executemany("INSERT INTO log VALUES (?, ?, ?, ?, ?)", rows)
            base.execute("COMMIT")

    result = timed(work, sum(map(len, batches)))
    base.close()
    return result


@inlineCallbacks
def main(_: object, directory: str, entries: int, size: int) -> object:
    print(f"{size} bytes an entry; microseconds an entry, wall (CPU)")
    print(f"{'batch':>6} {'encode':>8} {'segments':>16} {'in its thread':>16} {'SQLite WAL':>16} {'ratio':>6}")
    for batch in BATCHES:
        rounds = max(20, entries // batch)
        results = []
        for run in (segments_inline, segments_threaded, sqlite):
            place = tempfile.mkdtemp(dir=directory)
            batches = [made(1 + i * batch, batch, size) for i in range(rounds)]
            found = run(place, batches)
            results.append((yield found) if isinstance(found, Deferred) else found)
            shutil.rmtree(place)
        cells = " ".join(f"{wall:8.1f} ({cpu:5.1f})" for wall, cpu in results)
        print(f"{batch:6d} {encoding(batch, size):8.2f} {cells} {results[2][0] / results[0][0]:6.2f}")
    for batch in (1, 64):
        place = tempfile.mkdtemp(dir=directory)
        recovery(place, batch, size)
        shutil.rmtree(place)


def recovery(directory: str, batch: int, size: int) -> None:
    """A million entries; the syncs are left out while it is written."""
    count = 1_000_000
    log = SegmentLog(directory, Inline())
    log._files.sync_data = lambda descriptor: None  # type: ignore[method-assign]
    data = os.urandom(size)
    for first in range(1, count + 1, batch):
        log.append([Entry(index=first + i, term=3, data=data) for i in range(batch)])
        log.sync()
    log.close()
    begin = time.perf_counter()
    log = SegmentLog(directory, Inline())
    opened = time.perf_counter() - begin
    begin, index = time.perf_counter(), 1
    while index <= log.last:
        index += len(log.entries(index, log.last + 1, 1 << 20))
    read = time.perf_counter() - begin
    print(f"a million entries in batches of {batch}: opened in {opened:.2f} s, all read in {read:.2f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--directory", default=".")
    parser.add_argument("--entries", type=int, default=4000)
    parser.add_argument("--bytes", type=int, default=200)
    given = parser.parse_args()
    react(main, (given.directory, given.entries, given.bytes))
