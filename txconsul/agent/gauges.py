"""
Values that are looked at when somebody wants to know: of the process, of Raft, of the state.

Source: Consul's "Agent telemetry reference"; proc(5). What Consul tells of Go's runtime is told of Python's, as far as
there is something alike: docs/metrics.md says what.
"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from resource import getpagesize
from typing import TYPE_CHECKING

from txconsul import CONSUL_VERSION
from txconsul.metrics.metrics import Gauge

if TYPE_CHECKING:
    from txconsul.agent.server import Server
    from txconsul.agent.telemetry import Telemetry

__all__ = ["runtime_gauges", "server_gauges", "state_gauges"]


def runtime_gauges(telemetry: Telemetry) -> Iterator[Gauge]:
    """Memory, objects and threads of this process."""
    try:
        pages = Path("/proc/self/statm").read_text().split()
        yield Gauge("runtime.alloc_bytes", int(pages[1]) * getpagesize())
        yield Gauge("runtime.sys_bytes", int(pages[0]) * getpagesize())
    except (OSError, ValueError, IndexError):  # no such file on this system
        pass
    yield Gauge("runtime.heap_objects", sys.getallocatedblocks())
    yield Gauge("runtime.num_goroutines", threading.active_count())
    yield Gauge("runtime.total_gc_runs", sum(generation["collections"] for generation in gc.get_stats()))
    yield Gauge("runtime.total_gc_pause_ns", telemetry.collected_ns)
    yield Gauge("version", 1, (("version", CONSUL_VERSION), ("pre_release", "")))


def server_gauges(server: Server) -> Iterator[Gauge]:
    """What a server is to its group, and how far it is."""
    consensus = server.consensus
    yield Gauge("raft.applied_index", consensus.applied_index)
    yield Gauge("raft.last_index", consensus.last_index)
    yield Gauge("raft.commit_index", consensus.commit_index)
    yield Gauge("raft.fsm.lastRestoreDuration", server.machine.restored_seconds * 1000)
    yield Gauge("server.isLeader", int(server.site.me.is_leader))
    yield Gauge("session_ttl.active", server.timers.active)
    yield Gauge("rpc.queries_blocking", server.site.blocking)
    health = server.autopilot.health
    if health is not None:
        yield Gauge("autopilot.healthy", int(health.healthy))
        yield Gauge("autopilot.failure_tolerance", health.failure_tolerance)


def state_gauges(server: Server, datacenter: str) -> Iterator[Gauge]:
    """What the replicated state has: counts that tables know, whatever is in them."""
    tables = server.store.tables
    labels = (("datacenter", datacenter),)
    instances = len(tables.services.rows)
    yield Gauge("state.nodes", len(tables.nodes.rows), labels)
    yield Gauge("state.services", len(tables.services_by_name), labels)
    yield Gauge("state.service_instances", instances, labels)
    yield Gauge("state.kv_entries", len(tables.kv.rows), labels)
