"""
The replicated state against a plain dict: what a key costs to write and to read, to freeze and to restore. All figures
are CPU time.

    python -m benchmarks.store [KEYS]
"""

from __future__ import annotations

import gc
import io
import resource
import sys
from collections.abc import Callable
from time import process_time

from txconsul.codec.gomsgpack import encode
from txconsul.records.command import Command
from txconsul.records.kv import DirEntry, KVSRequest
from txconsul.state.machine import StateMachine
from txconsul.state.watches import kv_key, kv_prefix

KEYS = 1_000_000
#: Times that a small figure is taken; the best counts, as others disturb the machine.
ROUNDS = 3


def best(run: Callable[[], object], each: int) -> float:
    """Microseconds of one of C{each} things that C{run} does."""
    taken = []
    for _ in range(ROUNDS):
        begin = process_time()
        run()
        taken.append(process_time() - begin)
    return min(taken) / each * 1e6


def show(what: str, figure: str, rival: str = "") -> None:
    print(f"{what:<58}{figure:>14}   {rival}", flush=True)


def command(key: bytes, value: bytes) -> tuple[bytes, KVSRequest]:
    request = KVSRequest(op="set", dir_ent=DirEntry(key=key, value=value))
    return bytes([Command.KVS]) + encode(request), request


def writing_and_reading(count: int) -> StateMachine:
    """One write and one read, beside a dict's."""
    machine = StateMachine()
    keys = [b"service/%d/key/%08d" % (n % 97, n) for n in range(count)]
    first = [command(key, b"value") for key in keys]
    plain: dict[bytes, DirEntry] = {}

    def fill() -> None:
        index = 0
        for data, record in first:
            index += 1
            machine.apply(index, data, record)
            if not index & 63:
                machine.applied(index)
        machine.applied(index)

    begin = process_time()
    fill()
    taken = (process_time() - begin) / count * 1e6
    show("set of a new key, record given", f"{taken:.2f} us")

    first.clear()
    some = [command(key, b"other%d" % n) for n, key in enumerate(keys[: min(count, 100_000)])]
    position = [count]

    def overwrite() -> None:
        index = position[0]
        for data, record in some:
            index += 1
            machine.apply(index, data, record)
            if not index & 63:
                machine.applied(index)
        position[0] = index

    def alternate() -> None:
        some[:] = [
            (data, KVSRequest(op="set", dir_ent=DirEntry(key=r.dir_ent.key, value=b"%d" % position[0])))
            for data, r in some
        ]

    figures = []
    for _ in range(ROUNDS):
        alternate()
        begin = process_time()
        overwrite()
        figures.append((process_time() - begin) / len(some) * 1e6)

    def dict_write() -> None:
        for _, record in some:
            entry = record.dir_ent
            plain[entry.key] = entry

    rival = best(dict_write, len(some))
    show("set of an existing key, record given", f"{min(figures):.2f} us", f"a dict alone {rival:.2f} us")
    from_bytes = [bytes([Command.KVS]) + encode(record) for _, record in some[:20_000]]

    def decode_and_apply() -> None:
        for n, data in enumerate(from_bytes):
            machine.apply(n + 1, data, None)
        machine.applied(1)

    show("the same from its bytes (a follower)", f"{best(decode_and_apply, len(from_bytes)):.2f} us")
    get, wanted = machine.store.kv.get, keys[: len(some)]

    def read() -> None:
        for key in wanted:
            get(key)

    def dict_read() -> None:
        for key in wanted:
            plain.get(key)

    show("get", f"{best(read, len(wanted)):.2f} us", f"a dict alone {best(dict_read, len(wanted)):.2f} us")
    kv = machine.store.kv
    entries = len(kv.list(b"service/1/")[1])
    show(f"list of {entries} keys", f"{best(lambda: kv.list(b'service/1/'), entries):.2f} us a key")
    return machine


def waiting(machine: StateMachine) -> None:
    """Ten thousand waiters: to wait, to be passed by, to be woken."""
    watches, waiters = machine.store.watches, 10_000
    hidden = [0]

    def called() -> None:
        hidden[0] += 1

    def wait() -> None:
        for n in range(waiters):
            watches.wait((kv_key(b"waited/%d" % n),), called)
            watches.wait((kv_prefix(b"waited/%d/" % n),), called)

    show("wait", f"{best(wait, 2 * waiters):.2f} us")
    data, _ = command(b"elsewhere/1", b"")
    index = [10**9]

    def passed_by() -> None:
        for _ in range(1000):
            index[0] += 1
            request = KVSRequest(op="set", dir_ent=DirEntry(key=b"elsewhere/1", value=b"%d" % index[0]))
            machine.apply(index[0], data, request)
            machine.applied(index[0])

    show(f"set in a batch of its own beside {len(watches)} waiters", f"{best(passed_by, 1000):.2f} us")
    watches.wake_all()
    for _ in range(waiters):
        watches.wait((kv_key(b"one"),), called)
    begin = process_time()
    watches.wake([kv_key(b"one")])
    show(f"wake {waiters} waiters of one key", f"{(process_time() - begin) * 1e3:.1f} ms")


def snapshots(machine: StateMachine, count: int) -> None:
    """Freeze and restore."""
    gc.collect()
    begin = process_time()
    pieces = machine.freeze()
    frozen = process_time() - begin
    begin, longest, stream = process_time(), 0.0, bytearray()
    last = begin
    for piece in pieces:
        stream += piece
        now = process_time()
        longest, last = max(longest, now - last), now
    show(f"freeze of {count} keys, in one go", f"{frozen * 1e3:.0f} ms")
    show("writing it, in pieces", f"{process_time() - begin:.2f} s", f"longest piece {longest * 1e3:.1f} ms")
    other, longest = StateMachine(), 0.0
    begin = last = process_time()
    for _ in other.restore(io.BytesIO(bytes(stream))):
        now = process_time()
        longest, last = max(longest, now - last), now
    show(
        f"restore of {len(stream) / 1e6:.0f} MB",
        f"{process_time() - begin:.2f} s",
        f"longest step {longest * 1e3:.0f} ms",
    )
    assert other.store.tables.kv.rows == machine.store.tables.kv.rows


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else KEYS
    machine = writing_and_reading(count)
    waiting(machine)
    snapshots(machine, count)
    show("peak memory", f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
