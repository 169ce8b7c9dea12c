"""
Every metric by its name, and what it tells: for Prometheus, and for the documentation, which is printed from here.

C{python -m txconsul.metrics.names} prints the table of docs/metrics.md. Whoever makes an instrument adds it.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import NamedTuple

__all__ = ["METRICS", "Described", "help_of", "table"]


class Described(NamedTuple):
    """
    @ivar kind: C{counter}, C{gauge} or C{sample}; samples are in milliseconds unless the help says otherwise.
    @ivar labels: their names, separated by spaces.
    """

    kind: str
    labels: str
    help: str


_TABLE = """
    api.http | sample | method path | HTTP requests, errors and waiting included, by method and row of the API's table
    autopilot.failure_tolerance | gauge | | Voting servers that may be lost
    autopilot.healthy | gauge | | 1 while the group has a leader
    cache.catalog-datacenters.* | counter | | Hits, misses and fetches of the cache, of datacenters
    cache.catalog-list-services.* | counter | | Hits, misses and fetches of the cache, of names of services
    cache.catalog-services.* | counter | | Hits, misses and fetches of the cache, of instances of services
    cache.entries_count | gauge | | Answers that the agent's cache keeps
    cache.evict_expired | counter | | Answers that it gave up since nobody asked for them
    cache.fetch_error | counter | fatal | Fetches that failed, of answers of all kinds; fatal ones end what is kept
    cache.fetch_success | counter | result_not_modified | Fetches that did not
    cache.health-services.* | counter | | Hits, misses and fetches of the cache, of the health of services
    cache.node-services.* | counter | | Hits, misses and fetches of the cache, of services of nodes
    cache.prepared-query.* | counter | | Hits, misses and fetches of the cache, of prepared queries' answers
    catalog.connect.query | counter | service | Catalog queries for the mesh's instances of a service
    catalog.connect.query-tags | counter | service tag | Those of them that named tags
    catalog.connect.not-found | counter | service | Those of them that found none
    catalog.deregister | sample | | Deregistrations, until they are committed
    catalog.register | sample | | Registrations, until they are committed
    catalog.service.query | counter | service | Catalog queries for a service
    catalog.service.query-tags | counter | service tag | Those of them that named tags
    catalog.service.not-found | counter | service | Those of them that found none
    client.api.catalog_connect_service_nodes | counter | node | HTTP requests for the mesh's instances of a service
    client.api.catalog_datacenters | counter | node | HTTP requests for the list of datacenters
    client.api.catalog_deregister | counter | node | HTTP requests to deregister
    client.api.catalog_gateway_services | counter | node | HTTP requests for the services of a gateway
    client.api.catalog_node_service_list | counter | node | HTTP requests for the services of a node as a list
    client.api.catalog_node_services | counter | node | HTTP requests for the services of a node
    client.api.catalog_nodes | counter | node | HTTP requests for nodes
    client.api.catalog_register | counter | node | HTTP requests to register
    client.api.catalog_service_nodes | counter | node | HTTP requests for the instances of a service
    client.api.catalog_services | counter | node | HTTP requests for the names of services
    client.api.success.* | counter | node | Those of C{client.api.*} that were answered without an error
    client.rpc | counter | | Requests to servers' methods, of clients and of the agent itself
    client.rpc.error.* | counter | node | Those of C{client.api.*} that failed
    config_entry.apply | sample | | Writes of configuration entries, until they are committed
    dns.domain_query | sample | node | Questions for names
    dns.ptr_query | sample | node | Questions for addresses
    dns.query | sample | node type | All questions by their type
    fsm.autopilot | sample | | Autopilot's configuration, applied to the state
    fsm.coordinate.batch-update | sample | | Coordinates, applied to the state
    fsm.deregister | sample | | Deregistrations, applied to the state
    fsm.kvs | sample | op | Key operations, applied to the state
    fsm.other | sample | | Other commands, applied to the state
    fsm.persist | sample | | Snapshots, from their first byte to their last
    fsm.prepared-query | sample | op | Prepared queries, applied to the state
    fsm.register | sample | | Registrations, applied to the state
    fsm.session | sample | op | Session operations, applied to the state
    fsm.system_metadata | sample | op | What servers note of themselves, applied to the state
    fsm.tombstone | sample | op | Reaped tombstones, applied to the state
    fsm.txn | sample | | Transactions, applied to the state
    health.connect.query | counter | service | Health queries for the mesh's instances of a service
    health.connect.query-tags | counter | service tag | Those of them that named tags
    health.connect.not-found | counter | service | Those of them that found none
    health.ingress.query | counter | service | Health queries for the ingress gateways of a service
    health.ingress.query-tags | counter | service tag | Those of them that named tags
    health.ingress.not-found | counter | service | Those of them that found none
    health.service.query | counter | service | Health queries for a service
    health.service.query-tags | counter | service tag | Those of them that named tags
    health.service.not-found | counter | service | Those of them that found none
    host.cpu.idle | gauge | cpu | Idle time, in percent
    host.cpu.iowait | gauge | cpu | Time waiting for disks, in percent
    host.cpu.system | gauge | cpu | The kernel's time, in percent
    host.cpu.total | gauge | cpu | All busy time, in percent
    host.cpu.user | gauge | cpu | Programs' time, in percent
    host.disk.available | gauge | path | Bytes that the data directory's file system still takes
    host.disk.inodes_percent | gauge | path | Its inodes in use, in percent
    host.disk.size | gauge | path | Its size in bytes
    host.disk.used | gauge | path | Its bytes in use
    host.disk.used_percent | gauge | path | Its bytes in use, in percent
    host.memory.available | gauge | | Memory that can be had, in bytes
    host.memory.free | gauge | | Memory that nothing uses, in bytes
    host.memory.total | gauge | | Memory of the machine, in bytes
    host.memory.used | gauge | | Memory in use, in bytes
    host.memory.used_percent | gauge | | Memory in use, in percent
    host.uptime | gauge | | Seconds since the machine started
    intention.apply | sample | | Writes of intentions, until they are committed
    kvs.apply | sample | | Writes of keys, until they are committed
    leader.barrier | sample | | From a won election until everything committed before is applied
    leader.reapTombstones | sample | | Reaping of deleted keys' indexes
    memberlist.health.score | gauge | network | How unwell this node holds itself to be in a gossip pool: 0 is well
    memberlist.node.instances | gauge | network node_state | Members of a gossip pool
    memberlist.udp.received | counter | network | Bytes of gossip that came in packets
    memberlist.udp.sent | counter | network | Bytes of gossip that were sent in packets
    members.clients | gauge | datacenter | Client agents
    members.servers | gauge | datacenter | Servers
    prepared-query.apply | sample | | Writes of prepared queries, until they are committed
    prepared-query.execute | sample | | Prepared queries that were run, other datacenters included
    prepared-query.execute_remote | sample | | Those of other datacenters
    prepared-query.explain | sample | | Prepared queries that were explained
    raft.applied_index | gauge | | Newest entry of the log that the state shows
    raft.apply | counter | | Commands proposed here
    raft.barrier | counter | | Barriers proposed here
    raft.commitTime | sample | | From the first command of a turn to its commitment
    raft.commit_index | gauge | | Newest committed entry of the log
    raft.fsm.lastRestoreDuration | gauge | | Milliseconds that the last restore of a snapshot took
    raft.last_index | gauge | | Newest entry of the log
    raft.leader.dispatchLog | sample | | Writing and syncing the log
    raft.state.candidate | counter | | How often this server became a candidate
    raft.state.follower | counter | | How often it became a follower
    raft.state.leader | counter | | How often it became the leader
    rpc.accept_conn | counter | | Connections that the server port took
    rpc.queries_blocking | gauge | | Reads that wait for a change
    rpc.query | counter | | Reads
    rpc.request | counter | | Requests of other agents at the server port
    rpc.request_error | counter | | Those of them that failed
    runtime.alloc_bytes | gauge | | Memory of the process that is resident, in bytes
    runtime.gc_pause_ns | sample | | Pauses of the cycle collector, in nanoseconds
    runtime.heap_objects | gauge | | Blocks that Python's allocator has given out
    runtime.num_goroutines | gauge | | Threads
    runtime.sys_bytes | gauge | | Memory that the process has mapped, in bytes
    runtime.total_gc_pause_ns | gauge | | All pauses of the cycle collector, in nanoseconds
    runtime.total_gc_runs | gauge | | Runs of the cycle collector
    server.isLeader | gauge | | 1 while this server leads
    serf.events | counter | network | User events that came
    serf.member.failed | counter | network | Members that failed
    serf.member.join | counter | network | Members that joined
    serf.member.left | counter | network | Members that left
    serf.member.update | counter | network | Members that said something else of themselves
    serf.queue.Event | sample | network | User events that wait to be told, looked at every 30 s
    serf.queue.Intent | sample | network | Words on members that wait to be told
    serf.queue.Query | sample | network | Queries that wait to be told
    session.apply | sample | | Sessions made and ended, until that is committed
    session.renew | sample | | Renewals of sessions
    session_ttl.active | gauge | | Sessions with a time to live, on the leader
    state.kv_entries | gauge | datacenter | Keys
    state.nodes | gauge | datacenter | Nodes
    state.service_instances | gauge | datacenter | Instances of services
    state.services | gauge | datacenter | Services
    txn.apply | sample | | Transactions, until they are committed
    version | gauge | version pre_release | 1
"""

#: By their names without the prefix; C{*} in one stands for anything.
METRICS: dict[str, Described] = {
    name: Described(kind, labels, help)
    for name, kind, labels, help in ([part.strip() for part in line.split("|")] for line in _TABLE.strip().splitlines())
}


def help_of(name: str) -> str | None:
    """What a metric tells; None for one that is not here."""
    found = METRICS.get(name)
    if found is None:
        found = next((it for pattern, it in METRICS.items() if "*" in pattern and fnmatchcase(name, pattern)), None)
    return None if found is None else found.help.replace("C{", "").replace("}", "")


def table() -> str:
    """The table as docs/metrics.md ends with it."""
    lines = ["| metric | kind | labels | what it tells |", "|---|---|---|---|"]
    for name, it in METRICS.items():
        labels = ", ".join(f"`{label}`" for label in it.labels.split())
        text = it.help.replace("C{", "`").replace("}", "`")
        lines.append(f"| `{name}` | {it.kind} | {labels} | {text} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(), end="")
