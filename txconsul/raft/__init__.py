"""Consensus: the Raft algorithm as a pure core (layer 1)."""
