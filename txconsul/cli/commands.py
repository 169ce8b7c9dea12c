"""
The table of commands.

A row names the function to run, imported when it is wanted, so that no command pays for another's imports. Beside
the function its module has C{HELP}, what C{-h} shows, and C{FLAGS}, the flags listed below that. A row whose function
is L{show_help} is a group: it only has subcommands.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["COMMANDS", "SHOW_HELP", "Command", "show_help"]

#: What a command returns to have its help written to standard error; no exit status of a process.
SHOW_HELP = -1


class Command(NamedTuple):
    """
    @ivar target: C{module:function}; see L{txconsul.cli.call.Run}.
    @ivar synopsis: one line for the list of commands.
    """

    target: str
    synopsis: str


def show_help(*_: object) -> int:
    """A group's own function."""
    return SHOW_HELP


COMMANDS: dict[tuple[str, ...], Command] = {
    ("agent",): Command("txconsul.cli.agent:run", "Run an agent"),
    ("catalog",): Command("txconsul.cli.catalog:run", "List datacenters, nodes and services"),
    ("catalog", "datacenters"): Command("txconsul.cli.catalog_datacenters:run", "List the datacenters"),
    ("catalog", "nodes"): Command("txconsul.cli.catalog_nodes:run", "List the nodes of a datacenter"),
    ("catalog", "services"): Command("txconsul.cli.catalog_services:run", "List the services of a datacenter"),
    ("debug",): Command("txconsul.cli.debug:run", "Record what an agent does, for people who look for a fault"),
    ("event",): Command("txconsul.cli.event:run", "Tell all agents of a datacenter of something"),
    ("exec",): Command("txconsul.cli.exec:run", "Run a command on many nodes"),
    ("force-leave",): Command("txconsul.cli.force_leave:run", "Take a node that failed for one that left"),
    ("info",): Command("txconsul.cli.info:run", "Show what an agent knows of its own state"),
    ("join",): Command("txconsul.cli.join:run", "Have the agent join the pool of others"),
    ("keygen",): Command("txconsul.cli.keygen:run", "Make a key for gossip encryption"),
    ("keyring",): Command("txconsul.cli.keyring:run", "Change or list the keys of gossip encryption"),
    ("kv",): Command("txconsul.cli.kv:run", "Read and write the key-value store"),
    ("kv", "delete"): Command("txconsul.cli.kv_delete:run", "Delete a key, or all below a prefix"),
    ("kv", "export"): Command("txconsul.cli.kv_export:run", "Write a part of the store as JSON"),
    ("kv", "get"): Command("txconsul.cli.kv_get:run", "Read a key, or list those below a prefix"),
    ("kv", "import"): Command("txconsul.cli.kv_import:run", "Store what kv export has written"),
    ("kv", "put"): Command("txconsul.cli.kv_put:run", "Write a key"),
    ("leave",): Command("txconsul.cli.leave:run", "Have the agent leave its pool and stop"),
    ("lock",): Command("txconsul.cli.lock:run", "Run a program while holding a lock"),
    ("maint",): Command("txconsul.cli.maint:run", "Take a node or service out of use, or put it back"),
    ("members",): Command("txconsul.cli.members:run", "List the members of the agent's pool"),
    ("monitor",): Command("txconsul.cli.monitor:run", "Show an agent's log as it is written"),
    ("operator",): Command("txconsul.cli.operator:run", "Look after the servers"),
    ("operator", "autopilot"): Command("txconsul.cli.operator_autopilot:run", "How the servers are looked after"),
    ("operator", "autopilot", "get-config"): Command(
        "txconsul.cli.operator_autopilot_get_config:run", "Show how the leader looks after the servers"
    ),
    ("operator", "autopilot", "set-config"): Command(
        "txconsul.cli.operator_autopilot_set_config:run", "Change how the leader looks after the servers"
    ),
    ("operator", "autopilot", "state"): Command(
        "txconsul.cli.operator_autopilot_state:run", "Show how the servers are"
    ),
    ("operator", "raft"): Command("txconsul.cli.operator_raft:run", "Which servers replicate the state"),
    ("operator", "raft", "list-peers"): Command("txconsul.cli.operator_raft_list_peers:run", "List the servers"),
    ("operator", "raft", "remove-peer"): Command(
        "txconsul.cli.operator_raft_remove_peer:run", "Take a server out of the group"
    ),
    ("operator", "raft", "transfer-leader"): Command(
        "txconsul.cli.operator_raft_transfer_leader:run", "Have another server lead"
    ),
    ("operator", "usage"): Command("txconsul.cli.operator_usage:run", "How much is registered"),
    ("operator", "usage", "instances"): Command(
        "txconsul.cli.operator_usage_instances:run", "Count services and their instances"
    ),
    ("reload",): Command("txconsul.cli.reload:run", "Have the agent read its configuration again"),
    ("rtt",): Command("txconsul.cli.rtt:run", "Estimate the round trip between two nodes"),
    ("services",): Command("txconsul.cli.services:run", "Register services with an agent, and take them back"),
    ("services", "deregister"): Command("txconsul.cli.services_deregister:run", "Take services back from an agent"),
    ("services", "export"): Command("txconsul.cli.services_export:run", "Let peered clusters use a service"),
    ("services", "register"): Command("txconsul.cli.services_register:run", "Register services with an agent"),
    ("snapshot",): Command("txconsul.cli.snapshot:run", "Save, restore and inspect the servers' state"),
    ("snapshot", "inspect"): Command("txconsul.cli.snapshot_inspect:run", "Show what a snapshot file holds"),
    ("snapshot", "restore"): Command("txconsul.cli.snapshot_restore:run", "Put a snapshot in the place of the state"),
    ("snapshot", "save"): Command("txconsul.cli.snapshot_save:run", "Write a snapshot of the state to a file"),
    ("validate",): Command("txconsul.cli.validate:run", "Check configuration files and folders"),
    ("version",): Command("txconsul.cli.version:run", "Show the version"),
    ("watch",): Command("txconsul.cli.watch:run", "Wait for changes, and run a program on each"),
}
