"""One server of a Raft group: the pure core with its log, its state machine and its peers (layer 3)."""

from txconsul.consensus.consensus import Consensus
from txconsul.consensus.observing import Observer
from txconsul.consensus.snapshots import SnapshotPolicy

__all__ = ["Consensus", "Observer", "SnapshotPolicy"]
