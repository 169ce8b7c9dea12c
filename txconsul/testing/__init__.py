"""
For tests of what uses Consul: a cluster in memory, and a server on real ports (layer 6).
"""

from __future__ import annotations

from txconsul.testing.asking import Answer
from txconsul.testing.memory_agent import MemoryAgent
from txconsul.testing.memory_cluster import MemoryCluster
from txconsul.testing.real_server import TestServer

__all__ = ["Answer", "MemoryAgent", "MemoryCluster", "TestServer"]
